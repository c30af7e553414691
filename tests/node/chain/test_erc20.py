"""node/chain/erc20.py: whatever a token's contract answers, it is bounded and nothing breaks."""

import pytest
from eth_abi.abi import encode
from hypothesis import given
from hypothesis import strategies as st

from node.chain.erc20 import DECIMALS_MAX, SYMBOL_CHARACTERS_MAX, read_decimals, read_symbol


@pytest.mark.parametrize(
    ("answer", "symbol"),
    [
        (encode(("string",), ("USDX",)), "USDX"),
        (b"MKR".ljust(32, b"\0"), "MKR"),
        (encode(("string",), ("X" * 16,)), "X" * 16),
        (encode(("string",), ("X" * 17,)), ""),
        (encode(("string",), ("US DX",)), ""),
        (encode(("string",), ("\u202eXDSU",)), ""),
        (b"M\0R".ljust(32, b"\0"), ""),
        (b"", ""),
        (b"\xff" * 300_000, ""),
        ((1 << 255).to_bytes(32, "big") + bytes(32), ""),
        ((32).to_bytes(32, "big") + (1 << 200).to_bytes(32, "big"), ""),
    ],
)
def test_a_symbol_is_a_few_printable_characters_or_nothing(answer: bytes, symbol: str) -> None:
    """As a string, or as bytes32, which the oldest tokens have; lengths that lie are no symbol."""
    assert read_symbol(answer) == symbol


@pytest.mark.parametrize(
    ("answer", "decimals"),
    [
        ((6).to_bytes(32, "big"), 6),
        ((DECIMALS_MAX).to_bytes(32, "big"), 36),
        ((DECIMALS_MAX + 1).to_bytes(32, "big"), None),
        (b"\xff" * 32, None),
        (b"", None),
        (bytes(64), None),
    ],
)
def test_decimals_are_few_or_not_known(answer: bytes, decimals: int | None) -> None:
    """Ten to their power must not fill the memory."""
    assert read_decimals(answer) == decimals


@given(st.binary(max_size=200))
def test_any_answer_is_read(answer: bytes) -> None:
    """Nothing comes out but a short text and a small number."""
    assert len(read_symbol(answer)) <= SYMBOL_CHARACTERS_MAX
    decimals = read_decimals(answer)
    assert decimals is None or 0 <= decimals <= DECIMALS_MAX
