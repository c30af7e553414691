"""What workers ask of a coordinator: a unit, and a receipt for the commit to its result.

A commit is checked as the contract will check it, for one wrong claim would have a whole round
refused, and is fed to the state machine, which is durable: a receipt never leaves before its commit
is in the journal.
"""

from collections.abc import Callable

from node.chain_watch import ChainWatch
from node.claim_signature import ClaimDomain, Statement
from node.coordination_state import CoordinationState
from node.custody import holding_text
from node.errors import PeerFault
from node.ids import JobId, unit_id
from node.ledger import JobView
from node.messages import (
    CommitUnit,
    Message,
    PullUnit,
    Receipt,
    Refused,
    UnitAssigned,
    UnitDeclined,
)
from node.receipts import receipt_text
from node.round_account import key_of, unit_of
from node.wallet import Signer, recover
from scheduler.commands import AcceptCommit, AssignUnit, Command, DeclineRequest, RefuseCommit
from scheduler.events import Event, PeerAppeared, UnitCommitted, UnitRequested
from scheduler.manifest import Manifest
from scheduler.state import State
from scheduler.terms import PeerId, UnitRef, Wallet

STRANGER = "say hello first: this node does not know your wallet"
GATHER_MS = 5_000
"""How long a successor gives units only to who has the result at hand: what its predecessor had
receipted would else be computed again."""
GATHERING = "first the results that others have at hand from the coordinator before"

Feed = Callable[[Event], tuple[Command, ...]]
WalletOf = Callable[[str], str | None]


class UnitRequests:
    """Answers to the workers of one job. `feed` gives an event to its coordination.

    `is_combined` says whether it is known what the open round comes to. `took_ms` is how long
    workers had their units, where that is known.
    """

    def __init__(
        self,
        job: JobView,
        manifest: Manifest,
        signer: Signer,
        peer_id: str,
        watch: ChainWatch,
        domain: ClaimDomain,
        wallet_of: WalletOf,
        machine: CoordinationState,
        feed: Feed,
        is_combined: Callable[[], bool],
    ) -> None:
        self.took_ms: dict[UnitRef, int] = {}
        self._given_ms: dict[tuple[UnitRef, str], int] = {}
        self._job, self._manifest, self._domain = job, manifest, domain
        self._signer, self._peer_id, self._wallet_of = signer, peer_id, wallet_of
        self._watch, self._machine, self._feed = watch, machine, feed
        self._is_combined = is_combined
        successor = machine.succeeds_another
        self._gather_until_ms = watch.chain_time_ms() + GATHER_MS if successor else 0

    @property
    def _state(self) -> State:
        return self._machine.state

    def pull(self, peer_id: str, message: PullUnit) -> Message:
        """A unit, or why there is none for this peer now."""
        if not self._greet(peer_id):
            return Refused(reason=STRANGER)
        ready = tuple(unit_of(key) for key in message.ready)
        gathering = self._watch.chain_time_ms() < self._gather_until_ms
        if gathering and not any(self._state.open.is_free(unit) for unit in ready):
            return UnitDeclined(reason=GATHERING, retry_after_ms=GATHER_MS // 5)
        request = UnitRequested(PeerId(peer_id), message.memory_bytes, ready=ready)
        for reply in self._feed(request):
            match reply:
                case AssignUnit():
                    return self._assigned(peer_id, reply)
                case DeclineRequest():
                    return UnitDeclined(
                        reason=str(reply.reason),
                        retry_after_ms=reply.retry_after_ms,
                        combined=self._state.round if self._is_combined() else None,
                    )
        return Refused(reason="the coordinator has no answer to this request")

    def _assigned(self, peer_id: str, command: AssignUnit) -> UnitAssigned:
        now_ms = self._watch.chain_time_ms()
        self._given_ms.setdefault((command.unit, peer_id), now_ms)
        return UnitAssigned(
            unit=key_of(command.unit),
            checkpoint=self._state.open.blob,
            checkpoint_root=self._state.open.checkpoint.hex(),
            timeout_ms=max(1, command.deadline_ms - now_ms),
        )

    def commit(self, peer_id: str, message: CommitUnit) -> Message:
        """A receipt, or why the chain would not take the claim; PeerFault for one that is false."""
        wallet = self._greet(peer_id)
        if not wallet:
            return Refused(reason=STRANGER)
        made = _commit_of(peer_id, message)
        self._check_values(made)
        refusal = self._refusal(message)
        if refusal:
            return Refused(reason=refusal)
        self._check_signatures(wallet, made, bytes.fromhex(message.parent))
        for reply in self._feed(made):
            match reply:
                case AcceptCommit():
                    self._note_took(made.unit, peer_id)
                    return self._receipt(made)
                case RefuseCommit():
                    return Refused(reason=str(reply.reason))
        return Refused(reason="the coordinator has no answer to this commit")

    def _check_values(self, made: UnitCommitted) -> None:
        if made.blob.size != self._manifest.result_bytes:
            raise PeerFault(
                f"a result of {made.blob.size} bytes; {self._manifest.result_bytes} are due"
            )
        if not any(made.commitment) or not any(made.result_root):
            # The contract would refuse the whole round for it.
            raise PeerFault(f"the claim to unit {made.unit} has a hash of zeros")

    def _refusal(self, message: CommitUnit) -> str:
        """Why a claim counts for nothing here though its worker may mean well; empty if it does."""
        job, parent = self._job, bytes.fromhex(message.parent)
        if message.lease_epoch != job.lease_epoch:
            return f"the claim is for lease {message.lease_epoch}, {job.lease_epoch} holds"
        start = job.start_of(message.unit.round)
        if message.unit.round >= job.open_round and start not in (None, parent):
            return f"the claim starts from another checkpoint: {parent.hex()}"
        return ""

    def _check_signatures(self, wallet: str, made: UnitCommitted, parent: bytes) -> None:
        job, unit = self._job, made.unit
        name = unit_id(JobId(job.job_id), unit.round, unit.slot, unit.attempt)
        statement = Statement(name, parent, job.lease_epoch, made.result_root, made.commitment)
        if self._domain.signer_of(statement, made.signature) != wallet:
            raise PeerFault(f"the claim to unit {unit} is not signed by {wallet}")
        text = holding_text(job.job_id, unit, made.result_root, made.blob)
        if recover(text, made.holding) != wallet:
            raise PeerFault(f"the holding of unit {unit} is not signed by {wallet}")

    def _receipt(self, made: UnitCommitted) -> Receipt:
        text = receipt_text(self._job.job_id, made.unit, made.result_root, made.commitment)
        return Receipt(unit=key_of(made.unit), signature=self._signer.sign_text(text).hex())

    def _note_took(self, unit: UnitRef, peer_id: str) -> None:
        """How long the worker had the unit; unknown where it was given before a restart."""
        given_ms = self._given_ms.get((unit, peer_id))
        if given_ms is not None:
            took_ms = max(1, self._watch.chain_time_ms() - given_ms)
            self.took_ms.setdefault(unit, took_ms)

    def forget_before(self, round: int) -> None:
        """Forget how long units of earlier rounds took."""
        self._given_ms = {k: ms for k, ms in self._given_ms.items() if k[0].round >= round}
        self.took_ms = {k: ms for k, ms in self.took_ms.items() if k.round >= round}

    def _greet(self, peer_id: str) -> str:
        """Tell the machine of a peer that asks; its wallet, empty if it is not known."""
        wallet = self._signer.address if peer_id == self._peer_id else self._wallet_of(peer_id)
        if not wallet:
            return ""
        known = self._state.peers.get(PeerId(peer_id))
        if known is None or known.vanished_ms is not None:
            active = self._watch.ledger.is_active(wallet)
            covers = self._watch.ledger.covers(wallet, self._job)
            self._feed(PeerAppeared(PeerId(peer_id), Wallet(wallet), active, covers))
        return wallet


def _commit_of(peer_id: str, message: CommitUnit) -> UnitCommitted:
    return UnitCommitted(
        PeerId(peer_id),
        unit_of(message.unit),
        bytes.fromhex(message.result_root),
        bytes.fromhex(message.commitment),
        bytes.fromhex(message.signature),
        message.blob,
        bytes.fromhex(message.holding),
    )
