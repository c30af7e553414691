"""What a person sees of a node: one typed status behind the CLI, `--json` and the local API."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

WIRE = "wire"
"""Where the traffic of all connections is told, beside that of each protocol."""


class StatusModel(BaseModel):
    """The base of status documents: closed and immutable."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class JobStatus(StatusModel):
    """One job as this node sees it; `waiting_for` says why nothing happens, empty if it does."""

    job_id: str
    name: str
    state: str
    role: str
    rounds_done: int
    rounds_anchored: int
    rounds: int
    slots: int
    waiting_for: str


class TrafficStatus(StatusModel):
    """Bytes to and from peers since the start: of one protocol, or of all connections ("wire")."""

    protocol: str
    sent_bytes: int
    received_bytes: int


class TokenStatus(StatusModel):
    """What jobs in a token other than AIN have brought, in its smallest units."""

    address: str
    earned: int
    claimed: int


class EndpointStatus(StatusModel):
    """One chain endpoint: whether it is asked first, failures in a row, and the last one's reason,
    empty if it answers.
    """

    name: str
    in_use: bool
    failures: int
    problem: str


class NodeStatus(StatusModel):
    """One node. Money in wei, times in seconds, speeds in GFLOP/s.

    `rounds_rechecked`: finished rounds whose checkpoint it made again from the results.
    `storage_bytes` of at most `storage_bytes_max` are used by blobs, as of the last look, a minute
    ago at most; `cleaned_bytes` were removed since the start. `chain_undone`: how often the chain
    has replaced blocks that were counted with.
    """

    version: str
    peer_id: str
    wallet: str
    pid: int
    uptime_s: float
    device: str
    addresses: Annotated[tuple[str, ...], Field(default=())]
    peers: int
    bond_wei: int
    locked_wei: int = 0
    free_wei: int = 0
    active: bool
    chain_block: int
    chain_undone: int = 0
    endpoints: Annotated[tuple[EndpointStatus, ...], Field(default=())]
    units_computed: int
    audits_computed: int
    units_lost: int
    rounds_rechecked: int = 0
    flops: int
    compute_s: float
    gflops_per_s: float
    earned_wei: int
    claimed_wei: int
    tokens: Annotated[tuple[TokenStatus, ...], Field(default=())]
    storage_bytes: int = 0
    storage_bytes_max: int = 0
    cleaned_bytes: int = 0
    draining: bool
    activity: str
    jobs: Annotated[tuple[JobStatus, ...], Field(default=())]
    traffic: Annotated[tuple[TrafficStatus, ...], Field(default=())]
