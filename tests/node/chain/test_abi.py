"""node/chain/abi.py: what a contract refuses with is read, whoever wrote it."""

import pytest
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from node.chain.abi import decode_error

ERROR = keccak(text="Error(string)")[:4]


def words(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(32, "big") for number in numbers)


@pytest.mark.parametrize(
    "body",
    [
        words(32, 4) + b"\xff\xfe\xfd\xfc".ljust(32, b"\0"),
        words(32, 1 << 255) + bytes(32),
        words(1 << 255, 4) + bytes(32),
        words(1 << 63, 4),
        b"",
    ],
)
def test_reason_that_is_none_is_its_selector(body: bytes) -> None:
    """Text that is no UTF-8, lengths and offsets that lie: a token may answer so to the end of a
    round, which its coordinator reads.
    """
    assert decode_error(ERROR + body) == ("0x08c379a0", {})


def test_reason_is_read() -> None:
    """One that is well made."""
    assert decode_error(ERROR + words(32, 2) + b"no".ljust(32, b"\0")) == (
        "Error",
        {"reason": "no"},
    )


@given(st.sampled_from([ERROR, keccak(text="Panic(uint256)")[:4], b""]), st.binary(max_size=200))
def test_any_refusal_is_read(selector: bytes, body: bytes) -> None:
    """Nothing is raised."""
    assert isinstance(decode_error(selector + body)[0], str)
