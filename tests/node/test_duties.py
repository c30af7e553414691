"""Duties towards hostile jobs: what one unit makes impossible does not hold up another."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import trio
import trio.testing
from eth_utils.crypto import keccak

from node.chain import AsyncChain, Reverted
from node.chain import events as e
from node.chain.events import Place
from node.chain.types import Claim, ClaimedUnit, JobTerms
from node.chain_watch import ChainWatch
from node.commitments import NO_INPUT, Commitments, Roots
from node.compute_messages import UnitDone
from node.custody import Custody
from node.duties import AGAIN_S, INPUT_TRY_S, Duties
from node.errors import PeerUnreachable
from node.ids import INPUT_UNAVAILABLE, JobId, UnitId, commitment, unit_id
from node.jobs import JobKeeper
from node.journal import Journal
from node.ledger import JobView
from node.owed import CAPTURE_AFTER_BLOCKS, CAPTURE_SPREAD_BLOCKS
from node.recompute import Recompute
from scheduler.blob_ref import BlobRef
from scheduler.manifest import Manifest
from scheduler.terms import UnitRef

pytestmark = pytest.mark.trio

HOSTILE, HONEST = JobId(b"h" * 32), JobId(b"j" * 32)
US, OTHER = (f"0x{digit * 40}" for digit in "12")
NOW_S, DEADLINE_S = 1000, 1060
TERMS = JobTerms(b"m" * 32, 100, b"b" * 32, rounds=2, slots=2, unit_wei=10, deadline=10**6)

RESULT = BlobRef.of(b"result")

Call = tuple[str, tuple[UnitId, ...]]


@dataclass
class Contract:
    """Notes the calls that reach the chain; refuses those that touch a unit of `refused`."""

    sent: list[Call] = field(default_factory=list)
    refused: set[bytes] = field(default_factory=set)
    commitments: dict[UnitId, bytes] = field(default_factory=dict)
    block: int = 0

    def commit_audits(self, units: list[UnitId], commitments: list[bytes]) -> Call:
        self.commitments.update(zip(units, commitments, strict=True))
        return ("commit", tuple(units))

    def open_units(self, units: list[UnitId], _traces: object, _salts: object) -> Call:
        return ("open", tuple(units))

    def release_locks(
        self, job_id: JobId, round: int, _dissolutions: int, _batch: int, claims: list[ClaimedUnit]
    ) -> Call:
        units = (unit_id(job_id, round, claim.slot, claim.attempt) for claim in claims)
        return ("release", tuple(units))

    def capture_draw(
        self, job_id: JobId, round: int, _batch: int, claims: list[ClaimedUnit]
    ) -> Call:
        units = (unit_id(job_id, round, claim.slot, claim.attempt) for claim in claims)
        return ("capture", tuple(units))

    def return_deposit(self, unit: UnitId) -> Call:
        return ("deposit", (unit,))

    async def send(self, call: Call) -> SimpleNamespace:
        if self.refused & set(call[1]):
            raise Reverted(call[0], "DeadlinePassed", {})
        self.sent.append(call)
        return SimpleNamespace(block=self.block)

    @property
    def sync(self) -> SimpleNamespace:
        return SimpleNamespace(ledger=self)


class Device:
    """Computes units of the honest job at once; the hostile one's fail, or never end."""

    hangs = False
    input_lost = input_hangs = False

    async def fetch_input(self, _job: JobView, _unit: UnitRef) -> None:
        if self.input_hangs:
            await trio.sleep_forever()
        if self.input_lost:
            raise PeerUnreachable("nobody has its rows")

    async def run(
        self, job: JobView, _manifest: Manifest, _unit: UnitRef, *, audit: bool
    ) -> UnitDone:
        if job.job_id == HOSTILE:
            if self.hangs:
                await trio.sleep_forever()
            raise PeerUnreachable("nobody has the checkpoint")
        return UnitDone(
            result=RESULT,
            result_root=b"r" * 32,
            trace_root=b"t" * 32,
            metrics={},
            seconds=0,
            flops=1,
        )


class World:
    """A node with duties in two jobs, one of them hostile."""

    def __init__(self, journal: Journal) -> None:
        self.watch = ChainWatch(cast(AsyncChain, None), 0, 1.0)
        self.contract, self.device = Contract(), Device()
        self.found = list[tuple[object, ...]]()
        self.commitments = Commitments(journal, US, b"s" * 32)
        held = {job: cast(Manifest, None) for job in (HOSTILE, HONEST)}
        self.jobs = SimpleNamespace(held=held, out_of_reach=set[bytes]())
        self.duties = Duties(
            US,
            self.watch,
            cast(AsyncChain, self.contract),
            cast(JobKeeper, self.jobs),
            cast(Recompute, self.device),
            self.commitments,
            cast(Custody, SimpleNamespace(found=lambda *found: self.found.append(found))),
        )
        self._index = 0
        self.watch.ledger.head_time_s = NOW_S
        self.happen(e.ActiveChanged, US, True)
        for job in (HOSTILE, HONEST):
            self.happen(e.JobFunded, job, OTHER, TERMS, 5, TERMS.unit_wei, 66)
            self.happen(e.LeaseTaken, job, OTHER, 10**6, 1)

    def happen(self, kind: type[e.Event], *values: object) -> None:
        self._index += 1
        self.watch.ledger.apply(kind(Place(7, self._index, b""), *values))

    def commit(self, job: JobId, worker: str, root: bytes = b"r" * 32) -> UnitId:
        claim = Claim(0, 0, worker, root, b"c" * 32, b"s" * 65)
        self.happen(e.RoundCommitted, job, 0, 0, b"x" * 32, 9, (claim,))
        return unit_id(job, 0, 0, 0)

    def draw(self, job: JobId, root: bytes = b"r" * 32) -> UnitId:
        unit = self.commit(job, OTHER, root)
        self.happen(e.UnitDrawn, unit, US, job, 0, 0, 0, OTHER, DEADLINE_S)
        return unit

    def must_open(self, job: JobId) -> UnitId:
        unit = self.commit(job, US)
        self.commitments.commit("worker", unit, Roots(b"r" * 32, b"t" * 32), job, 0)
        self.happen(e.UnitDrawn, unit, OTHER, job, 0, 0, 0, US, DEADLINE_S)
        self.happen(e.AuditCommitted, unit, OTHER, DEADLINE_S)
        return unit

    async def serve(self, seconds: float, recomputes: bool = True) -> None:
        with trio.move_on_after(seconds):
            await self.duties.run(recomputes)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with Journal(tmp_path / "journal") as journal:
        yield World(journal)


async def test_an_audit_that_cannot_be_done_holds_up_no_other(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    """The checkpoint of a hostile job is nowhere; the honest job's audit is committed."""
    world.draw(HOSTILE)
    unit = world.draw(HONEST)
    await world.serve(AGAIN_S / 2)
    assert ("commit", (unit,)) in world.contract.sent
    assert not world.duties.busy  # our own work goes on meanwhile


@pytest.mark.parametrize("agrees", [True, False])
async def test_an_auditor_holds_the_result_that_it_computed_too(
    world: World, autojump_clock: trio.testing.MockClock, agrees: bool
) -> None:
    """A coordinator that lost it finds it there; of another result it says nothing."""
    world.draw(HONEST, (b"r" if agrees else b"w") * 32)
    await world.serve(AGAIN_S / 2)
    found = [(HONEST, UnitRef(0, 0, 0), b"r" * 32, RESULT)]
    assert world.found == (found if agrees else [])


async def test_an_audit_ends_at_its_deadline(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    """A job that computes for ever has the device until its audit is overdue, no longer."""
    world.device.hangs = True
    world.draw(HOSTILE)
    unit = world.draw(HONEST)
    await world.serve(DEADLINE_S - NOW_S + AGAIN_S)
    assert ("commit", (unit,)) in world.contract.sent


async def test_an_overdue_audit_is_not_owed(world: World) -> None:
    """The chain would refuse it."""
    world.draw(HONEST)
    world.watch.ledger.head_time_s = DEADLINE_S + 1
    world.duties._recomputes = True
    assert not world.duties.busy


async def test_a_unit_that_cannot_be_opened_spoils_no_other(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    """One call opens many; the chain refuses it for one, and a worker that is late is slashed."""
    late, other = world.must_open(HOSTILE), world.must_open(HONEST)
    world.contract.refused = {late}
    await world.serve(1.0)
    assert ("open", (other,)) in world.contract.sent


async def test_what_the_ledger_has_yet_to_show_is_not_sent_again(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    """Mined but not confirmed: a second call would be refused. What is refused is not counted."""
    opened, audited = world.must_open(HOSTILE), world.draw(HONEST)
    world.contract.block = 8
    await world.serve(3 * AGAIN_S)
    assert sorted(world.contract.sent) == [("commit", (audited,)), ("open", (opened,))]
    assert world.duties.counts.audits == 1
    world.watch.ledger.head = 8
    world.contract.refused = {audited}
    await world.serve(3 * AGAIN_S)
    assert world.contract.sent.count(("open", (opened,))) > 1  # the chain has dropped the first
    assert world.duties.counts.audits == 1


async def test_a_node_that_does_not_audit_opens_its_units(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    """Without the role it recomputes nothing, and is not busy; its own units it still owes."""
    world.draw(HOSTILE)
    unit = world.must_open(HONEST)
    await world.serve(1.0, recomputes=False)
    assert world.contract.sent == [("open", (unit,))]
    assert not world.duties.busy


async def test_a_node_captures_a_draw_that_is_left_alone(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    """Whoever's units they are, once, and not while its coordinator may still do it."""
    unit = world.commit(HONEST, OTHER)
    await world.serve(1.0)
    assert world.contract.sent == []
    world.watch.ledger.head += CAPTURE_AFTER_BLOCKS + CAPTURE_SPREAD_BLOCKS + 10
    await world.serve(2.0)
    assert world.contract.sent == [("capture", (unit,))]


async def test_a_node_has_its_locks_back_that_no_rounds_end_frees(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    """Its own dissolved unit, once; another's is another's."""
    ours, others = world.commit(HOSTILE, US), world.commit(HONEST, OTHER)
    ledger = world.watch.ledger
    ledger.dissolved |= {unit: ledger.units[unit] for unit in (ours, others)}
    await world.serve(1.0)
    assert world.contract.sent == [("release", (ours,))]
    world.happen(e.LockReleased, ours, US, 200)
    await world.serve(3 * AGAIN_S)
    assert world.contract.sent == [("release", (ours,))]


async def test_a_node_has_its_deposits_back_for_units_that_were_dissolved(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    """Its own, once; another's is another's."""
    ours, others = world.commit(HOSTILE, OTHER), world.commit(HONEST, OTHER)
    for unit, challenger in ((ours, US), (others, OTHER)):
        world.happen(e.ChallengeOpened, unit, challenger, 50)
    ledger = world.watch.ledger
    ledger.deposits |= {unit: ledger.units[unit] for unit in (ours, others)}
    await world.serve(1.0)
    assert world.contract.sent == [("deposit", (ours,))]
    world.happen(e.ChallengeClosed, ours, US, 50, 0, 0)
    await world.serve(3 * AGAIN_S)
    assert world.contract.sent == [("deposit", (ours,))]


async def test_what_was_sent_is_forgotten_once_the_ledger_shows_it(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    """A node that serves for years remembers what is under way alone."""
    for job in (HOSTILE, HONEST):
        world.contract.block = world.watch.ledger.head + 1
        unit = world.must_open(job)
        await world.serve(1.0)
        world.watch.ledger.head = world.contract.block
        world.happen(e.UnitOpened, unit, b"o" * 32, DEADLINE_S)
        await trio.sleep(2 * AGAIN_S)
    sent = world.duties._sent
    assert (len(world.contract.sent), len(sent.at), len(sent.mined)) == (2, 1, 1)


def says_missing(world: World, unit: UnitId) -> bool:
    """Whether the audit that was committed to says that there is no data."""
    salt = world.commitments.salt("auditor", unit)
    missing = commitment(unit, US, INPUT_UNAVAILABLE, salt)
    return world.contract.commitments.get(unit) == missing


@pytest.mark.parametrize("how", ["lost", "hangs", "program"])
async def test_an_auditor_without_data_says_so_once_its_patience_is_over(
    world: World, autojump_clock: trio.testing.MockClock, how: str
) -> None:
    """Nobody has the rows, somebody never sends them, or the job's files are nowhere at all."""
    world.device.input_lost, world.device.input_hangs = how == "lost", how == "hangs"
    unit = world.draw(HONEST)
    if how == "program":
        del world.jobs.held[HONEST]
        world.jobs.out_of_reach.add(HONEST)
    start = trio.current_time()
    world.watch.ledger.head_time_s = NOW_S
    await world.serve(INPUT_TRY_S + 1)
    assert not world.contract.sent
    world.watch.ledger.head_time_s = NOW_S + (DEADLINE_S - NOW_S) // 2
    await world.serve(3 * AGAIN_S)
    assert trio.current_time() - start < DEADLINE_S - NOW_S
    assert set(world.contract.sent) == {("commit", (unit,))}
    assert says_missing(world, unit)


async def test_data_that_comes_late_is_audited_as_ever(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    """Within the patience nothing was said, and nothing is held against anybody."""
    world.device.input_lost = True
    unit = world.draw(HONEST)
    await world.serve(1.0)
    assert not world.contract.sent
    world.device.input_lost = False
    await world.serve(2 * AGAIN_S)
    assert set(world.contract.sent) == {("commit", (unit,))}
    assert not says_missing(world, unit)


async def test_an_unreachable_checkpoint_is_not_missing_data(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    """The coordinator's to serve, not the submitter's: the auditor is silent and is replaced."""
    unit = world.draw(HOSTILE)
    await world.serve(1.0)
    world.watch.ledger.head_time_s = DEADLINE_S
    await world.serve(3 * AGAIN_S)
    assert unit not in world.contract.commitments


async def test_the_reserved_root_is_that_of_the_contracts() -> None:
    """keccak256 of its name: no unit root, which is a sha256, equals it."""
    assert NO_INPUT.unit_root == INPUT_UNAVAILABLE
    digest = "0x" + INPUT_UNAVAILABLE.hex()
    assert digest == "0x" + keccak(text="ainur.input-unavailable").hex()
