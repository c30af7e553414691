"""What people see: every state says how far it is and what it waits for."""

import pytest

from scheduler.commands import Outcome
from scheduler.events import (
    BondChanged,
    ChallengeWindowOver,
    CommitRefused,
    JobExpired,
    PeerVanished,
    RoundCommittedOnChain,
    RoundFinalizedOnChain,
)
from scheduler.progress import progress, why_waiting
from scheduler.rows import SlotStatus
from scheduler.terms import Claim, UnitRef
from tests.scheduler.machine import Machine, peer, root, wallet


def waiting(machine: Machine) -> str:
    return why_waiting(machine.state, machine.now_ms)


def test_waits_for_peers() -> None:
    """A job that nobody serves says so."""
    machine = Machine(slots=6)
    assert waiting(machine) == (
        "round 1 of 2: slots 0, 1, 2, 3 and 2 more wait for a peer to ask for work "
        "(0 connected, 0 of them bonded and not in quarantine)"
    )
    machine.join("a")
    machine.join("b", active=False)
    machine.request("a")
    assert "slots 1, 2, 3, 4 and 1 more wait for a peer to ask for work (2 connected, 1 of" in (
        waiting(machine)
    )
    assert "; slot 0 waits for its worker" in waiting(machine)


def test_says_whose_bonds_are_too_small() -> None:
    """They ask for work, and get none before some of theirs is final."""
    machine = Machine(slots=3)
    machine.proven("a")
    machine.feed(BondChanged(wallet("a"), True, covers=1))
    machine.stored("a")
    assert "the bonds of 1 cover no further unit until some are final" in waiting(machine)


WAITS = {
    SlotStatus.RECEIPTED: "slot 0 waits for its result to be fetched",
    SlotStatus.STORED: "slot 0 waits for more peers to hold its result",
    SlotStatus.FILLED: "slot 0 waits for the rest of the batch",
    SlotStatus.SUBMITTED: "slots 0, 1 wait for the chain to take its claim",
    SlotStatus.COMMITTED: "slots 0, 1 wait for the audit draw",
    SlotStatus.DRAWN: "slot 0 waits for its audit",
    SlotStatus.DISPUTED: "slot 0 waits for the committee's verdict",
}


@pytest.mark.parametrize("status", WAITS)
def test_every_unsettled_status_has_its_reason(status: SlotStatus) -> None:
    """Told in the words of the glossary."""
    machine = Machine()
    machine.bring(status)
    assert WAITS[status] in waiting(machine)


def test_waits_at_the_end_of_a_round() -> None:
    """Combination, window, chain: one after the other."""
    machine = Machine(rounds=1)
    machine.settled("a", "b")
    assert waiting(machine) == (
        "round 1 of 1: the results are being combined; the challenge window is open"
    )
    machine.combined()
    assert waiting(machine) == "round 1 of 1: the challenge window is open"
    machine.feed(ChallengeWindowOver(0))
    assert waiting(machine) == "round 1 of 1: the chain to take the checkpoint"
    machine.feed(RoundFinalizedOnChain(machine.at(), 0, b"c" * 32))
    assert waiting(machine) == "nothing: the job's coordination is over (completed)"


def test_waits_after_a_refusal() -> None:
    """With the time of the next try."""
    machine = Machine()
    machine.submitted("a", "b")
    machine.feed(CommitRefused(0, "reverted"))
    assert "the last step was refused 1 times, next try in 2 s; " in waiting(machine)


def test_waits_for_a_predecessors_result() -> None:
    """A settled claim whose result is not here."""
    machine = Machine(slots=1)
    unit = UnitRef(0, 0, 0)
    claim = Claim(0, 0, wallet("a"), root("a", unit), b"a", b"signed")
    machine.feed(RoundCommittedOnChain(machine.at(), 0, 0, (claim,)))
    machine.passed(0)
    assert "slot 0 waits for a peer that holds its result to come back" in waiting(machine)


def test_progress_counts_slots_peers_and_units() -> None:
    """One view for the command line, the API and the page."""
    machine = Machine(rounds=2)
    machine.committed("a", "b")
    machine.verified(0)
    machine.passed(1)
    machine.combined()
    machine.feed(ChallengeWindowOver(0))
    machine.feed(RoundFinalizedOnChain(machine.at(), 0, b"c" * 32))
    machine.request("a")
    machine.feed(PeerVanished(peer("b")))
    view = progress(machine.state, machine.now_ms)
    assert (view.round, view.rounds, view.computing, view.outcome) == (1, 2, 1, None)
    assert dict(view.slots)["open"] == 2
    assert [name for name, _ in view.slots] == [str(status) for status in SlotStatus]
    assert (view.units, view.audited, view.verified, view.passed) == (2, 1, 1, 1)
    first, second = view.peers
    assert (first.wallet, first.connected, first.holding) == (wallet("a"), True, (0,))
    assert (second.wallet, second.connected, second.settled) == (wallet("b"), False, 1)
    assert view.waiting == waiting(machine)


def test_progress_of_an_ended_job_names_the_outcome() -> None:
    """And nothing is waited for."""
    machine = Machine()
    machine.feed(JobExpired())
    view = progress(machine.state, machine.now_ms)
    assert view.outcome == Outcome.EXPIRED
    assert view.waiting == "nothing: the job's coordination is over (expired)"
