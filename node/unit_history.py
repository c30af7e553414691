"""What became of every unit of a job: who, when, audited by whom, the verdict, who was paid what.

A pure fold over a whole `JobView.log`, all events that the chain has had about a job, so that a
finished round can be asked about as well as the open one. What a final round paid is derived unit
by unit and compared with the leaves that the contract built: whatever does not follow from the
units stands in `unexplained`, which is empty unless this fold and the contract disagree.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from node.chain import events as on_chain
from node.chain.events import Event
from node.ids import JobId, unit_id
from node.ledger import JobView


@dataclass(slots=True)
class UnitHistory:
    """One unit that was committed on chain. Blocks are 0 and hashes empty where there is none yet.

    `verdict` is `open` until the chain has one. `slashed` and `paid` are wei by account.
    """

    unit_id: bytes
    round: int
    slot: int
    attempt: int
    worker: str
    coordinator: str
    result_root: bytes
    committed_block: int
    verdict: str = "open"
    decided_block: int = 0
    auditor: str = ""
    audit_root: bytes = b""
    unit_root: bytes = b""
    disputed_by: str = ""
    jurors: tuple[str, ...] = ()
    paid: dict[str, int] = field(default_factory=dict)
    slashed: dict[str, int] = field(default_factory=dict)
    input_unavailable: bool = False

    @property
    def audited_by(self) -> str:
        """Who recomputed the unit and showed a root; empty where nobody did."""
        return self.auditor if self.audit_root else ""

    @property
    def accepted(self) -> bool:
        """Whether the unit may be paid for: verified, or passed for whatever reason."""
        return self.verdict == "verified" or self.verdict.startswith("passed")


@dataclass(frozen=True, slots=True)
class RoundHistory:
    """A finalised round and what it paid. `unexplained`: wei by account beyond its units.

    `fee_wei`: the protocol's part besides.
    """

    round: int
    block: int
    checkpoint: bytes
    total_wei: int
    unexplained: dict[str, int]
    fee_wei: int = 0


@dataclass(frozen=True, slots=True)
class JobHistory:
    """Every unit in the order of round, slot and attempt, and every finalised round."""

    units: tuple[UnitHistory, ...]
    rounds: tuple[RoundHistory, ...]


def history_of(job: JobView) -> JobHistory:
    """Fold a job's log, which must be whole: that of a ledger with `whole_logs`."""
    assert job.log.is_whole
    fold = _Fold(job)
    for event in job.log:
        fold.apply(event)
    units = sorted(fold.units.values(), key=lambda unit: (unit.round, unit.slot, unit.attempt))
    rounds = (replace(final, fee_wei=fold.fees.get(final.round, 0)) for final in fold.rounds)
    return JobHistory(tuple(units), tuple(rounds))


class _Fold:
    def __init__(self, job: JobView) -> None:
        self.units: dict[bytes, UnitHistory] = {}
        self.rounds: list[RoundHistory] = []
        self.fees: dict[int, int] = {}
        self._job = job
        self._holder = ""

    def apply(self, event: Event) -> None:
        match event:
            case on_chain.LeaseTaken():
                self._holder = event.holder
            case on_chain.RoundCommitted():
                self._commit(event)
            case on_chain.AnchorsWithdrawn():
                self._dissolve(event)
            case on_chain.RoundFinalized():
                self._finalize(event)
            case on_chain.RoundRewards():
                self._compare(event)
            case on_chain.RoundPaid():
                self.fees[event.round] = event.fee
            case _:
                unit = self.units.get(getattr(event, "unit_id", b""))
                if unit is not None:
                    _apply(unit, event)

    def _commit(self, event: on_chain.RoundCommitted) -> None:
        for claim in event.claims:
            name = unit_id(JobId(self._job.job_id), event.round, claim.slot, claim.attempt)
            self.units[name] = UnitHistory(
                unit_id=name,
                round=event.round,
                slot=claim.slot,
                attempt=claim.attempt,
                worker=claim.worker,
                coordinator=self._holder,
                result_root=claim.result_root,
                committed_block=event.place.block,
            )

    def _dissolve(self, event: on_chain.AnchorsWithdrawn) -> None:
        for unit in self.units.values():
            lost = unit.verdict in ("faulted", "voided", "dissolved")
            if event.round < unit.round <= event.head and not lost:
                _decide(unit, "dissolved", event)

    def _finalize(self, event: on_chain.RoundFinalized) -> None:
        for unit in self._accepted(event.round):
            unit.paid[unit.worker] = self._job.unit_wei
            if unit.audit_root and unit.audit_root == unit.unit_root and self._job.audit_wei:
                unit.paid[unit.auditor] = self._job.audit_wei
        self.rounds.append(
            RoundHistory(event.round, event.place.block, event.checkpoint, event.total_wei, {})
        )

    def _compare(self, event: on_chain.RoundRewards) -> None:
        """The contract's leaves against the units': both ways, so that no wei is left over."""
        difference = Counter(dict(zip(event.accounts, event.amounts, strict=True)))
        for unit in self._accepted(event.round):
            difference.subtract(unit.paid)
        for final in self.rounds:
            if final.round == event.round:
                final.unexplained.update({who: wei for who, wei in difference.items() if wei})

    def _accepted(self, round: int) -> Iterable[UnitHistory]:
        """The unit of each slot that counts; another attempt follows only one that does not."""
        return [unit for unit in self.units.values() if unit.round == round and unit.accepted]


def _apply(unit: UnitHistory, event: Event) -> None:
    match event:
        case on_chain.UnitDrawn():
            unit.auditor = event.auditor
            unit.verdict = "drawn"
        case on_chain.UnitOpened():
            unit.unit_root = event.unit_root
        case on_chain.AuditRevealed():
            unit.auditor, unit.audit_root = event.auditor, event.unit_root
        case on_chain.UnitDisputed():
            unit.disputed_by, unit.verdict = event.by, "disputed"
        case on_chain.JurorsDrawn():
            unit.jurors = event.jurors
        case on_chain.AuditorFaulted():
            _add(unit.slashed, event.auditor, event.slashed_wei)
        case on_chain.UnitFaulted():
            _add(unit.slashed, event.worker, event.slashed_wei)
            _decide(unit, "faulted", event)
        case on_chain.UnitPassed():
            reason = event.reason.name.lower().replace("_", " ")
            _decide(unit, f"passed ({reason})", event)
        case on_chain.UnitVerified():
            _decide(unit, "verified", event)
        case on_chain.InputUnavailable():
            unit.input_unavailable = True
        case on_chain.UnitVoided():
            _decide(unit, "input unavailable" if unit.input_unavailable else "voided", event)


def _decide(unit: UnitHistory, verdict: str, event: Event) -> None:
    unit.verdict, unit.decided_block = verdict, event.place.block


def _add(amounts: dict[str, int], account: str, wei: int) -> None:
    amounts[account] = amounts.get(account, 0) + wei
