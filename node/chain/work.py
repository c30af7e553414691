"""The contracts of work: the ledger of units, who judges them, and the jury."""

from collections.abc import Sequence

from node.chain.contract import Contract
from node.chain.handle import Transaction
from node.chain.types import (
    Batch,
    Claim,
    ClaimedUnit,
    Dispute,
    FinalizedRound,
    Lease,
    Lineage,
    RoundState,
    Succession,
    Unit,
    from_abi,
)
from node.ids import JobId, UnitId


class Ledger(Contract):
    """WorkLedger: leases, rounds, audits."""

    def lease_of(self, job_id: JobId) -> Lease:
        return from_abi(Lease, self._handle.read("leaseOf", job_id))

    def open_round(self, job_id: JobId) -> int:
        return int(self._handle.value("openRound", job_id))

    def round_started(self, job_id: JobId) -> bool:
        return bool(self._handle.value("roundStarted", job_id))

    def head_round(self, job_id: JobId) -> int:
        """The round that takes claims; those from the open one to it are anchored."""
        return int(self._handle.value("headRound", job_id))

    def started_rounds(self, job_id: JobId) -> int:
        return int(self._handle.value("startedRounds", job_id))

    def round_state(self, job_id: JobId, round: int) -> RoundState:
        return from_abi(RoundState, self._handle.value("roundState", job_id, round))

    def batch(self, job_id: JobId, round: int, dissolutions: int, index: int) -> Batch:
        return from_abi(Batch, self._handle.value("batch", job_id, round, dissolutions, index))

    def slot_unit(self, job_id: JobId, round: int, slot: int) -> UnitId:
        return UnitId(self._handle.value("slotUnit", job_id, round, slot))

    def unit(self, unit_id: UnitId) -> Unit:
        return from_abi(Unit, self._handle.value("unit", unit_id))

    def lock_wei_of(self, unit_value_wei: int) -> int:
        """What a unit that counts as so much AIN locks of its worker's bond now."""
        return int(self._handle.value("lockWeiOf", unit_value_wei))

    def clean_units(self, worker: str) -> int:
        return int(self._handle.value("cleanUnits", worker))

    def finalized(self, job_id: JobId, round: int) -> FinalizedRound:
        return from_abi(FinalizedRound, self._handle.value("finalized", job_id, round))

    def lineage(self, job_id: JobId, round: int) -> Lineage:
        return from_abi(Lineage, self._handle.read("lineage", job_id, round))

    def claim_digest(
        self,
        unit_id: UnitId,
        parent: bytes,
        lease_epoch: int,
        result_root: bytes,
        commitment: bytes,
    ) -> bytes:
        arguments = (unit_id, parent, lease_epoch, result_root, commitment)
        return bytes(self._handle.value("claimDigest", *arguments))

    def take_lease(self, job_id: JobId) -> Transaction:
        return self._handle.write("takeLease", job_id)

    def commit_round(self, job_id: JobId, round: int, claims: Sequence[Claim]) -> Transaction:
        return self._handle.write("commitRound", job_id, round, tuple(claims))

    def capture_draw(
        self, job_id: JobId, round: int, batch: int, claims: Sequence[ClaimedUnit]
    ) -> Transaction:
        """`claims`: all of the batch, as RoundCommitted has them."""
        return self._handle.write("captureDraw", job_id, round, batch, tuple(claims))

    def commit_audits(
        self, unit_ids: Sequence[UnitId], commitments: Sequence[bytes]
    ) -> Transaction:
        return self._handle.write("commitAudits", tuple(unit_ids), tuple(commitments))

    def open_units(
        self, unit_ids: Sequence[UnitId], trace_roots: Sequence[bytes], salts: Sequence[bytes]
    ) -> Transaction:
        return self._handle.write("openUnits", tuple(unit_ids), tuple(trace_roots), tuple(salts))

    def reveal_audits(
        self, unit_ids: Sequence[UnitId], unit_roots: Sequence[bytes], salts: Sequence[bytes]
    ) -> Transaction:
        return self._handle.write("revealAudits", tuple(unit_ids), tuple(unit_roots), tuple(salts))

    def expire(self, unit_id: UnitId) -> Transaction:
        return self._handle.write("expire", unit_id)

    def challenge(
        self, job_id: JobId, round: int, batch: int, claim: ClaimedUnit, proof: Sequence[bytes]
    ) -> Transaction:
        """Needs an allowance of challengeDepositWei for the ledger."""
        return self._handle.write("challenge", job_id, round, batch, claim, tuple(proof))

    def anchor_round(
        self, job_id: JobId, round: int, checkpoint: bytes, blob_root: bytes, blob_size: int
    ) -> Transaction:
        return self._handle.write("anchorRound", job_id, round, checkpoint, blob_root, blob_size)

    def withdraw_anchors(self, job_id: JobId, round: int) -> Transaction:
        """Only what an earlier holder of the lease anchored."""
        return self._handle.write("withdrawAnchors", job_id, round)

    def release_locks(
        self,
        job_id: JobId,
        round: int,
        dissolutions: int,
        batch: int,
        claims: Sequence[ClaimedUnit],
    ) -> Transaction:
        """Of a batch's units that can no longer be faulted; to their workers, whoever sends it."""
        arguments = (job_id, round, dissolutions, batch, tuple(claims))
        return self._handle.write("releaseLocks", *arguments)

    def return_deposit(self, unit_id: UnitId) -> Transaction:
        """Of a challenge whose unit was dissolved; to the challenger, whoever sends it."""
        return self._handle.write("returnDeposit", unit_id)

    def finalize_round(
        self,
        job_id: JobId,
        round: int,
        checkpoint: bytes,
        blob_root: bytes,
        blob_size: int,
        claims: Sequence[Sequence[ClaimedUnit]],
    ) -> Transaction:
        """`claims`: by batch, all of its claims; none of one whose units are all on record."""
        shown = tuple(map(tuple, claims))
        arguments = (job_id, round, checkpoint, blob_root, blob_size, shown)
        return self._handle.write("finalizeRound", *arguments)


class Seat(Contract):
    """RefereeSeat: who decides disputes, and who will."""

    def referee(self) -> str:
        return str(self._handle.value("referee"))

    def pending(self) -> Succession:
        """Who waits for the seat; zeros if nobody does."""
        return from_abi(Succession, self._handle.read("pending"))

    def notice_s(self) -> int:
        """How long a successor waits: longer than the longest exit."""
        return int(self._handle.value("noticeS"))

    def judge_of(self, unit_id: UnitId) -> str:
        """Whom an open dispute is before; the zero address if there is none."""
        return str(self._handle.value("judgeOf", unit_id))

    def propose(self, successor: str) -> Transaction:
        """Only the timelock may send it: use its data in a proposal."""
        return self._handle.write("propose", successor)

    def withdraw(self) -> Transaction:
        """The timelock, by a proposal, or the guardian in its time."""
        return self._handle.write("withdraw")


class Committee(Contract):
    """AuditCommittee: the drawn jury that decides disputes."""

    def dispute(self, unit_id: UnitId) -> Dispute:
        return from_abi(Dispute, self._handle.value("dispute", unit_id))

    def draw(self, unit_id: UnitId) -> Transaction:
        return self._handle.write("draw", unit_id)

    def commit_vote(self, unit_id: UnitId, commitment: bytes) -> Transaction:
        return self._handle.write("commitVote", unit_id, commitment)

    def reveal_vote(self, unit_id: UnitId, unit_root: bytes, salt: bytes) -> Transaction:
        return self._handle.write("revealVote", unit_id, unit_root, salt)

    def resolve(self, unit_id: UnitId) -> Transaction:
        return self._handle.write("resolve", unit_id)
