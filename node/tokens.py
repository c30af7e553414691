"""What money is counted in: AIN, and the tokens that the DAO lets jobs be paid in.

A `Token` is for showing amounts and for reading those that people write. All sums, on the chain and
here, are whole numbers of a token's smallest units, whatever its contract says of itself.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from node.errors import BadInput, ChainUnreachable, NodeError
from node.evm_address import check_address

if TYPE_CHECKING:
    from node.chain import Chain

ZERO_ADDRESS = "0x" + "0" * 40
RATE_UNITS = 10**18
"""A rate is the wei of AIN that so many of a token's smallest units count as."""
RATE_MIN, RATE_MAX = 10**6, 10**36
"""NetworkParameters' bounds of a rate."""
TOKENS_MAX = 16
"""Tokens on the DAO's list at a time; no node has to name more."""
_RATE_PLACES = 36
_NUMBER = re.compile(r"\d[\d_]{0,59}(\.\d{1,40})?")
_SYMBOL = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9.$_+-]{1,16}")


@dataclass(frozen=True, slots=True)
class Token:
    """Something that amounts are counted in. `address` is ZERO_ADDRESS for AIN, as in a job's
    terms. `note` says what its contract does not tell; empty as a rule.
    """

    address: str
    symbol: str
    decimals: int
    note: str = ""
    has_decimals: bool = True
    """Whether its contract tells them; else amounts are shown in smallest units."""

    @property
    def is_ain(self) -> bool:
        """Whether it is the network's own token."""
        return self.address == ZERO_ADDRESS

    @property
    def name(self) -> str:
        """Symbol and, as anybody can call a token anything, address."""
        return self.symbol if self.is_ain else f"{self.symbol} ({self.address})"

    def amount(self, units: int) -> str:
        """So many smallest units, exactly: `12.5 USDX`."""
        sign = "-" if units < 0 else ""
        return f"{sign}{fixed(abs(units), self.decimals)} {self.symbol}"

    def units(self, text: str) -> int:
        """So many whole ones, as people write them, in smallest units; BadInput if it is none."""
        try:
            return scaled(text, self.decimals)
        except ValueError as error:
            raise BadInput(f"That is no amount of {self.symbol}: {error}.") from None

    def per_gflop(self, units: int | None) -> str:
        """The price of a verified GFLOP, rounded down, as people read it."""
        if units is None:
            return "nothing is counted"
        if units == 0 and not self.is_ain:
            return f"less than {self.amount(1)} per GFLOP"
        return f"{self.amount(units)} per GFLOP"

    def document(self) -> dict[str, object]:
        """For JSON; the address is null for AIN."""
        address = None if self.is_ain else self.address
        return {"address": address, "symbol": self.symbol, "decimals": self.decimals}

    @classmethod
    def of_document(cls, document: Mapping[str, object]) -> "Token":
        """The token that `document` made."""
        address, decimals = document["address"] or ZERO_ADDRESS, document["decimals"]
        assert isinstance(decimals, int)
        return cls(str(address), str(document["symbol"]), decimals)


AIN = Token(ZERO_ADDRESS, "AIN", 18)


@dataclass(frozen=True, slots=True)
class Accepted:
    """A token that jobs may be paid in, and its rate; AIN has that of itself."""

    token: Token
    rate: int

    def value_wei(self, units: int) -> int:
        """The wei of AIN that an amount counts as where locks are computed, rounded up."""
        return units if self.token.is_ain else -(-units * self.rate // RATE_UNITS)

    @property
    def ain_per_token(self) -> str:
        """The AIN that a whole token counts as, exactly."""
        return f"{fixed(self.rate * 10**self.token.decimals, _RATE_PLACES)} AIN"


PAID_IN_AIN = Accepted(AIN, RATE_UNITS)


class Tokens:
    """The tokens of a chain, each asked for once."""

    def __init__(self, chain: "Chain") -> None:
        self._chain = chain
        self._known = {ZERO_ADDRESS: AIN, chain.token.address: AIN}

    def of(self, address: str) -> Token:
        """What the contract at an address says of itself, as far as it can be shown."""
        if address not in self._known:
            found = self._chain.erc20(address)
            self._known[address] = described(address, found.symbol(), found.decimals())
        return self._known[address]

    def accepted(self) -> list[Accepted]:
        """Those besides AIN that the DAO accepts now."""
        listed = self._chain.parameters.accepted_tokens()
        return [Accepted(self.of(address), rate) for address, rate in listed.items()]

    def ever_accepted(self) -> list[Token]:
        """Those besides AIN that were on the list at any time, in the order in which they came."""
        from node.chain.events import TokenRateChanged

        chain = self._chain
        start, head = chain.network.deployment_block, chain.head().number
        changes = chain.events(start, head, (TokenRateChanged,))
        addresses = (each.token for each in changes if isinstance(each, TokenRateChanged))
        return [self.of(address) for address in dict.fromkeys(addresses)]

    def named(self, text: str) -> Token:
        """The token at an address, accepted or not, or the accepted one with this symbol."""
        if text.lower().startswith("0x"):
            return self.of(_address(text))
        try:
            return self.find(text).token
        except BadInput as error:
            raise BadInput(
                error.message, f"{error.remedy} Any other goes by its address."
            ) from None

    def find(self, text: str) -> Accepted:
        """What a job can be paid in that people call `text`: `AIN`, an address, or a symbol that
        one accepted token has. BadInput with all that there are for anything else.
        """
        if text in ("", AIN.symbol, ZERO_ADDRESS, self._chain.token.address):
            return PAID_IN_AIN
        accepted = self.accepted()
        if text.lower().startswith("0x"):
            wanted = _address(text)
            found = [each for each in accepted if each.token.address == wanted]
        else:
            found = [each for each in accepted if each.token.symbol == text]
        if len(found) == 1:
            return found[0]
        raise BadInput(
            f"{len(found)} accepted tokens are called {text!r}."
            if found
            else f"Jobs cannot be paid in {text!r}: the DAO does not accept it.",
            f"Accepted: {', '.join(['AIN', *(each.token.name for each in accepted)])}. "
            "`ainur gov propose accept-token` asks for another.",
        )


def held_by(chain: "Chain", token: Token, account: str) -> int | None:
    """What an account holds of a token; None if its contract does not answer as tokens do."""
    if token.is_ain:
        return chain.token.balance_of(account)
    try:
        return chain.erc20(token.address).balance_of(account)
    except ChainUnreachable:
        raise
    except NodeError:
        # One that broke after it was accepted must hide nothing else.
        return None


def described(address: str, symbol: str, decimals: int | None) -> Token:
    """A token from what its contract says: never one that can be taken for AIN or an address."""
    short = f"{address[:8]}..{address[-4:]}"
    is_name = _SYMBOL.fullmatch(symbol) and symbol.lower() not in ("ain", "wei")
    told = symbol if is_name and not symbol.lower().startswith("0x") else short
    notes = [] if told == symbol else ["it has no symbol that can be shown"]
    if decimals is None:
        notes.append("it does not tell its decimals: amounts are in its smallest units")
    return Token(address, told, decimals or 0, "; ".join(notes), decimals is not None)


def fixed(units: int, places: int) -> str:
    """`units` / 10^places as a decimal number, exactly, without trailing zeros."""
    whole, rest = divmod(units, 10**places)
    fraction = f"{rest:0{places}d}".rstrip("0") if rest else ""
    return f"{whole:,}{'.' + fraction if fraction else ''}"


def scaled(text: str, places: int) -> int:
    """A decimal number times 10^places; ValueError if it is none, or has more places."""
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} is not a number such as 12.5")
    whole, _, fraction = text.replace("_", "").partition(".")
    fraction = fraction.rstrip("0")
    if len(fraction) > places:
        raise ValueError(f"{text!r} has more than {places} decimals")
    return int(whole + fraction.ljust(places, "0"))


def rate_of(token: Token, ain_per_token: str) -> int:
    """The rate by which a whole token counts as so many AIN; BadInput where there is none."""
    text = ain_per_token.removesuffix("AIN").removesuffix("ain").strip()
    places = _RATE_PLACES - token.decimals
    try:
        rate = scaled(text, places)
    except ValueError as error:
        raise BadInput(f"The rate cannot be had: {error}.", _bounds_of(token)) from None
    if not RATE_MIN <= rate <= RATE_MAX:
        raise BadInput(f"A {token.symbol} cannot count as {text} AIN.", _bounds_of(token))
    return rate


def _bounds_of(token: Token) -> str:
    least, most = (Accepted(token, rate).ain_per_token for rate in (RATE_MIN, RATE_MAX))
    note = f" Its contract: {token.note}." if token.note else ""
    return f"A {token.symbol} may count as {least} to {most}.{note}"


def _address(text: str) -> str:
    try:
        return check_address(text)
    except ValueError as error:
        raise BadInput(f"{text!r} is not an address: {error}.") from None
