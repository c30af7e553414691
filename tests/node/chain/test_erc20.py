"""node/chain/erc20.py: whatever a token's contract answers, it is bounded and nothing breaks."""

import pytest
from eth_abi.abi import encode
from hypothesis import given
from hypothesis import strategies as st

from node.chain.erc20 import (
    DECIMALS_MAX,
    METADATA_GAS,
    SYMBOL_CHARACTERS_MAX,
    read_decimals,
    read_symbol,
)
from node.devnet import Devnet
from node.errors import NodeError
from node.wallet import Signer
from tests.erc20 import deploy_code, deploy_token


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


ENDLESS = "5b600056"  # JUMPDEST, PUSH1 0, JUMP
MEGABYTE = "621000005ff3"  # PUSH3 2^20, PUSH0, RETURN
MANY = "60245f5260205ff3"  # returns 36 to whatever is asked


def deployed(devnet: Devnet, runtime: str) -> str:
    """A contract of this code alone."""
    code = bytes.fromhex(runtime)
    copy = bytes([0x60, len(code), 0x80, 0x60, 9, 0x5F, 0x39, 0x5F, 0xF3])
    return deploy_code(devnet, copy + code)


@pytest.mark.parametrize("runtime", [ENDLESS, MEGABYTE])
def test_a_contract_that_wastes_or_floods_is_refused_in_time(devnet: Devnet, runtime: str) -> None:
    """The endpoint answers on, and the token has no symbol."""
    with devnet.chain() as chain:
        token = chain.erc20(deployed(devnet, runtime))
        assert (token.symbol(), token.decimals()) == ("", None)
        assert all(not endpoint.failures for endpoint in chain.endpoints())
        handle = token._handle
        assert handle.bytes_of("symbol", METADATA_GAS) == b""
        if runtime == MEGABYTE:
            assert len(handle.bytes_of("symbol", 10_000_000)) == 1 << 20


def test_an_account_without_code_is_no_token(devnet: Devnet) -> None:
    """Its answers are empty; a balance asked of it is an error that says so."""
    with devnet.chain() as chain:
        nobody = chain.erc20(Signer.random().address)
        assert (nobody.symbol(), nobody.decimals()) == ("", None)
        with pytest.raises(NodeError, match=f"token {nobody.address} .* does not answer balanceOf"):
            nobody.balance_of(nobody.address)


def test_real_tokens_say_who_they_are(devnet: Devnet) -> None:
    """Ours, one with six decimals, and one that has the most decimals and a symbol of none."""
    with devnet.chain() as chain:
        ain, plain = chain.erc20(chain.token.address), chain.erc20(deploy_token(devnet))
        many = chain.erc20(deployed(devnet, MANY))
        said = [(each.symbol(), each.decimals()) for each in (ain, plain, many)]
    assert said == [("AIN", 18), ("PLAIN", 6), ("", 36)]
