"""The control messages that nodes exchange, and their bounds.

Every payload from a peer is one JSON object of this closed union; anything else is a `PeerFault`.
The protocols are request and response over a persistent stream, so each side always knows what may
come next (docs/spec/protocol.md, section 5). Hashes are 64 hexadecimal digits without a prefix,
addresses are checksummed or lower-case hexadecimal with 0x.
"""

from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from node.errors import PeerFault
from scheduler.blob_ref import BlobRef
from scheduler.contract import METRICS_MAX
from scheduler.state import UNAVAILABLE_MAX
from scheduler.terms import HOLDERS_MAX

OFFER_PROTOCOL = "/ainur/offer/0"
WORK_PROTOCOL = "/ainur/work/5"
JOB_PROTOCOL = "/ainur/job/1"
ALARM_PROTOCOL = "/ainur/alarm/0"
CUSTODY_PROTOCOL = "/ainur/custody/0"
OPENING_PROTOCOL = "/ainur/opening/0"

MESSAGE_BYTES_MAX = 512 * 1024
HELD_MAX = 256
"""Results that a message about custody names: a few for each slot."""

PULL_WAIT_MS_MAX = 20_000
"""Well below what a worker waits for an answer, and what a connection may be silent."""

Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Address = Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{40}$")]
Signature = Annotated[str, Field(pattern=r"^[0-9a-f]{130}$")]
Reason = Annotated[str, Field(max_length=400)]
Index = Annotated[int, Field(ge=0, lt=2**32)]
MetricName = Annotated[str, Field(min_length=1, max_length=128)]


class Message(BaseModel):
    """The base of every message: strict, closed, immutable."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        ser_json_inf_nan="constants",  # a diverged loss is NaN, and must arrive as such
    )


class UnitKey(Message):
    """Which unit of a job: the slot of a round, and how often it was committed on chain before."""

    round: Index
    slot: Index
    attempt: Index


class AcceptedResult(Message):
    """The result that fills a slot of a finished round.

    `took_ms` is how long its worker had the unit before it committed, 0 where nobody knows.
    """

    slot: Index
    result_root: Hash
    blob: BlobRef
    took_ms: Annotated[int, Field(ge=0, lt=2**40)] = 0


class OfferJob(Message):
    """Submitter to peer: hold this job's program and data; ask me for the blobs."""

    type: Literal["offer_job"] = "offer_job"
    job_id: Hash
    manifest: BlobRef


class JobHeld(Message):
    """Peer to submitter: every blob of the job is stored here."""

    type: Literal["job_held"] = "job_held"
    job_id: Hash
    wallet: Address


class PullUnit(Message):
    """Worker to coordinator: give me work; the results of units in `ready` are at hand.

    Where there is none now, but may be soon, the answer may be held back for `wait_ms`: a round
    that begins is then known at once, and nobody asks in vain. `combined` is the last round of
    which the worker knows that its results are combined; of a later one it is told at once.
    """

    type: Literal["pull_unit"] = "pull_unit"
    job_id: Hash
    memory_bytes: Annotated[int, Field(ge=0, lt=2**63)]
    wait_ms: Annotated[int, Field(ge=0, le=PULL_WAIT_MS_MAX)] = 0
    ready: Annotated[tuple[UnitKey, ...], Field(max_length=64)] = ()
    combined: Index | None = None


class UnitAssigned(Message):
    """Coordinator to worker: compute this unit before the deadline."""

    type: Literal["unit_assigned"] = "unit_assigned"
    unit: UnitKey
    checkpoint: BlobRef
    checkpoint_root: Hash
    timeout_ms: Annotated[int, Field(gt=0, lt=2**40)]


class UnitDeclined(Message):
    """Coordinator to worker: nothing for you now, and why.

    `combined` is the open round once its results are combined: what made it can be asked for
    before the chain has its checkpoint.
    """

    type: Literal["unit_declined"] = "unit_declined"
    reason: Reason
    retry_after_ms: Annotated[int, Field(ge=0, lt=2**32)]
    combined: Index | None = None


class CommitUnit(Message):
    """Worker to coordinator: the unit is done; this commits me to its bits.

    `parent` is the checkpoint that it was computed from (zeros in the first round), `lease_epoch`
    the lease that the coordinator holds: the signature counts for these alone. `holding` is my word
    that I hold the result (node/custody.py).
    """

    type: Literal["commit_unit"] = "commit_unit"
    job_id: Hash
    unit: UnitKey
    parent: Hash
    lease_epoch: Index
    result_root: Hash
    blob: BlobRef
    commitment: Hash
    signature: Signature
    holding: Signature


class Receipt(Message):
    """Coordinator to worker: your commitment is in my journal; the signature proves it."""

    type: Literal["receipt"] = "receipt"
    unit: UnitKey
    signature: Signature


class AskRound(Message):
    """Anyone to a holder of the job: which results made the checkpoint after this round?"""

    type: Literal["ask_round"] = "ask_round"
    job_id: Hash
    round: Index


class RoundResults(Message):
    """What made the checkpoint after a round: the results in slot order, and their aggregate.

    `metrics` are its evaluation as the round's coordinator told it: whoever remembers a round hands
    them on, and anyone can evaluate the checkpoint again.
    """

    type: Literal["round_results"] = "round_results"
    round: Index
    aggregate: BlobRef
    results: Annotated[tuple[AcceptedResult, ...], Field(max_length=64)]
    metrics: Annotated[dict[MetricName, float], Field(max_length=METRICS_MAX)] = Field(
        default_factory=dict
    )


class HoldResult(Message):
    """Coordinator to a peer of the job: fetch this result from me, and sign that you hold it."""

    type: Literal["hold_result"] = "hold_result"
    job_id: Hash
    unit: UnitKey
    result_root: Hash
    blob: BlobRef


class ResultSigned(Message):
    """Peer to coordinator: the result is here; node/custody.py has the text that is signed."""

    type: Literal["result_signed"] = "result_signed"
    signature: Signature


class AskCustody(Message):
    """Anyone to anyone who holds the job: who holds the results of this round?"""

    type: Literal["ask_custody"] = "ask_custody"
    job_id: Hash
    round: Index


class SignedHolding(Message):
    """A wallet's word that it holds a result."""

    wallet: Address
    signature: Signature


class HeldResult(Message):
    """A result, and who signed that it holds it."""

    unit: UnitKey
    result_root: Hash
    blob: BlobRef
    holdings: Annotated[tuple[SignedHolding, ...], Field(max_length=HOLDERS_MAX)]


class UnavailableResult(Message):
    """A receipted unit whose result was not to be had: whose, and why."""

    unit: UnitKey
    wallet: Address
    cause: Reason


class RoundCustody(Message):
    """Who holds what of a round, as the teller knows; a coordinator also says what was missing."""

    type: Literal["round_custody"] = "round_custody"
    round: Index
    results: Annotated[tuple[HeldResult, ...], Field(max_length=HELD_MAX)]
    unavailable: Annotated[tuple[UnavailableResult, ...], Field(max_length=UNAVAILABLE_MAX)] = ()


class RaiseAlarm(Message):
    """To every peer: this anchored checkpoint does not follow from the results; look yourself."""

    type: Literal["raise_alarm"] = "raise_alarm"
    job_id: Hash
    round: Index
    checkpoint: Hash


class AlarmHeard(Message):
    """The answer to an alarm: it will be looked into."""

    type: Literal["alarm_heard"] = "alarm_heard"


class AskOpening(Message):
    """Newcomer to worker: open your commitment to this unit; nobody has to find it blindly now."""

    type: Literal["ask_opening"] = "ask_opening"
    job_id: Hash
    unit: UnitKey


class UnitOpening(Message):
    """Worker to newcomer: what opens the commitment that the unit's claim has on chain."""

    type: Literal["unit_opening"] = "unit_opening"
    trace_root: Hash
    salt: Hash


class AskJob(Message):
    """Anyone to the coordinator: how far is the job?"""

    type: Literal["ask_job"] = "ask_job"
    job_id: Hash


class JobProgress(Message):
    """How far a job is, as its coordinator sees it; a rendered `scheduler` progress."""

    type: Literal["job_progress"] = "job_progress"
    job_id: Hash
    document: Annotated[str, Field(max_length=MESSAGE_BYTES_MAX // 2)]


class OrderPause(Message):
    """Submitter to its job's peers: hand out no units, or go on; node/pause_order.py signs it."""

    type: Literal["order_pause"] = "order_pause"
    job_id: Hash
    paused: bool
    serial: Annotated[int, Field(ge=0, lt=2**63)]
    signature: Signature


class OrderStale(Message):
    """Peer to submitter: the order is refused, because this later one of the submitter's is known.

    Its signature proves that the submitter gave it.
    """

    type: Literal["order_stale"] = "order_stale"
    last: OrderPause


class OrderKept(Message):
    """Peer to submitter: the order is kept here, for when this node coordinates the job."""

    type: Literal["order_kept"] = "order_kept"
    job_id: Hash


class Refused(Message):
    """The answer to a request that cannot be served, with the reason."""

    type: Literal["refused"] = "refused"
    reason: Reason


AnyMessage = Annotated[
    OfferJob
    | JobHeld
    | PullUnit
    | UnitAssigned
    | UnitDeclined
    | CommitUnit
    | Receipt
    | AskRound
    | RoundResults
    | HoldResult
    | ResultSigned
    | AskCustody
    | RoundCustody
    | RaiseAlarm
    | AlarmHeard
    | AskOpening
    | UnitOpening
    | AskJob
    | OrderPause
    | OrderKept
    | OrderStale
    | JobProgress
    | Refused,
    Field(discriminator="type"),
]

_ADAPTER: TypeAdapter[AnyMessage] = TypeAdapter(AnyMessage)
M = TypeVar("M", bound=Message)


def encode(message: Message) -> bytes:
    """The payload of a message."""
    return message.model_dump_json().encode()


def decode(payload: bytes) -> Message:
    """The message in a payload from a peer; PeerFault names the first thing that is wrong."""
    if len(payload) > MESSAGE_BYTES_MAX:
        raise PeerFault(f"a control message has {len(payload)} bytes, over {MESSAGE_BYTES_MAX}")
    try:
        return _ADAPTER.validate_json(payload)
    except (ValidationError, RecursionError) as error:
        detail = error.errors()[0]["msg"] if isinstance(error, ValidationError) else "too deep"
        raise PeerFault(f"a malformed control message: {detail}") from None


def expect(message: Message, kind: type[M]) -> M:
    """The message as the kind that may come now; a refusal or another kind is a PeerFault."""
    if isinstance(message, kind):
        return message
    if isinstance(message, Refused):
        raise PeerFault(f"the peer refused: {message.reason}")
    raise PeerFault(f"{kind.__name__} was due, {type(message).__name__} came")
