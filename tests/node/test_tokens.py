"""node/tokens.py: amounts are exact, and no token passes for another."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.chain import Chain
from node.errors import BadInput
from node.tokens import (
    AIN,
    RATE_MAX,
    RATE_MIN,
    ZERO_ADDRESS,
    Accepted,
    Token,
    Tokens,
    described,
    fixed,
    rate_of,
    scaled,
)

ONE, OTHER, NETWORK = ("0x" + digit * 40 for digit in "567")
USDX = Token(ONE, "USDX", 6)


def tokens(*listed: tuple[str, str, int | None, int]) -> Tokens:
    """Of a chain that accepts these: address, symbol, decimals, rate."""
    said = {address: (symbol, decimals) for address, symbol, decimals, _ in listed}

    def erc20(address: str) -> Any:
        symbol, decimals = said[address]
        return SimpleNamespace(symbol=lambda: symbol, decimals=lambda: decimals)

    accepted = {address: rate for address, _, _, rate in listed}
    parameters = SimpleNamespace(accepted_tokens=lambda: accepted)
    network = SimpleNamespace(address=NETWORK)
    return Tokens(cast(Chain, SimpleNamespace(token=network, erc20=erc20, parameters=parameters)))


def test_amounts_are_shown_exactly_and_with_their_symbol() -> None:
    """By the token's decimals, without zeros at the end."""
    assert USDX.amount(12_500_000) == "12.5 USDX"
    assert USDX.amount(-1) == "-0.000001 USDX"
    assert AIN.amount(1_234_567 * 10**18) == "1,234,567 AIN"
    assert Token(ONE, "X", 0).amount(7) == "7 X"
    assert (USDX.per_gflop(0), AIN.per_gflop(0)) == ("less than 0.000001 USDX per GFLOP",
                                                     "0 AIN per GFLOP")  # fmt: skip
    assert Token.of_document(USDX.document()) == USDX
    assert Token.of_document(AIN.document()) == AIN


@given(st.integers(0, 10**60 - 1), st.integers(0, 36))
def test_what_is_shown_is_read_back(units: int, places: int) -> None:
    """To the smallest unit."""
    assert scaled(fixed(units, places).replace(",", ""), places) == units


@pytest.mark.parametrize(
    "text", ["", "-1", "1.", ".5", "1e9", "0x5", "1.0000001", "9" * 200, "1 2"]
)
def test_other_texts_are_no_amounts(text: str) -> None:
    """Nothing is rounded, guessed or left open."""
    with pytest.raises(ValueError, match=r"is not a number|more than 6 decimals"):
        scaled(text, 6)


@pytest.mark.parametrize(
    "symbol",
    [
        "",
        "AIN",
        "ain",
        "wei",
        "0x1234",
        "5",
        "US DX",
        "USD\u0422",
        "\x1b[2J",
        "X" * 17,
        "a,b",
        "a/b",
    ],
)
def test_a_symbol_that_could_deceive_is_not_shown(symbol: str) -> None:
    """The address stands for it: nothing else passes for AIN, for a number, or for an address."""
    token = described(ONE, symbol, 6)
    assert token.symbol == "0x555555..5555"
    assert "no symbol" in token.note
    assert not token.is_ain


def test_decimals_that_are_not_told_are_none_and_said() -> None:
    """Amounts are then whole numbers of smallest units."""
    token = described(ONE, "USDX", None)
    assert (token.amount(5), token.has_decimals) == ("5 USDX", False)
    assert "amounts are in its smallest units" in token.note
    assert described(ONE, "USDX", 0).note == ""


def test_a_rate_is_exact_within_its_bounds() -> None:
    """From AIN for a whole token to wei for 10^18 smallest units, and back."""
    assert rate_of(USDX, "2.5") == 25 * 10**29
    assert Accepted(USDX, 25 * 10**29).ain_per_token == "2.5 AIN"
    assert rate_of(AIN, "1AIN") == 10**18
    least = "0." + "0" * 23 + "1"
    assert rate_of(USDX, least) == RATE_MIN
    assert rate_of(USDX, "1000000") == RATE_MAX
    beyond = "1." + "0" * 30 + "1"
    for wrong in (beyond, "0." + "0" * 24 + "9", "1000000.1", "0", "many", "-1", "1e3"):
        with pytest.raises(BadInput, match=r"USDX may count as 0\.0+1 AIN to 1,000,000 AIN"):
            rate_of(USDX, wrong)


def test_a_rate_that_cannot_be_had_says_what_the_contract_hides() -> None:
    """Without decimals a whole one is a smallest unit: the bounds alone would be a riddle."""
    with pytest.raises(BadInput, match="does not tell its decimals"):
        rate_of(described(ONE, "", None), "2.5")


def test_what_an_amount_counts_as_is_rounded_up() -> None:
    """As the escrow does: no unit locks nothing."""
    assert Accepted(USDX, RATE_MIN).value_wei(1) == 1
    assert Accepted(USDX, 10**18).value_wei(7) == 7
    assert Accepted(USDX, 15 * 10**17).value_wei(3) == 5


def test_an_accepted_token_is_found_by_address_or_symbol() -> None:
    """AIN by its name or its address; nothing that is not on the list."""
    found = tokens((ONE, "USDX", 6, RATE_MIN), (OTHER, "EURX", 2, RATE_MAX))
    assert found.find("USDX") == found.find(ONE) == Accepted(USDX, RATE_MIN)
    for name in ("", "AIN", NETWORK, ZERO_ADDRESS):
        assert found.find(name).token is AIN
    assert found.of(NETWORK) is AIN
    for unknown in ("DOGE", "0x" + "8" * 40):
        with pytest.raises(BadInput, match="does not accept it") as caught:
            found.find(unknown)
        assert f"AIN, USDX ({ONE}), EURX ({OTHER})" in caught.value.remedy
    with pytest.raises(BadInput, match="is not an address"):
        found.find("0x55")


def test_a_symbol_that_two_tokens_have_names_neither() -> None:
    """Both are listed, by their addresses."""
    found = tokens((ONE, "USDX", 6, RATE_MIN), (OTHER, "USDX", 18, RATE_MIN))
    with pytest.raises(BadInput, match="2 accepted tokens are called 'USDX'") as caught:
        found.find("USDX")
    assert ONE in caught.value.remedy
    assert OTHER in caught.value.remedy
    assert found.find(OTHER).token.decimals == 18
