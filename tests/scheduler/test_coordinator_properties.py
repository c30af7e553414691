"""Any sequence of events, sensible or not: what must always hold."""

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from scheduler.codec import encode_state
from scheduler.commands import Combine
from scheduler.coordinator import digest, replay
from scheduler.errors import IllegalEvent
from scheduler.events import (
    BondChanged,
    ChallengeWindowOver,
    CommitRefused,
    Event,
    NodeRestarted,
    PeerVanished,
    ResultFault,
    ResultRefused,
    ResultStored,
    Tick,
    UnitDisputed,
    UnitFaulted,
    UnitPassed,
    UnitVerified,
    UnitVoided,
)
from scheduler.rows import DONE, SlotStatus
from scheduler.terms import UnitRef
from tests.scheduler.machine import Machine, blob, commit, peer, wallet
from tests.scheduler.strategies import NAMES, events

INDEX = st.integers(0, 2)
NAME = st.sampled_from(NAMES)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(events(), st.integers(0, 90_000)), max_size=60))
def test_any_events_leave_a_sound_state_that_replays(steps: list[tuple[Event, int]]) -> None:
    """`Machine.feed` checks purity, invariants, encoding and commands after each."""
    machine = Machine(slots=3, rounds=3)
    for event, after_ms in steps:
        with contextlib.suppress(IllegalEvent):
            machine.feed(event, after_ms, seed=after_ms)
    assert digest(replay(machine.journal).state) == digest(machine.state)


class JobRun(RuleBasedStateMachine):
    """A job driven by plausible moves only, so that deep states are reached."""

    names = Bundle("names")

    @initialize()
    def begin(self) -> None:
        self.machine = Machine(slots=3, rounds=2)
        self.promised: dict[UnitRef, bytes] = {}
        self.machine.join(*NAMES)

    @property
    def running(self) -> bool:
        return self.machine.state.outcome is None

    def with_status(self, *statuses: SlotStatus) -> list[int]:
        return [slot.index for slot in self.machine.state.slots if slot.status in statuses]

    @rule(name=NAME, after_ms=st.sampled_from([0, 500, 70_000]))
    def request(self, name: str, after_ms: int) -> None:
        if self.machine.held(name):
            self.machine.request_more(name, after_ms)
        else:
            self.machine.request(name, after_ms)

    @precondition(lambda self: self.running)
    @rule(name=NAME, index=INDEX)
    def commit(self, name: str, index: int) -> None:
        self.machine.feed(commit(name, self.machine.unit(index)), 1_000)

    @precondition(lambda self: self.running)
    @rule(index=INDEX, good=st.booleans(), fault=st.sampled_from(ResultFault))
    def fetch(self, index: int, good: bool, fault: ResultFault) -> None:
        unit, filling = self.machine.unit(index), self.machine.slot(index).filling
        if filling is None or filling.peer is None:
            return
        name = filling.wallet.removeprefix("0x")
        found = blob(name, unit)
        refused = ResultRefused(unit, found, filling.peer, fault)
        self.machine.feed(ResultStored(unit, found) if good else refused)

    @precondition(lambda self: self.with_status(SlotStatus.SUBMITTED))
    @rule(taken=st.booleans())
    def chain_answers(self, taken: bool) -> None:
        if taken:
            self.machine.claim_on_chain()
        else:
            self.machine.feed(CommitRefused(self.machine.state.round, "reverted"))

    @precondition(lambda self: self.with_status(SlotStatus.COMMITTED))
    @rule(audited=st.booleans())
    def draw(self, audited: bool) -> None:
        index = self.with_status(SlotStatus.COMMITTED)[0]
        if audited:
            self.machine.drawn(index)
        else:
            self.machine.passed(index)

    @precondition(lambda self: self.with_status(SlotStatus.DRAWN))
    @rule(kind=st.sampled_from(["verified", "disputed", "faulted", "passed"]))
    def audit(self, kind: str) -> None:
        unit = self.machine.unit(self.with_status(SlotStatus.DRAWN)[0])
        at = self.machine.at()
        made: dict[str, Event] = {
            "verified": UnitVerified(at, unit, 0),
            "disputed": UnitDisputed(at, unit),
            "faulted": UnitFaulted(at, unit, wallet("a")),
            "passed": UnitPassed(at, unit, 0),
        }
        self.machine.feed(made[kind])

    @precondition(lambda self: self.with_status(SlotStatus.DISPUTED))
    @rule(kind=st.sampled_from(["verified", "faulted", "void"]))
    def judge(self, kind: str) -> None:
        unit = self.machine.unit(self.with_status(SlotStatus.DISPUTED)[0])
        at = self.machine.at()
        made: dict[str, Event] = {
            "verified": UnitVerified(at, unit, 0),
            "faulted": UnitFaulted(at, unit, wallet("b")),
            "void": UnitVoided(at, unit),
        }
        self.machine.feed(made[kind])

    @precondition(lambda self: self.with_status(*DONE))
    @rule()
    def challenge(self) -> None:
        unit = self.machine.unit(self.with_status(*DONE)[0])
        self.machine.feed(UnitDisputed(self.machine.at(), unit))

    @precondition(lambda self: self.running and len(self.with_status(*DONE)) == 3)
    @rule()
    def close_round(self) -> None:
        self.machine.combined()
        self.machine.feed(ChallengeWindowOver(self.machine.state.round))

    @rule(name=NAME, active=st.booleans())
    def bond(self, name: str, active: bool) -> None:
        self.machine.feed(BondChanged(wallet(name), active))

    @rule(name=NAME, back=st.booleans())
    def vanish(self, name: str, back: bool) -> None:
        self.machine.feed(PeerVanished(peer(name)))
        if back:
            self.machine.join(name)

    @rule(after_ms=st.sampled_from([1_000, 20_000, 200_000]))
    def tick(self, after_ms: int) -> None:
        self.machine.feed(Tick(), after_ms)

    @rule(torn=st.booleans())
    def restart(self, torn: bool) -> None:
        """The journal, with a torn record behind it, gives the state back."""
        tail = [self.machine.journal[-1][:-1]] if torn else []
        replayed = replay([*self.machine.journal, *tail])
        assert encode_state(replayed.state) == encode_state(self.machine.state)
        self.machine.state = replayed.state
        self.machine.feed(NodeRestarted(), 500)

    @invariant()
    def combination_needs_every_slot_settled(self) -> None:
        for command in self.machine.issued(Combine):
            assert len(self.with_status(*DONE)) == 3
            assert [result.slot for result in command.results] == [0, 1, 2]


TestJobRun = JobRun.TestCase
TestJobRun.settings = settings(max_examples=25, stateful_step_count=50, deadline=None)
