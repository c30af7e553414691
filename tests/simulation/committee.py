"""A double of the AuditCommittee: a drawn jury, votes that are committed and then shown."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from node.chain import Reverted
from node.chain import events as on_chain
from node.ids import UnitId, commitment
from tests.simulation.money import Env, Vault

Verdict = Callable[[UnitId, bytes, Sequence[str]], None]


@dataclass
class Dispute:
    worker: str
    coordinator: str
    accuser: str
    draw_block: int
    jurors: list[str] = field(default_factory=list)
    commit_until_s: int = 0
    reveal_until_s: int = 0
    commitments: dict[str, bytes] = field(default_factory=dict)
    votes: dict[str, bytes] = field(default_factory=dict)
    resolved: bool = False


@dataclass
class Committee:
    """`bind` gives it the ledger, which it asks for a unit's root and tells verdicts."""

    env: Env
    vault: Vault
    disputes: dict[UnitId, Dispute] = field(default_factory=dict)

    def bind(self, verdict: Verdict, opened: Callable[[UnitId], bool]) -> None:
        self.verdict, self.opened = verdict, opened

    def open(self, name: UnitId, worker: str, coordinator: str, accuser: str) -> None:
        dispute = Dispute(worker, coordinator, accuser, self.env.height + 1)
        self.disputes[name] = dispute
        self.env.emit(on_chain.DisputeOpened, name, dispute.draw_block)

    def draw(self, _sender: str, name: UnitId) -> None:
        dispute, rules = self._of(name), self.env.rules
        if dispute.jurors or self.env.height <= dispute.draw_block:
            raise Reverted("draw", "DrawTooEarly", {})
        seed = self.env.block_hash(dispute.draw_block)
        if not seed:
            dispute.draw_block = self.env.height + 1
            return self.env.emit(on_chain.DisputeOpened, name, dispute.draw_block)
        parties = [dispute.worker, dispute.coordinator]
        drawn = self.vault.draw(
            seed + name, [*parties, dispute.accuser], dispute.draw_block, rules.seats
        )
        if len(drawn) < rules.seats:
            drawn = self.vault.draw(seed + name, parties, dispute.draw_block, rules.seats)
        if len(drawn) < rules.seats:
            return self._decide(name, b"", ())
        dispute.jurors = drawn
        dispute.commit_until_s = self.env.time_s + rules.audit_s
        dispute.reveal_until_s = dispute.commit_until_s + rules.open_s
        return self.env.emit(
            on_chain.JurorsDrawn,
            name,
            tuple(drawn),
            dispute.commit_until_s,
            dispute.reveal_until_s,
        )

    def commit_vote(self, sender: str, name: UnitId, promise: bytes) -> None:
        dispute = self._of(name)
        if sender not in dispute.jurors or sender in dispute.commitments:
            raise Reverted("vote", "NotJuror", {"account": sender})
        if self._voted(dispute):
            raise Reverted("vote", "WrongPhase", {})
        dispute.commitments[sender] = promise
        self.env.emit(on_chain.VoteCommitted, name, sender)
        if len(dispute.commitments) == len(dispute.jurors):
            dispute.reveal_until_s = self.env.time_s + self.env.rules.open_s
            self.env.emit(on_chain.VotingClosed, name, dispute.reveal_until_s)

    def reveal_vote(self, sender: str, name: UnitId, root: bytes, salt: bytes) -> None:
        dispute = self._of(name)
        if not self._voted(dispute) or self._resolvable(name, dispute):
            raise Reverted("vote", "WrongPhase", {})
        if sender not in dispute.commitments or sender in dispute.votes:
            raise Reverted("vote", "NothingToReveal", {"account": sender})
        if commitment(name, sender, root, salt) != dispute.commitments[sender]:
            raise Reverted("vote", "WrongReveal", {})
        dispute.votes[sender] = root
        self.env.emit(on_chain.VoteRevealed, name, sender, root)

    def resolve(self, _sender: str, name: UnitId) -> None:
        dispute = self._of(name)
        if not dispute.jurors or not self._resolvable(name, dispute):
            raise Reverted("resolve", "WrongPhase", {})
        for root, count in Counter(dispute.votes.values()).most_common(1):
            if 2 * count > len(dispute.jurors):
                voters = [juror for juror in dispute.jurors if dispute.votes.get(juror) == root]
                return self._decide(name, root, voters)
        return self._decide(name, b"", ())

    def _of(self, name: UnitId) -> Dispute:
        dispute = self.disputes.get(name)
        if dispute is None or dispute.resolved:
            raise Reverted("dispute", "WrongPhase", {})
        return dispute

    def _voted(self, dispute: Dispute) -> bool:
        late = self.env.time_s > dispute.commit_until_s
        return bool(dispute.jurors) and (late or len(dispute.commitments) == len(dispute.jurors))

    def _resolvable(self, name: UnitId, dispute: Dispute) -> bool:
        if not self._voted(dispute):
            return False
        complete = len(dispute.votes) == len(dispute.commitments) and self.opened(name)
        return complete or self.env.time_s > dispute.reveal_until_s

    def _decide(self, name: UnitId, root: bytes, upheld_by: Sequence[str]) -> None:
        self.disputes[name].resolved = True
        self.env.emit(
            on_chain.DisputeResolved, name, root, len(upheld_by), len(self.disputes[name].jurors)
        )
        self.verdict(name, root, upheld_by)
