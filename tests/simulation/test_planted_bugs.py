"""Each law can fail: a bug is planted in the real code or in a double, and the law finds it.

Small scenarios without other faults, so that it is the planted bug that is found.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from node.chain import Reverted
from node.chain.types import UnitStatus
from node.coordination_tasks import Tasks
from scheduler import assignment, standing
from scheduler.commands import ExpireUnit, FinalizeRound
from scheduler.events import ChallengeWindowOver, ResultStored
from scheduler.rows import Peer, SlotStatus
from scheduler.standings import emptied
from scheduler.state import State
from tests.simulation import host, ledger, money, peer, truth
from tests.simulation.faults import Scenario, Traits, Weather
from tests.simulation.laws import Law, Violation
from tests.simulation.scenarios import HONEST, run
from tests.simulation.world import World

PLAIN = Scenario(seed=2, rounds=1, slots=4, workers=(HONEST,) * 5, faults_ms=60_000)
LIARS = replace(PLAIN, workers=(Traits(lies=1.0), HONEST, HONEST, HONEST, HONEST))


def breaks(law: Law, which: Scenario, seeds: Sequence[int] = range(3)) -> None:
    """Some of a few runs breaks this law, and none another first."""
    found = []
    for seed in seeds:
        try:
            run(replace(which, seed=seed))
        except Violation as broken:
            found.append(broken.law)
    assert set(found) == {law}


@pytest.mark.parametrize("which", [PLAIN, LIARS])
def test_without_a_planted_bug_nothing_is_found(which: Scenario) -> None:
    """The scenarios below are sound."""
    for seed in range(3):
        run(replace(which, seed=seed))


def test_slot_counted_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """A contract that takes a further claim to a filled slot."""

    def commit(self: ledger.Ledger, sender: str, job: Any, round: int, claims: Any) -> None:
        real(self, sender, job, round, claims)
        again = replace(claims[0], attempt=claims[0].attempt + 1)
        self.attempts[round, claims[0].slot] += 1
        self._check_claim = lambda *_: None  # type: ignore[method-assign]
        real(self, sender, job, round, (again,))

    real = ledger.Ledger.commit_round
    monkeypatch.setattr(ledger.Ledger, "commit_round", commit)
    breaks(Law.SLOT_ONCE, PLAIN)


def test_slot_lost_on_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    """A contract that finalizes a round whose last slot was never claimed, with a coordinator that
    forgets to claim it.
    """

    def final(self: ledger.Ledger, round: int, slot: int) -> ledger.Unit:
        unit = self.slot_unit(round, slot)
        return unit if unit is not None else real(self, round, 0)

    async def commit(self: Tasks, job: Any, command: Any) -> Any:
        host_ = self._watch
        await early(host_, job, command)
        return await sent(self, job, replace(command, claims=command.claims[:-1]))

    async def early(host_: Any, job: Any, command: Any) -> None:
        """The coordinator finalizes on its own, as soon as the rest is settled."""
        host_.loop.after(45_000, lambda: host_.send("ledger", "finalize_round", *forged(host_)))

    real, sent = ledger.Ledger._final, Tasks._commit_round
    monkeypatch.setattr(ledger.Ledger, "_final", final)
    monkeypatch.setattr(Tasks, "_commit_round", commit)
    breaks(Law.SLOT_KEPT, PLAIN)


def forged(host_: host.Host) -> tuple[Any, ...]:
    """What a coordinator needs to finalize the open round, whatever its state machine says."""
    chain = host_.chain.state.ledger
    units = [chain.slot_unit(chain.open_round, slot) or chain.slot_unit(chain.open_round, 0)
             for slot in range(chain.escrow.slots)]  # fmt: skip
    roots = [unit.result_root for unit in units if unit is not None]
    checkpoint = truth.combined(chain.checkpoints[-1], roots)
    ref = truth.ref_of(checkpoint)
    shown = [batch.claims for batch in chain.batches.get(chain.open_round, [])]
    return truth.JOB, chain.open_round, checkpoint, bytes.fromhex(ref.root), ref.size, shown


def test_receipted_claim_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """A coordinator that drops what a peer delivered when the peer goes away."""

    def vanished(state: State, peer_: Peer, now_ms: int) -> None:
        real(state, peer_, now_ms)
        for slot in tuple(state.slots):
            if slot.status is SlotStatus.FILLED:
                state.put_slot(emptied(slot, now_ms))

    real = assignment.vanished
    monkeypatch.setattr(assignment, "vanished", vanished)
    workers = (HONEST, HONEST, Traits(unit_ms=4_000), Traits(vanishes=0.2), Traits(vanishes=0.2))
    breaks(Law.PROMISE, replace(PLAIN, workers=workers), range(6))


def test_paid_before_the_window_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A contract that does not look at the window, with a coordinator that does not wait."""

    def final(self: ledger.Ledger, round: int, slot: int) -> ledger.Unit:
        unit = self.slot_unit(round, slot)
        if unit is None or unit.status not in ledger.DONE:
            raise Reverted("finalize", "SlotNotFinal", {})
        return unit

    monkeypatch.setattr(ledger.Ledger, "_final", final)
    monkeypatch.setattr(
        Tasks, "_await_window", lambda _, command: ChallengeWindowOver(command.round)
    )
    breaks(Law.WINDOW, replace(PLAIN, challenge_s=40))


def test_paid_with_an_audit_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """A contract that takes a drawn unit for a settled one, with a hasty coordinator."""

    def final(self: ledger.Ledger, round: int, slot: int) -> ledger.Unit:
        unit = self.slot_unit(round, slot)
        if unit is None or unit.status is UnitStatus.COMMITTED:
            raise Reverted("finalize", "SlotNotFinal", {})
        return unit

    async def capture(self: Tasks, job: Any, command: Any) -> None:
        await real(self, job, command)
        self._watch.send("ledger", "finalize_round", *forged(self._watch))  # type: ignore[attr-defined]

    real = Tasks._capture_draw
    monkeypatch.setattr(ledger.Ledger, "_final", final)
    monkeypatch.setattr(Tasks, "_capture_draw", capture)
    breaks(Law.SETTLED, PLAIN)


def test_money_created(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that credits a payment before it debits it, and forgets the debit to jurors."""

    def move(self: money.Bank, source: str, target: str, amount: int) -> None:
        if source == money.VAULT:
            self.balances[source] += amount
        real(self, source, target, amount)

    real = money.Bank.move
    monkeypatch.setattr(money.Bank, "move", move)
    breaks(Law.MONEY, LIARS)


def test_wrong_checkpoint_although_every_lie_was_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Auditors that believe what the worker committed to."""

    def right(self: peer.Peer, unit: Any) -> Any:
        return self.world.by_wallet[unit.worker].commitments.roots("worker", unit.unit_id)

    monkeypatch.setattr(peer.Peer, "right_roots", right)
    breaks(Law.CAUGHT, LIARS)


def test_wrongly_combined_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """A coordinator that combines the results in another order than that of the slots."""

    async def aggregate(self: Any, manifest: Any, blob: Any, blobs: Any) -> Any:
        return await real(self, manifest, blob, tuple(reversed(blobs)))

    real = host._Device.aggregate
    monkeypatch.setattr(host._Device, "aggregate", aggregate)
    breaks(Law.CHECKPOINT, PLAIN)


def test_journal_that_leads_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """A coordinator that does not write down which results have come."""

    def append(self: host.Host, event: Any, record: bytes) -> bool:
        return True if isinstance(event, ResultStored) else real(self, event, record)

    real = host.Host._append
    monkeypatch.setattr(host.Host, "_append", append)
    breaks(Law.REPLAY, PLAIN)


def test_round_that_never_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A coordinator that waits for an auditor for ever."""

    def of_slot(held: Any, slot: Any) -> Any:
        return (c for c in real(held, slot) if not isinstance(c, ExpireUnit))

    real = standing._of_slot
    monkeypatch.setattr(standing, "_of_slot", of_slot)
    workers = (Traits(audits_silent=1.0),) * 5
    breaks(Law.CLOSES, replace(PLAIN, workers=workers, limit_ms=200_000))


def test_finalization_that_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """A coordinator that gives up after the chain refused once."""

    real = standing._finalize

    def finalize(state: State) -> Any:
        commands = tuple(real(state))
        given_up = any(isinstance(c, FinalizeRound) for c in commands) and state.setbacks
        return () if given_up else commands

    monkeypatch.setattr(standing, "_finalize", finalize)
    weather = Weather(out_of_gas=0.4)
    breaks(Law.CLOSES, replace(PLAIN, weather=weather, limit_ms=200_000), range(6, 12))


def test_lock_that_outlives_its_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """A contract that forgets to free the bond of units that were audited."""

    def unlock(self: ledger.Ledger, unit: ledger.Unit) -> int:
        return 0 if unit.status is UnitStatus.VERIFIED else real(self, unit)

    real = ledger.Ledger._unlock
    monkeypatch.setattr(ledger.Ledger, "_unlock", unlock)
    breaks(Law.LOCKED, PLAIN)


def test_unit_without_a_bond_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A coordinator that hands units out whatever the bonds cover."""
    monkeypatch.setattr(assignment, "covers_another", lambda state, worker: True)
    breaks(Law.LOCKED, replace(PLAIN, workers=(HONEST,), lock_prices=9))


def test_honest_unit_not_paid(monkeypatch: pytest.MonkeyPatch) -> None:
    """A contract that forgets the last slot's worker."""

    def rewards(self: ledger.Ledger, units: Sequence[ledger.Unit]) -> dict[str, int]:
        return real(self, units[:-1])

    real = ledger.Ledger._rewards
    monkeypatch.setattr(ledger.Ledger, "_rewards", rewards)
    breaks(Law.PAID, PLAIN)


def test_honest_unit_faulted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A contract that believes an auditor at once, where the auditor is wrong."""

    def dispute(self: ledger.Ledger, unit: ledger.Unit, accuser: str) -> None:
        self._fault(unit, [accuser])

    monkeypatch.setattr(ledger.Ledger, "_dispute", dispute)
    workers = (HONEST, HONEST, *(Traits(audits_wrong=1.0),) * 3)
    breaks(Law.PAID, replace(PLAIN, workers=workers))


def test_world_ends_at_its_limit() -> None:
    """Simulated time is bounded: a stuck run says so."""
    world = World(replace(PLAIN, limit_ms=3_000))
    world.run()
    assert not world.over
