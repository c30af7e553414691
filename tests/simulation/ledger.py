"""A double of the WorkLedger: leases, claims, anchors, draws, audits, finalisation.

It keeps the rules of docs/spec/contracts.md and emits the contracts' own events, so that the node's
real fold reads them. A call checks everything before it writes. It also asserts what the contract
cannot know: that a checkpoint follows from its results.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from engine.commitment import unit_root
from node.chain import Reverted
from node.chain import events as on_chain
from node.chain.types import Claim, ClaimedUnit, PassReason, UnitStatus
from node.ids import JobId, UnitId, commitment, unit_id
from node.merkle import claim_leaf, merkle_root, verify_proof
from scheduler.audit import audit_rate, is_drawn
from tests.simulation import truth
from tests.simulation.committee import Committee
from tests.simulation.laws import Law, require
from tests.simulation.money import LEDGER, Bank, Env, Escrow, Vault

DONE = (UnitStatus.PASSED, UnitStatus.VERIFIED)
GONE = (UnitStatus.FAULTED, UnitStatus.VOIDED, UnitStatus.DISSOLVED)


@dataclass
class Unit:
    """A committed unit. `rate`: the probability with which it was drawn, as the formula has it."""

    name: UnitId
    round: int
    slot: int
    attempt: int
    worker: str
    batch: int
    coordinator: str
    result_root: bytes
    commitment: bytes
    start: bytes
    status: UnitStatus = UnitStatus.COMMITTED
    deadline_s: int = 0
    auditor: str = ""
    audit_commitment: bytes = b""
    unit_root: bytes = b""
    audit_root: bytes = b""
    overdue: list[str] = field(default_factory=list)
    challenger: str = ""
    deposit_wei: int = 0
    rate: float = 0.0
    drawn: bool = False
    disputed: bool = False
    lock_wei: int = 0


@dataclass
class Batch:
    units: list[UnitId]
    coordinator: str
    draw_block: int
    claims: tuple[ClaimedUnit, ...]
    dissolved: int
    seed: bytes = b""
    is_late: bool = False


@dataclass
class Ledger:
    """One job's rounds."""

    env: Env
    bank: Bank
    vault: Vault
    escrow: Escrow
    committee: Committee
    holder: str = ""
    lease_until_s: int = 0
    lease_epoch: int = 0
    checkpoints: list[bytes] = field(default_factory=lambda: [truth.GENESIS])
    units: dict[UnitId, Unit] = field(default_factory=dict)
    anchors: list[bytes] = field(default_factory=list)
    anchored_in: list[int] = field(default_factory=list)
    attempts: Counter[tuple[int, int]] = field(default_factory=Counter)
    dissolved: Counter[int] = field(default_factory=Counter)
    cuts: int = 0
    batches: dict[int, list[Batch]] = field(default_factory=dict)
    history: dict[tuple[int, int, int], Batch] = field(default_factory=dict)
    """By round, its dissolutions then and index: all batches that there ever were."""
    clean: Counter[str] = field(default_factory=Counter)

    # --- Reading ---

    @property
    def open_round(self) -> int:
        return len(self.checkpoints) - 1

    @property
    def started(self) -> bool:
        return bool(self.batches.get(self.open_round))

    @property
    def head_round(self) -> int:
        return self.open_round + len(self.anchors)

    @property
    def started_rounds(self) -> int:
        return len(self.anchors) + bool(self.batches.get(self.head_round))

    def attempt_of(self, round: int, slot: int) -> int:
        return self.attempts[round, slot] + self.dissolved[round]

    def slot_unit(self, round: int, slot: int) -> Unit | None:
        return self.units.get(truth.unit_id(round, slot, self.attempt_of(round, slot)))

    def start_of(self, round: int) -> bytes:
        return [*self.checkpoints, *self.anchors][round]

    def right_root(self, unit: Unit) -> bytes:
        return truth.unit_root(unit.start, unit.round, unit.slot)

    def honest(self, unit: Unit) -> bool:
        return unit.result_root == self.right_root(unit)

    def is_opened(self, name: UnitId) -> bool:
        return bool(self.units[name].unit_root)

    def lease_of(self) -> str:
        free = self.env.time_s >= self.lease_until_s or not self.vault.is_active(self.holder)
        return "" if free else self.holder

    # --- The coordinator's part ---

    def take_lease(self, sender: str, _job: JobId) -> None:
        if not self.escrow.accepts_work(self.started):
            raise Reverted("lease", "JobNotOpen", {})
        self._require_active(sender)
        holder = self.lease_of()
        if holder == sender:
            return self._renew(sender)
        if holder:
            raise Reverted("lease", "LeaseHeld", {"holder": holder})
        self.lease_epoch += self.holder != sender
        self.holder, self.lease_until_s = sender, self.env.time_s + self.env.rules.lease_s
        return self.env.emit(
            on_chain.LeaseTaken, truth.JOB, sender, self.lease_until_s, self.lease_epoch
        )

    def commit_round(self, sender: str, _job: JobId, round: int, claims: Sequence[Claim]) -> None:
        self._require_open(sender, round, self.head_round)
        if not self.escrow.accepts_work(bool(self.batches.get(round))) or not claims:
            raise Reverted("commit", "JobNotOpen", {})
        for claim in claims:
            self._check_claim(round, claim)
        if [claim.slot for claim in claims] != sorted({claim.slot for claim in claims}):
            raise Reverted("commit", "WrongClaims", {})
        self._require_free(claims)
        batches = self.batches.setdefault(round, [])
        shown = tuple(map(ClaimedUnit.of, claims))
        batch = Batch([], sender, self.env.height + 1, shown, self.dissolved[round])
        self.history[round, batch.dissolved, len(batches)] = batch
        for claim in claims:
            name = truth.unit_id(round, claim.slot, claim.attempt)
            batch.units.append(name)
            self.units[name] = Unit(
                name, round, claim.slot, claim.attempt, claim.worker, len(batches), sender,
                claim.result_root, claim.commitment, self.start_of(round),
                lock_wei=self.env.rules.lock_wei,
            )  # fmt: skip
            self.vault.lock(claim.worker, self.env.rules.lock_wei)
        batches.append(batch)
        self.env.emit(
            on_chain.RoundCommitted, truth.JOB, round, len(batches) - 1, b"", batch.draw_block,
            tuple(claims),
        )  # fmt: skip
        self._renew(sender)

    def finalize_round(
        self,
        sender: str,
        _job: JobId,
        round: int,
        checkpoint: bytes,
        blob: bytes,
        size: int,
        claims: Sequence[Sequence[ClaimedUnit]],
    ) -> None:
        self._require_open(sender, round, self.open_round)
        self._require_spared(round, claims)
        units = [self._final(round, slot) for slot in range(self.escrow.slots)]
        rewards = self._rewards(units)
        total = sum(rewards.values())
        right = truth.combined(self.checkpoints[round], [unit.result_root for unit in units])
        require(checkpoint == right, Law.CHECKPOINT, f"round {round} is wrongly combined")
        if self.anchors and self.anchors[0] != checkpoint:
            raise Reverted("finalize", "WrongCheckpoint", {})
        del self.anchors[:1], self.anchored_in[:1]
        self.checkpoints.append(checkpoint)
        self.env.emit(on_chain.RoundFinalized, truth.JOB, round, checkpoint, blob, size, total)
        accounts, amounts = tuple(rewards), tuple(rewards.values())
        self.env.emit(on_chain.RoundRewards, truth.JOB, round, accounts, amounts)
        for unit in units:
            self._unlock(unit)
        self._renew(sender)
        self.escrow.pay_round(round, rewards)

    def anchor_round(
        self, sender: str, _job: JobId, round: int, checkpoint: bytes, blob: bytes, size: int
    ) -> None:
        self._require_open(sender, round, self.head_round)
        too_far = len(self.anchors) >= self.escrow.rounds_ahead
        if too_far or round + 1 >= self.escrow.rounds:
            raise Reverted("anchor", "TooFarAhead", {})
        units = [self.slot_unit(round, slot) for slot in range(self.escrow.slots)]
        roots = [unit.result_root for unit in units if unit is not None]
        if len(roots) < len(units):
            raise Reverted("anchor", "SlotOpen", {})
        right = truth.combined(self.start_of(round), roots)
        meant = (right, truth.false_anchor(right))
        require(checkpoint in meant, Law.CHECKPOINT, f"round {round} is wrongly combined")
        self.anchors.append(checkpoint)
        self.anchored_in.append(self.lease_epoch)
        self.env.emit(on_chain.RoundAnchored, truth.JOB, round, checkpoint, blob, size)
        self._renew(sender)

    def withdraw_anchors(self, sender: str, _job: JobId, round: int) -> None:
        if self.lease_of() != sender:
            raise Reverted("withdraw", "NotLeaseHolder", {"sender": sender})
        if not self.open_round <= round < self.head_round:
            raise Reverted("withdraw", "NotAnchored", {"round": round})
        if self.anchored_in[round - self.open_round] == self.lease_epoch:
            raise Reverted("withdraw", "OwnAnchor", {"round": round})
        self._cut(round)
        self._renew(sender)

    def _cut(self, round: int) -> None:
        """Withdraw the anchors from a round on; what was computed from them is dissolved."""
        head = self.head_round
        if round >= head:
            return
        del self.anchors[round - self.open_round :], self.anchored_in[round - self.open_round :]
        for later in range(round + 1, head + 1):
            self.dissolved[later] += 1
            self.batches.pop(later, None)
        for unit in self.units.values():
            if unit.round > round and unit.status not in GONE:
                unit.status = UnitStatus.DISSOLVED
                self._return_deposit(unit)
        self.cuts += 1
        self.env.emit(on_chain.AnchorsWithdrawn, truth.JOB, round, head)

    def _check_claim(self, round: int, claim: Claim) -> None:
        unit = self.slot_unit(round, claim.slot)
        if claim.attempt != self.attempt_of(round, claim.slot):
            raise Reverted("commit", "WrongAttempt", {"slot": claim.slot})
        if unit is not None:
            raise Reverted("commit", "SlotTaken", {"unitId": unit.name})
        if not self.vault.is_active(claim.worker):
            raise Reverted("commit", "NotActive", {"account": claim.worker})
        parent = self.start_of(round) if round else bytes(32)
        name = truth.unit_id(round, claim.slot, claim.attempt)
        due = truth.signature(
            claim.worker, name, parent, self.lease_epoch, claim.result_root, claim.commitment
        )
        if claim.signature != due:
            raise Reverted("commit", "BadSignature", {"worker": claim.worker})

    def _require_free(self, claims: Sequence[Claim]) -> None:
        """A call checks everything before it writes: the vault itself looks claim by claim."""
        each = self.env.rules.lock_wei
        for worker, count in Counter(claim.worker for claim in claims).items():
            entry = self.vault.accounts[worker]
            free = max(0, entry.bond - entry.pending - entry.locked)
            if count * each > free:
                arguments = {"worker": worker, "needed": each, "free": free % each}
                raise Reverted("commit", "InsufficientFreeBond", arguments)

    def _unlock(self, unit: Unit) -> int:
        amount, unit.lock_wei = unit.lock_wei, 0
        if amount:
            self.vault.unlock(unit.worker, amount)
        return amount

    def release_locks(
        self,
        _sender: str,
        _job: JobId,
        round: int,
        dissolved: int,
        index: int,
        claims: Sequence[ClaimedUnit],
    ) -> None:
        batch = self.history.get((round, dissolved, index))
        if batch is None or tuple(claims) != batch.claims:
            raise Reverted("release", "WrongClaims", {})
        for unit in map(self._known, batch.units):
            waits = unit.status in DONE and self.env.time_s <= unit.deadline_s
            if waits or unit.status not in (*DONE, *GONE):
                continue
            amount = self._unlock(unit)
            if amount:
                self.env.emit(on_chain.LockReleased, unit.name, unit.worker, amount)

    def _require_spared(self, round: int, claims: Sequence[Sequence[ClaimedUnit]]) -> None:
        """Units that are not on record, neither drawn nor challenged, are shown; others may be."""
        batches = self.batches.get(round, [])
        shown = set()
        for index, some in enumerate(claims):
            if some and (index >= len(batches) or tuple(some) != batches[index].claims):
                raise Reverted("finalize", "WrongClaims", {})
            if some:
                shown.add(index)
        for slot in range(self.escrow.slots):
            unit = self.slot_unit(round, slot)
            recorded = unit is None or unit.drawn or unit.disputed
            if unit is not None and not recorded and unit.batch not in shown:
                raise Reverted("finalize", "SlotNotFinal", {"slot": slot})

    def _final(self, round: int, slot: int) -> Unit:
        unit = self.slot_unit(round, slot)
        if unit is None or unit.status not in DONE or self.env.time_s <= unit.deadline_s:
            raise Reverted("finalize", "SlotNotFinal", {"slot": slot})
        return unit

    def _rewards(self, units: Sequence[Unit]) -> dict[str, int]:
        rewards: Counter[str] = Counter()
        for unit in units:
            rewards[unit.worker] += self.env.rules.unit_wei
            if unit.audit_root and unit.audit_root == unit.unit_root:
                rewards[unit.auditor] += self.env.rules.audit_wei
        return dict(rewards)

    def _renew(self, holder: str) -> None:
        self.lease_until_s = self.env.time_s + self.env.rules.lease_s
        self.env.emit(on_chain.LeaseRenewed, truth.JOB, holder, self.lease_until_s)

    def _require_open(self, sender: str, round: int, due: int) -> None:
        if self.lease_of() != sender:
            raise Reverted("round", "NotLeaseHolder", {"sender": sender})
        if round != due or round == self.escrow.rounds:
            raise Reverted("round", "WrongRound", {"round": round})

    def _require_active(self, wallet: str) -> None:
        if not self.vault.is_active(wallet):
            raise Reverted("call", "NotActive", {"account": wallet})

    # --- Draws and audits ---

    def capture_draw(
        self, sender: str, _job: JobId, round: int, index: int, claims: Sequence[ClaimedUnit]
    ) -> None:
        batches, rules = self.batches.get(round, []), self.env.rules
        if index >= len(batches):
            raise Reverted("capture", "UnknownBatch", {})
        batch = batches[index]
        if batch.seed:
            raise Reverted("capture", "AlreadyCaptured", {})
        if self.env.height <= batch.draw_block:
            raise Reverted("capture", "DrawTooEarly", {})
        if tuple(claims) != batch.claims:
            raise Reverted("capture", "WrongClaims", {})
        batch.seed = self.env.block_hash(batch.draw_block)
        if not batch.seed:
            batch.is_late, batch.draw_block = True, self.env.height + 1
            self.env.emit(on_chain.DrawMissed, truth.JOB, round, index, batch.draw_block)
            return
        self.env.emit(on_chain.DrawCaptured, truth.JOB, round, index, batch.seed, batch.is_late)
        probation = 1 << 30 if batch.is_late else rules.probation
        for name in batch.units:
            unit = self.units[name]
            clean = self.clean[unit.worker]
            unit.rate = float(audit_rate(clean, probation, rules.floor_bps))
            ticket = keccak(encode(("bytes32", "bytes32"), (batch.seed, name)))
            unit.drawn = is_drawn(ticket, clean, probation, rules.floor_bps)
            if unit.drawn:
                self._assign_auditor(unit)
            else:
                self._pass(unit, PassReason.NOT_DRAWN)
        if self.lease_of() == sender:
            self._renew(sender)

    def commit_audits(
        self, sender: str, names: Sequence[UnitId], commitments: Sequence[bytes]
    ) -> None:
        self._require_active(sender)
        units = [self._waiting(name, UnitStatus.DRAWN) for name in names]
        if any(unit.auditor != sender for unit in units):
            raise Reverted("audit", "NotAuditor", {})
        for unit, promise in zip(units, commitments, strict=True):
            unit.audit_commitment, unit.status = promise, UnitStatus.AUDIT_COMMITTED
            unit.deadline_s = self.env.time_s + self.env.rules.open_s
            self.env.emit(on_chain.AuditCommitted, unit.name, sender, unit.deadline_s)

    def open_units(
        self, _sender: str, names: Sequence[UnitId], traces: Sequence[bytes], salts: Sequence[bytes]
    ) -> None:
        opened = []
        for name, root, salt in zip(names, traces, salts, strict=True):
            unit = self._known(name)
            if unit.status is not UnitStatus.DISPUTED:
                self._waiting(name, UnitStatus.AUDIT_COMMITTED)
            if unit.unit_root:
                raise Reverted("open", "AlreadyOpened", {})
            shown = unit_root(unit.result_root, root)
            if commitment(name, unit.worker, shown, salt) != unit.commitment:
                raise Reverted("open", "WrongReveal", {})
            opened.append((unit, shown))
        for unit, root in opened:
            disputed = unit.status is UnitStatus.DISPUTED
            deadline_s = 0 if disputed else self.env.time_s + self.env.rules.open_s
            unit.unit_root = root
            unit.deadline_s = unit.deadline_s if disputed else deadline_s
            self.env.emit(on_chain.UnitOpened, unit.name, root, deadline_s)

    def reveal_audits(
        self, _sender: str, names: Sequence[UnitId], roots: Sequence[bytes], salts: Sequence[bytes]
    ) -> None:
        units = [self._waiting(name, UnitStatus.AUDIT_COMMITTED) for name in names]
        for unit, root, salt in zip(units, roots, salts, strict=True):
            if not unit.unit_root:
                raise Reverted("reveal", "NotOpened", {})
            if commitment(unit.name, unit.auditor, root, salt) != unit.audit_commitment:
                raise Reverted("reveal", "WrongReveal", {})
        for unit, root in zip(units, roots, strict=True):
            unit.audit_root = root
            self.env.emit(on_chain.AuditRevealed, unit.name, unit.auditor, root)
            if root == unit.unit_root:
                self._verify(unit)
            else:
                self._dispute(unit, unit.auditor)

    def expire(self, _sender: str, name: UnitId) -> None:
        unit = self._known(name)
        if unit.status not in (UnitStatus.DRAWN, UnitStatus.AUDIT_COMMITTED):
            raise Reverted("expire", "WrongStatus", {})
        if self.env.time_s <= unit.deadline_s:
            raise Reverted("expire", "DeadlineNotPassed", {})
        if unit.status is UnitStatus.AUDIT_COMMITTED and not unit.unit_root:
            return self._fault(unit, ())
        unit.overdue.append(unit.auditor)
        unit.audit_commitment = b""
        if len(unit.overdue) > self.env.rules.redraws:
            unit.auditor = ""
            return self._pass(unit, PassReason.AUDITORS_OVERDUE)
        return self._assign_auditor(unit)

    def _known(self, name: UnitId) -> Unit:
        """A unit, unless a fork took it back."""
        if name not in self.units:
            raise Reverted("unit", "WrongStatus", {})
        return self.units[name]

    def _waiting(self, name: UnitId, status: UnitStatus) -> Unit:
        unit = self._known(name)
        if unit.status is not status:
            raise Reverted("audit", "WrongStatus", {"status": unit.status})
        if self.env.time_s > unit.deadline_s:
            raise Reverted("audit", "DeadlinePassed", {})
        return unit

    def _assign_auditor(self, unit: Unit) -> None:
        batch = self.batches[unit.round][unit.batch]
        seed = hashlib.sha256(batch.seed + unit.name + bytes([len(unit.overdue)])).digest()
        parties = [unit.worker, batch.coordinator]
        drawn = self.vault.draw(seed, [*parties, *unit.overdue], batch.draw_block, 1)
        drawn = drawn or self.vault.draw(seed, parties, batch.draw_block, 1)
        if not drawn:
            return self._pass(unit, PassReason.NOBODY_ELIGIBLE)
        (unit.auditor,) = drawn
        unit.status, unit.deadline_s = UnitStatus.DRAWN, self.env.time_s + self.env.rules.audit_s
        return self.env.emit(
            on_chain.UnitDrawn, unit.name, unit.auditor, truth.JOB, unit.round, unit.slot,
            unit.attempt, unit.worker, unit.deadline_s,
        )  # fmt: skip

    # --- Outcomes ---

    def challenge(
        self,
        sender: str,
        job: JobId,
        round: int,
        index: int,
        claim: ClaimedUnit,
        proof: Sequence[bytes],
    ) -> None:
        batches, rules = self.batches.get(round, []), self.env.rules
        if index >= len(batches):
            raise Reverted("challenge", "UnknownBatch", {})
        leaves = [claim_leaf(job, round, each) for each in batches[index].claims]
        if not verify_proof(merkle_root(leaves), claim_leaf(job, round, claim), proof):
            raise Reverted("challenge", "WrongClaims", {})
        name = unit_id(job, round, claim.slot, claim.attempt)
        unit = self._known(name)
        self._require_active(sender)
        if unit.status not in DONE or self.env.time_s > unit.deadline_s or sender == unit.worker:
            raise Reverted("challenge", "DeadlinePassed", {})
        able = set(self.vault.active()) - {unit.worker, unit.coordinator}
        if len(able) < rules.seats:
            raise Reverted("challenge", "TooFewJurors", {})
        self.bank.move(sender, LEDGER, rules.deposit_wei)
        unit.challenger, unit.deposit_wei = sender, rules.deposit_wei
        self.env.emit(on_chain.ChallengeOpened, name, sender, rules.deposit_wei)
        self._dispute(unit, sender)

    def on_verdict(self, name: UnitId, root: bytes, upheld_by: Sequence[str]) -> None:
        """What the committee decided; an empty root: nothing."""
        unit = self.units[name]
        if unit.status is UnitStatus.DISSOLVED:
            return self._return_deposit(unit)
        if not root:
            silent = not unit.unit_root and self.env.time_s > unit.deadline_s
            if silent:
                self._fault(unit, ())
            else:
                self._drop(unit, UnitStatus.VOIDED)
                self._unlock(unit)
                self.env.emit(on_chain.UnitVoided, name, truth.JOB)
                self._cut(unit.round)
            return self._return_deposit(unit)
        provers = self._provers(unit, root, upheld_by)
        if unit.unit_root == root:
            unit.status, unit.deadline_s = UnitStatus.VERIFIED, 0
            self.env.emit(on_chain.UnitVerified, name, truth.JOB, 0)
            provers = list(upheld_by)
        else:
            self._fault(unit, provers)
        if unit.audit_root and unit.audit_root != root:
            self.clean[unit.auditor] = 0
            slashed = self.vault.slash(unit.auditor, self.env.rules.lock_wei, provers)
            self.env.emit(on_chain.AuditorFaulted, name, unit.auditor, slashed)
        if unit.unit_root == root:
            return self._forfeit(unit, upheld_by)
        return self._return_deposit(unit)

    def _pass(self, unit: Unit, reason: PassReason) -> None:
        unit.status = UnitStatus.PASSED
        unit.deadline_s = self.env.time_s + self.env.rules.challenge_s
        self.clean[unit.worker] += reason is PassReason.NOT_DRAWN
        self.env.emit(on_chain.UnitPassed, unit.name, truth.JOB, reason, unit.deadline_s)

    def _verify(self, unit: Unit) -> None:
        unit.status = UnitStatus.VERIFIED
        unit.deadline_s = self.env.time_s + self.env.rules.challenge_s
        self.clean[unit.worker] += 1
        self.env.emit(on_chain.UnitVerified, unit.name, truth.JOB, unit.deadline_s)

    def _dispute(self, unit: Unit, accuser: str) -> None:
        rules = self.env.rules
        unit.status, unit.disputed = UnitStatus.DISPUTED, True
        unit.deadline_s = self.env.time_s + rules.audit_s + rules.open_s
        self.env.emit(on_chain.UnitDisputed, unit.name, truth.JOB, accuser)
        self.committee.open(unit.name, unit.worker, unit.coordinator, accuser)

    def _fault(self, unit: Unit, bounty_to: Sequence[str]) -> None:
        self._drop(unit, UnitStatus.FAULTED)
        self.clean[unit.worker] = 0
        slashed = self.vault.slash(unit.worker, self._unlock(unit), bounty_to)
        self.env.emit(on_chain.UnitFaulted, unit.name, truth.JOB, unit.worker, slashed)
        self._cut(unit.round)

    def _drop(self, unit: Unit, status: UnitStatus) -> None:
        unit.status, unit.deadline_s = status, 0
        self.attempts[unit.round, unit.slot] += 1

    def _provers(self, unit: Unit, root: bytes, upheld_by: Sequence[str]) -> list[str]:
        accuser = unit.challenger or (unit.auditor if unit.audit_root == root else "")
        return [*upheld_by, *([accuser] if accuser and accuser not in upheld_by else [])]

    def _return_deposit(self, unit: Unit) -> None:
        amount, unit.deposit_wei = unit.deposit_wei, 0
        if amount:
            self.env.emit(on_chain.ChallengeClosed, unit.name, unit.challenger, amount, 0, 0)
            self.bank.move(LEDGER, unit.challenger, amount)

    def _forfeit(self, unit: Unit, upheld_by: Sequence[str]) -> None:
        amount, unit.deposit_wei = unit.deposit_wei, 0
        if not amount:
            return
        share = amount * self.env.rules.bounty_bps // 10_000 // max(1, len(upheld_by))
        bounty = share * len(upheld_by)
        self.env.emit(
            on_chain.ChallengeClosed, unit.name, unit.challenger, 0, bounty, amount - bounty
        )
        self.bank.burn(LEDGER, amount - bounty)
        for juror in upheld_by:
            self.bank.move(LEDGER, juror, share)
