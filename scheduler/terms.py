"""What is fixed while a job is coordinated: names of things, the job's numbers, the policy.

Times are integers in milliseconds since the Unix epoch (`_ms`), hashes are 32 raw bytes, wallets
are the strings that the node uses everywhere (one spelling per wallet: the machine compares them).
"""

from dataclasses import dataclass, field
from typing import NewType

from scheduler.blob_ref import BlobRef

PeerId = NewType("PeerId", str)
Wallet = NewType("Wallet", str)

Metrics = tuple[tuple[str, float], ...]
"""Names and values, sorted by name. Carried and shown, never computed with."""

PEERS_MAX = 16_384
WORKERS_MAX = 32_768
ASSIGNMENTS_MAX = 8
ROUNDS_AHEAD_MAX = 8
SAMPLES_MAX = 64
COVERS_MAX = 1 << 20
"""As good as without limit: no round has so many slots."""
HOLDERS_MAX = 8
"""Wallets that may hold one result for a job; 64 slots of them still fit into a message."""
ASKS_AT_ONCE = 4
"""Results that a node fetches for others at the same time, so that no wallet is asked for more."""
RETURN_MS = 60_000
"""How long a node that was killed is waited for by who needs its result: on a loaded machine it was
back after 52 s on average (docs/results/churn.md)."""
TRANSFER_BYTES_PER_S = 256 << 10
"""How fast a slow peer sends, while it sends to others too: time limits grow with what travels."""


@dataclass(frozen=True, slots=True, order=True)
class UnitRef:
    """One attempt at one slot of one round of the job."""

    round: int
    slot: int
    attempt: int

    def __str__(self) -> str:
        return f"{self.round}/{self.slot}#{self.attempt}"


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """Where an event stands on the chain: block number and log index."""

    block: int
    index: int


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's claim to a unit, signed by it, as `WorkLedger.commitRound` takes it."""

    slot: int
    attempt: int
    worker: Wallet
    result_root: bytes
    commitment: bytes
    signature: bytes


@dataclass(frozen=True, slots=True, order=True)
class Holding:
    """A wallet's signed word that it holds a unit's result blob (docs/spec/protocol.md, 5)."""

    wallet: Wallet
    signature: bytes


@dataclass(frozen=True, slots=True)
class SlotResult:
    """The result that fills a slot, as `Combine` takes it."""

    slot: int
    worker: Wallet
    result_root: bytes
    blob: BlobRef


@dataclass(frozen=True, slots=True)
class Policy:
    """What a coordinator decides by itself. Any value is safe; these set speed and patience."""

    held_max: int = 2
    """Units that the peers of one wallet may hold at once, each of them one."""
    copies_max: int = 2
    """Peers that may compute the same unit at once."""
    unit_floor_ms: int = 5_000
    """No unit's limit is shorter, however fast the peers are."""
    reconnect_grace_ms: int = 10_000
    """How long a vanished peer's units wait for it."""
    fetch_timeout_ms: int = RETURN_MS
    """How long a receipted result may take to arrive."""
    holders_return_ms: int = RETURN_MS
    """How long those who hold a claimed result may take to come back before it is computed anew."""
    holders_min: int = 2
    """Bonded wallets that must have signed that they hold a result before its slot is filled; as
    many as are here where they are fewer. 2 are the worker and the coordinator."""
    holding_timeout_ms: int = 30_000
    """How long a peer that is asked to hold a result has for it, beyond the time that it travels;
    then another is asked."""
    ask_again_ms: int = 60_000
    """How long a peer that refused to hold a result, or was late, is not asked again."""
    holders_timeout_ms: int = 120_000
    """How long a stored result may take to find its holders, beyond the time that it travels."""
    straggler_timeouts: int = 2
    """Unit timeouts after which a stored result no longer waits for the rest of its batch."""
    retry_ms: int = 500
    """When a declined peer may ask again; doubled at most by jitter."""
    chain_retry_ms: int = 2_000
    """The first pause after the chain refused a transaction or a combination failed."""
    chain_retry_max_ms: int = 60_000
    quarantine_ms: int = 10_000
    """The first quarantine; doubles with every further failure."""
    quarantine_max_ms: int = 3_600_000
    peers_min: int = 1
    """Wallets that must be ready to work before a round is begun: the submitter's wish."""
    deadline_margin_ms: int = 30_000
    """How long before the job's deadline stored results go to the chain without the rest."""

    def __post_init__(self) -> None:
        if not 1 <= self.holders_min <= HOLDERS_MAX:
            raise ValueError(f"holders_min {self.holders_min} must be 1 to {HOLDERS_MAX}")


@dataclass(frozen=True, slots=True)
class JobTerms:
    """What the coordinator must know of a job, from its manifest and the escrow.

    `memory_bytes`: what a peer must offer, exactly what the job's Programs and files need.
    `deadline_ms`: after it the chain takes no new round, but finishes those that it has; 0: never.
    `rounds_ahead`: how many rounds may be anchored, that is computed on before they are final.
    `result_bytes`: of each unit's result.
    """

    job_id: bytes
    rounds: int
    slots: int
    unit_timeout_ms: int
    memory_bytes: int
    policy: Policy = field(default_factory=Policy)
    deadline_ms: int = 0
    rounds_ahead: int = 0
    result_bytes: int = 0

    @property
    def transfer_ms(self) -> int:
        """How long a result travels from a slow peer."""
        return self.result_bytes * 1000 // TRANSFER_BYTES_PER_S

    def __post_init__(self) -> None:
        for name in ("rounds", "slots", "unit_timeout_ms"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)} must be at least 1")
        if not 0 <= self.rounds_ahead <= ROUNDS_AHEAD_MAX:
            raise ValueError(f"rounds_ahead {self.rounds_ahead} must be 0 to {ROUNDS_AHEAD_MAX}")
