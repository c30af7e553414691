"""What the measurements of gas have in common: rows, budgets, accounts and the meter."""

import json
from dataclasses import dataclass, field
from hashlib import sha256

from node.chain import Chain
from node.chain.handle import Transaction
from node.deployment import AIN
from node.devnet import Devnet
from node.identity import peer_id_bytes
from node.wallet import Signer

BUDGETS = {
    "bond, first": 110_000,
    "bond, more": 110_000,
    "request unbond": 60_000,
    "withdraw": 90_000,
    "fund a job": 130_000,
    "commit a round of 1 claim": 75_000,
    "commit a round of 8 claims": 75_000,
    "commit a round of 64 claims": 75_000,
    "commit an audit": 75_000,
    "reveal an audit, the worker's first": 60_000,
    "reveal an audit": 60_000,
    "claim, first": 90_000,
    "claim, later": 65_000,
    "vote, the first for": 90_000,
    "vote": 90_000,
    "vote, with bonded tokens": 90_000,
    "vote that reaches the quorum": 90_000,
    "vote by signature": 105_000,
    "propose": 90_000,
    "queue": 155_000,
    "execute": 170_000,
}
BOND_WEI = 5_000 * AIN
TOLERANCE, TOLERANCE_OF_DRAWS = 0.002, 0.03
"""Of a figure: what addresses and signatures move it by, and how often a draw must try again."""


@dataclass(frozen=True, slots=True)
class Row:
    """One call and its gas."""

    call: str
    gas: int

    @property
    def budget(self) -> int | None:
        """What it may cost; None where nothing is promised."""
        return BUDGETS.get(self.call)

    @property
    def text(self) -> str:
        """A line of the snapshot."""
        return json.dumps({"call": self.call, "gas": self.gas, "budget": self.budget})

    def matches(self, other: "Row") -> bool:
        """Whether both say the same of the same call."""
        tolerance = TOLERANCE_OF_DRAWS if " draw " in self.call else TOLERANCE
        return self.call == other.call and abs(self.gas - other.gas) <= tolerance * other.gas


@dataclass
class Meter:
    """Sends transactions and notes what they cost."""

    devnet: Devnet
    rows: list[Row] = field(default_factory=list)

    def send(self, what: str, chain: Chain, call: Transaction) -> None:
        self.note(what, chain.send(call).gas_used)

    def note(self, what: str, gas: int) -> None:
        self.rows.append(Row(what, gas))


def word(*parts: object) -> bytes:
    """32 bytes that are the same in every run."""
    return sha256(repr(parts).encode()).digest()


def signer(name: str) -> Signer:
    """An account that is the same in every run."""
    return Signer.from_key(word("account", name))


def peer(name: str) -> bytes:
    """The identity of the account's node."""
    return peer_id_bytes(word("peer", name))
