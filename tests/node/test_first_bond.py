"""node/first_bond.py: a newcomer computes what it has a place for, killed or not."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio
import trio.testing

from engine.commitment import unit_root
from node.chain import AsyncChain, Reverted
from node.chain import events as e
from node.chain.events import Place
from node.chain.types import (
    Claim,
    ClaimedUnit,
    JobTerms,
    Newcomer,
    NewcomerPlace,
    Opening,
    Parameter,
    PassReason,
)
from node.chain_watch import ChainWatch
from node.commitments import Commitments
from node.compute_messages import UnitDone
from node.first_bond import REVEAL_S, FirstBond
from node.ids import JobId, commitment, unit_id
from node.jobs import JobKeeper
from node.journal import Journal
from node.merkle import claim_leaf, merkle_root, verify_proof
from node.messages import AskOpening, UnitOpening
from node.newcomer_audits import NewcomerAudits
from node.recompute import Recompute
from scheduler.blob_ref import BlobRef

pytestmark = pytest.mark.trio

JOB = JobId(b"j" * 32)
US, WORKER = (f"0x{digit * 40}" for digit in "12")
NOW_S, DEADLINE_S, BOND = 1_000, 1_060, 20
TERMS = JobTerms(b"m" * 32, 100, b"b" * 32, rounds=2, slots=2, unit_wei=10, deadline=10**6)
RESULT, TRACE, SALT = b"r" * 32, b"t" * 32, b"s" * 32
UNIT = unit_id(JOB, 0, 1, 0)


class Contract:
    """FirstBonds as a newcomer sees it; `refusals` by the call's name."""

    def __init__(self) -> None:
        self.state = Newcomer(0, 0, False, 0)
        self.until_s, self.has_place, self.openable = 5_000, True, True
        self.refusals: dict[str, str] = {}
        self.sent: list[tuple[str, tuple[Any, ...]]] = []
        self.reads: list[str] = []

    def newcomer_of(self, account: str) -> Newcomer:
        assert account == US
        return self.state

    def registered_until(self, _account: str) -> int:
        return self.until_s

    def place_of(self, _job: JobId, _round: int, _batch: int, _account: str) -> NewcomerPlace:
        return NewcomerPlace(self.has_place, 1, DEADLINE_S)

    def is_openable(self, *_asked: object) -> bool:
        return self.openable

    def commit(self, *arguments: Any) -> tuple[str, tuple[Any, ...]]:
        return "commit", arguments

    def reveal(self, *arguments: Any) -> tuple[str, tuple[Any, ...]]:
        return "reveal", arguments

    def pay_out(self) -> tuple[str, tuple[Any, ...]]:
        return "pay out", ()

    async def send(self, call: tuple[str, tuple[Any, ...]]) -> None:
        self._refuse(call[0])
        self.sent.append(call)

    def simulate(self, call: tuple[str, tuple[Any, ...]], sender: str) -> None:
        assert sender == US
        self._refuse("try")

    def _refuse(self, name: str) -> None:
        if name in self.refusals:
            raise Reverted(name, self.refusals[name], {})

    async def read(self, function: Callable[..., Any], *arguments: object) -> Any:
        self.reads.append(function.__name__)
        return function(*arguments)

    @property
    def sync(self) -> SimpleNamespace:
        return SimpleNamespace(first_bonds=self, simulate=self.simulate)

    def names(self) -> list[str]:
        return [name for name, _ in self.sent]


class World:
    """A newcomer, a job of which a batch was captured, and a worker that opens its commitment."""

    def __init__(self, journal: Journal) -> None:
        self.watch = ChainWatch(cast(AsyncChain, None), 0, 1.0)
        self.contract = Contract()
        self.computed, self.asked = 0, list[AskOpening]()
        self.told = Opening(TRACE, SALT)
        self.commitments = Commitments(journal, US, b"k" * 32)
        self.audits = NewcomerAudits(journal)
        self.first_bond = self.make()
        self._index = 0
        self.watch.ledger.head_time_s = NOW_S
        self.happen(e.ParameterChanged, Parameter.MIN_BOND_WEI, 0, BOND)
        self.happen(e.JobFunded, JOB, WORKER, TERMS, 5, TERMS.unit_wei, 66)
        self.happen(e.LeaseTaken, JOB, WORKER, 10**6, 1)
        self.claims = tuple(self._claim(slot) for slot in range(2))
        self.happen(e.RoundCommitted, JOB, 0, 0, b"x" * 32, 9, self.claims)
        for slot in range(2):
            unit = unit_id(JOB, 0, slot, 0)
            self.happen(e.UnitPassed, unit, JOB, PassReason.NOT_DRAWN, NOW_S + 1)
        self.happen(e.DrawCaptured, JOB, 0, 0, b"d" * 32, False)

    def make(self) -> FirstBond:
        """The duties of a process; another one takes up what the journal has."""
        return FirstBond(
            US,
            self.watch,
            cast(AsyncChain, self.contract),
            cast(JobKeeper, SimpleNamespace(held={JOB: None})),
            cast(Recompute, self),
            self.commitments,
            self.audits,
            self.ask,
        )

    def happen(self, kind: type[e.Event], *values: object) -> None:
        self._index += 1
        self.watch.ledger.apply(kind(Place(7, self._index, b""), *values))

    @staticmethod
    def _claim(slot: int) -> Claim:
        unit = unit_id(JOB, 0, slot, 0)
        sealed = commitment(unit, WORKER, unit_root(RESULT, TRACE), SALT)
        return Claim(slot, 0, WORKER, RESULT, sealed, b"s" * 65)

    async def run(self, *_arguments: object, audit: bool) -> UnitDone:
        """The device."""
        assert audit
        self.computed += 1
        return UnitDone(
            result=BlobRef.of(b"result"),
            result_root=RESULT,
            trace_root=TRACE,
            metrics={},
            seconds=0,
            flops=1,
        )

    async def ask(self, worker: str, question: AskOpening) -> UnitOpening:
        assert worker == WORKER
        self.asked.append(question)
        return UnitOpening(trace_root=self.told.trace_root.hex(), salt=self.told.salt.hex())

    async def serve(self, seconds: float) -> None:
        with trio.move_on_after(seconds):
            await self.first_bond.run()

    def later(self) -> None:
        """The time to commit is over."""
        self.watch.ledger.head_time_s = DEADLINE_S + 1


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with Journal(tmp_path / "journal") as journal:
        yield World(journal)


async def test_a_job_in_another_token_is_left_alone(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    """Its audits pay a newcomer nothing."""
    world.watch.ledger.jobs[JOB].token = "0x" + "5" * 40
    await world.serve(3)
    assert (world.contract.sent, world.computed) == ([], 0)


async def test_a_place_is_computed_committed_and_revealed(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    """The commitment is to what was computed, with a proof that the batch's root takes."""
    await world.serve(3)
    ((name, arguments),) = world.contract.sent
    assert (name, arguments[:3], world.computed) == ("commit", (JOB, 0, 0), 1)
    claim, proof, sealed = arguments[3:]
    shown = tuple(map(ClaimedUnit.of, world.claims))
    assert claim == shown[1]
    leaves = [claim_leaf(JOB, 0, each) for each in shown]
    assert verify_proof(merkle_root(leaves), leaves[1], proof)
    root, salt = unit_root(RESULT, TRACE), world.commitments.salt("newcomer", UNIT)
    assert sealed == commitment(UNIT, US, root, salt)
    assert world.asked == []
    world.later()
    await world.serve(3)
    assert world.contract.sent[1] == ("reveal", (JOB, 0, claim, world.told, root, salt))
    assert world.audits.all() == []


async def test_killed_at_any_moment_it_goes_on(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    """Before the commitment is mined, after it, and with the opening in hand: computed once."""
    world.contract.refusals["commit"] = "DayCapReached"
    await world.serve(0.5)
    world.first_bond = world.make()
    world.contract.refusals["commit"] = "AlreadyCommitted"
    await world.serve(1.5)
    (audit,) = world.audits.all()
    assert audit.is_committed
    world.later()
    world.contract.refusals["reveal"] = "NotOpenable"
    world.first_bond = world.make()
    await world.serve(0.5)
    assert world.audits.all() == [audit.opened(world.told)]
    del world.contract.refusals["reveal"]
    world.first_bond = world.make()
    await world.serve(0.5)
    assert world.contract.names() == ["reveal"]
    assert (world.computed, len(world.asked)) == (1, 1)


async def test_what_would_be_refused_is_not_computed(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    """Not spared after all: let go. A day's cap that is reached: tried again."""
    world.contract.refusals["try"] = "DayCapReached"
    await world.serve(2)
    assert world.computed == 0
    world.contract.refusals["try"] = "NotSpared"
    await world.serve(30)
    del world.contract.refusals["try"]
    await world.serve(30)
    assert (world.computed, world.contract.sent) == (0, [])


@pytest.mark.parametrize("reason", ["no place", "not registered", "bonded"])
async def test_who_has_no_place_does_nothing(
    world: World, autojump_clock: trio.testing.MockClock, reason: str
) -> None:
    """A node with a bond does not even ask."""
    world.contract.has_place = reason != "no place"
    world.contract.until_s = 0 if reason == "not registered" else 5_000
    if reason == "bonded":
        world.happen(e.ActiveChanged, US, True)
    await world.serve(30)
    assert (world.computed, world.contract.sent) == (0, [])
    if reason == "bonded":
        assert world.contract.reads == []
    if reason != "no place":
        assert world.first_bond.activity == ""


async def test_a_worker_is_asked_when_it_may_answer_and_believed_if_it_opens(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    """Another opening than its commitment's is no opening; a later one may be."""
    world.contract.openable = False
    world.told = Opening(TRACE, b"x" * 32)
    await world.serve(3)
    world.later()
    await world.serve(10)
    assert world.asked == []
    world.contract.openable = True
    await world.serve(130)
    assert len(world.asked) > 1
    assert world.contract.names() == ["commit"]
    world.told = Opening(TRACE, SALT)
    await world.serve(130)
    assert world.contract.names() == ["commit", "reveal"]


async def test_a_worker_that_stays_silent_costs_the_pay_and_nothing_else(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    """When the pot has the promise back, the audit is forgotten."""
    world.contract.openable = False
    await world.serve(3)
    world.watch.ledger.head_time_s = DEADLINE_S + REVEAL_S + 1
    await world.serve(130)
    assert world.audits.all() == []
    assert world.contract.names() == ["commit"]


async def test_what_never_reached_the_chain_is_given_up(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    """No commitment in time, no promise: there is nothing to reveal."""
    world.contract.refusals["commit"] = "PotTooSmall"
    await world.serve(3)
    assert len(world.audits.all()) == 1
    world.later()
    await world.serve(130)
    assert (world.audits.all(), world.asked) == ([], [])


async def test_a_bond_that_is_earned_is_paid_out_once(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    """Then the node says what its owner has to do."""
    world.contract.has_place = False
    world.contract.state = Newcomer(BOND - 1, 0, False, 2)
    await world.serve(3)
    assert "by 2 audits; 0 under way" in world.first_bond.activity
    world.contract.state = Newcomer(BOND, 0, False, 3)
    await world.serve(11)
    assert world.contract.names()[0] == "pay out"
    world.contract.sent.clear()
    world.contract.state = Newcomer(0, 0, True, 3)
    await world.serve(30)
    assert world.contract.sent == []
    assert "bond it now with `ainur stake add" in world.first_bond.activity


async def test_a_registration_that_lapsed_is_told(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    """What was earned is still there."""
    world.contract.until_s, world.contract.state = 0, Newcomer(5, 0, False, 1)
    await world.serve(3)
    assert "`ainur stake earn` renews it" in world.first_bond.activity
