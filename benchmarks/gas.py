"""What calls of the contracts cost: `python -m benchmarks.gas [--json | --write]`.

Transactions on a local chain, with the gas that their receipts name; next to it the budget of the
project, where there is one. Accounts, salts and roots are the same in every run, so figures differ
by some dozens at most: the deployer's address is new each time. `--write` renews the snapshot that
a test compares (docs/results/gas.jsonl) and the table of docs/results/contracts.md.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

from benchmarks.gas_audits import write_audits
from benchmarks.gas_votes import votes
from benchmarks.links.experience import give_clean_units
from engine.commitment import unit_root
from node.chain import Chain, Receipt
from node.chain.events import JobFunded, RoundRewards, UnitPassed
from node.chain.handle import Transaction
from node.chain.types import Claim, ClaimedUnit, JobTerms, Opening, Parameter
from node.claim_signature import ClaimDomain, Statement
from node.deployment import AIN, DEVNET
from node.devnet import Devnet
from node.emission import emissions_of
from node.errors import NodeError
from node.identity import peer_id_bytes
from node.ids import JobId, UnitId, commitment, unit_id
from node.wallet import Signer

ROOT = Path(__file__).parents[1]
SNAPSHOT = ROOT / "docs" / "results" / "gas.jsonl"
REPORT = ROOT / "docs" / "results" / "contracts.md"
RENEW = ".venv/bin/python -m benchmarks.gas --write"
BEGIN, END = "<!-- gas: begin -->\n", "<!-- gas: end -->\n"

BUDGETS = {
    "bond, first": 110_000,
    "bond, more": 110_000,
    "request unbond": 60_000,
    "withdraw": 90_000,
    "fund a job": 130_000,
    "commit a round of 1 claim": 75_000,
    "commit a round of 8 claims": 75_000,
    "commit a round of 64 claims": 75_000,
    "commit an audit": 75_000,
    "reveal an audit, the worker's first": 60_000,
    "reveal an audit": 60_000,
    "claim, first": 90_000,
    "claim, later": 65_000,
    "vote, the first for": 90_000,
    "vote": 90_000,
    "vote, with bonded tokens": 90_000,
    "vote that reaches the quorum": 90_000,
    "vote by signature": 105_000,
    "propose": 90_000,
    "queue": 155_000,
    "execute": 170_000,
}
SLOTS = (1, 8, 64)
BOND_WEI = 5_000 * AIN
SPARED_TRIES = 30
"""Of a round of 8 at the audit floor of 5% two in three are spared whole."""
TOLERANCE, TOLERANCE_OF_DRAWS = 0.002, 0.03
"""Of a figure: what addresses and signatures move it by, and how often a draw must try again."""


@dataclass(frozen=True, slots=True)
class Row:
    """One call and its gas."""

    call: str
    gas: int

    @property
    def budget(self) -> int | None:
        """What it may cost; None where nothing is promised."""
        return BUDGETS.get(self.call)

    @property
    def text(self) -> str:
        """A line of the snapshot."""
        return json.dumps({"call": self.call, "gas": self.gas, "budget": self.budget})

    def matches(self, other: "Row") -> bool:
        """Whether both say the same of the same call."""
        tolerance = TOLERANCE_OF_DRAWS if " draw " in self.call else TOLERANCE
        return self.call == other.call and abs(self.gas - other.gas) <= tolerance * other.gas


@dataclass
class Meter:
    """Sends transactions and notes what they cost."""

    devnet: Devnet
    rows: list[Row] = field(default_factory=list)

    def send(self, what: str, chain: Chain, call: Transaction) -> None:
        self.note(what, chain.send(call).gas_used)

    def note(self, what: str, gas: int) -> None:
        self.rows.append(Row(what, gas))


def new_chain() -> Devnet:
    """A chain on which every round is the first of its epoch: the dearer case, and always so."""
    plan = replace(DEVNET.emission, epoch_s=5)
    pay_wei = DEVNET.parameters[Parameter.MIN_BOND_WEI]
    return Devnet(replace(DEVNET, emission=plan, first_bonds_pay_wei=pay_wei))


def word(*parts: object) -> bytes:
    """32 bytes that are the same in every run."""
    return sha256(repr(parts).encode()).digest()


def signer(name: str) -> Signer:
    """An account that is the same in every run."""
    return Signer.from_key(word("account", name))


def peer(name: str) -> bytes:
    """The identity of the account's node."""
    return peer_id_bytes(word("peer", name))


def bonds(meter: Meter, chain: Chain, name: str) -> None:
    """A bond's way in, and a part of it out again."""
    vault = chain.vault
    chain.send(chain.token.approve(vault.address, 1 << 200))
    meter.send("bond, first", chain, vault.bond(BOND_WEI, peer(name)))
    # Within its own second a bond writes no new entry of its owner's votes, and costs less.
    meter.devnet.travel(2)
    meter.send("bond, more", chain, vault.bond(BOND_WEI, b""))
    meter.send("request unbond", chain, vault.request_unbond(10 * AIN))
    meter.devnet.travel(chain.parameters.get(Parameter.UNBOND_DELAY_S))
    meter.send("withdraw", chain, vault.withdraw())


def delegated(meter: Meter, devnet: Devnet) -> None:
    """A delegated bond's way in and out: the first of its account, then another holder's."""
    names = [signer(name) for name in ("operator", "holder", "second holder")]
    operator, holder, second = names
    for account in names:
        devnet.fund(account.address, BOND_WEI)
    devnet.bond(operator, BOND_WEI, peer("operator"))
    with devnet.chain(operator) as chain:
        what = "open an account to delegated bonds"
        meter.send(what, chain, chain.vault.set_commission(operator.address, 500))
    with devnet.chain(holder) as chain, devnet.chain(second) as other:
        for account in (chain, other):
            account.send(account.token.approve(account.vault.address, 1 << 200))
        delegate = chain.vault.delegate_bond(operator.address, 10 * AIN, 500)
        meter.send("delegate a bond, an account's first", chain, delegate)
        meter.send("delegate a bond, a holder's first", other, delegate)
        devnet.travel(2)
        meter.send("delegate a bond, more", chain, delegate)
        meter.send("ask a delegated bond back", chain, chain.vault.request_undelegate(5 * AIN))
        devnet.travel(chain.parameters.get(Parameter.UNBOND_DELAY_S))
        meter.send("withdraw a delegated bond", chain, chain.vault.withdraw_delegated())
    earned(meter, devnet)
    listed(meter, devnet)


def listed(meter: Meter, devnet: Devnet) -> None:
    """Off the list that auditors are drawn from, whose last one takes over the place; and back."""
    operator, last = signer("operator"), signer("last")
    devnet.fund(last.address, BOND_WEI)
    devnet.bond(last, BOND_WEI, peer("last"))
    with devnet.chain(operator) as chain:
        bonded = chain.vault.bond_of(operator.address)
        meter.send("request unbond, of the whole bond", chain, chain.vault.request_unbond(bonded))
        meter.send("call it off", chain, chain.vault.cancel_unbond())


def earned(meter: Meter, devnet: Devnet) -> None:
    """A claim that is due when somebody delegates: the worker has rewards that nobody claimed."""
    worker, third = signer("worker"), signer("third holder")
    devnet.fund(third.address, BOND_WEI)
    with devnet.chain(worker) as chain:
        chain.send(chain.vault.set_commission(worker.address, 500))
    with devnet.chain(third) as chain:
        chain.send(chain.token.approve(chain.vault.address, 1 << 200))
        delegate = chain.vault.delegate_bond(worker.address, 10 * AIN, 500)
        meter.send("delegate a bond, with a claim that is due", chain, delegate)


def fund(
    meter: Meter, chain: Chain, rounds: int, slots: int, what: str = "", unit_wei: int = AIN
) -> JobId:
    """A funded job under the lease of the account that funded it; noted if `what` names it."""
    terms = JobTerms(
        manifest_digest=word("manifest", slots),
        manifest_size=100,
        manifest_root=word("manifest blob", slots),
        rounds=rounds,
        slots=slots,
        unit_wei=unit_wei,
        deadline=chain.head().timestamp + 100_000,
        unit_flops=10**9,
    )
    receipt = chain.send(chain.escrow.fund(terms))
    (job_id,) = (e.job_id for e in receipt.events if isinstance(e, JobFunded))
    if what:
        meter.note(what, receipt.gas_used)
    chain.send(chain.ledger.take_lease(job_id))
    # A lease that is renewed within its own second costs less.
    meter.devnet.travel(2)
    return job_id


def claims_of(
    devnet: Devnet, chain: Chain, workers: Sequence[Signer], job_id: JobId, round: int, slots: int
) -> Sequence[Claim]:
    """The signed claims to every slot of a round, by these workers in turn."""
    domain = ClaimDomain(devnet.network.chain_id, chain.ledger.address)
    lineage = chain.ledger.lineage(job_id, round)
    claims = []
    for slot in range(slots):
        unit, worker = unit_id(job_id, round, slot, 0), workers[slot % len(workers)]
        root, secret = word("result", slot), commit(unit, worker, slot)
        statement = Statement(unit, lineage.parent, lineage.lease_epoch, root, secret)
        signature = domain.sign(worker, statement)
        claims.append(Claim(slot, 0, worker.address, root, secret, signature))
    return claims


def commit(unit: UnitId, account: Signer, slot: int) -> bytes:
    """A worker's or auditor's commitment to the unit of a slot."""
    root = unit_root(word("result", slot), word("trace", slot))
    return commitment(unit, account.address, root, word("salt", account.address, slot))


def unaudited(meter: Meter, chain: Chain, worker: Signer, slots: int) -> JobId:
    """A job's first round where nobody is there to audit it."""
    ledger = chain.ledger
    job_id = fund(meter, chain, 2, slots, "fund a job" if slots == SLOTS[1] else "")
    claims = claims_of(meter.devnet, chain, [worker], job_id, 0, slots)
    what = f"commit a round of {slots} claim{'s' * (slots > 1)}"
    meter.send(what, chain, ledger.commit_round(job_id, 0, claims))
    meter.devnet.travel(2)
    shown = list(map(ClaimedUnit.of, claims))
    meter.send(f"capture the draw of {slots}", chain, ledger.capture_draw(job_id, 0, 0, shown))
    # Nobody could audit, so every unit is on record.
    finish(meter, chain, job_id, 0, f"finalise a round of {slots}")
    return job_id


def spared(meter: Meter, chain: Chain, worker: Signer) -> None:
    """The ordinary round, of a worker that the draw trusts: the first that it spares whole. With an
    auditor at hand a drawn unit does not pass.
    """
    give_clean_units(meter.devnet, [worker.address], 1000)
    job_id, shown, gas = spare(meter, chain, worker, 8)
    meter.note("capture a draw that spares 8", gas)
    finish(meter, chain, job_id, 0, "finalise a round of 8 spared", shown)


def spare(
    meter: Meter, chain: Chain, worker: Signer, slots: int, unit_wei: int = AIN
) -> tuple[JobId, list[ClaimedUnit], int]:
    """A round that the draw spares whole: its job, its claims, and the gas of the draw."""
    for _ in range(SPARED_TRIES):
        job_id = fund(meter, chain, 1, slots, unit_wei=unit_wei)
        claims = claims_of(meter.devnet, chain, [worker], job_id, 0, slots)
        chain.send(chain.ledger.commit_round(job_id, 0, claims))
        meter.devnet.travel(2)
        shown = list(map(ClaimedUnit.of, claims))
        capture = chain.send(chain.ledger.capture_draw(job_id, 0, 0, shown))
        if sum(isinstance(event, UnitPassed) for event in capture.events) == slots:
            return job_id, shown, capture.gas_used
    raise NodeError(f"none of {SPARED_TRIES} rounds was spared whole; run it again")


def finish(
    meter: Meter,
    chain: Chain,
    job_id: JobId,
    round: int,
    what: str,
    shown: Sequence[ClaimedUnit] = (),
) -> Receipt:
    """The end of a round whose units have all passed; noted if `what` names it."""
    meter.devnet.travel(10)
    roots = word("checkpoint", round), word("checkpoint blob", round)
    receipt = chain.send(chain.ledger.finalize_round(job_id, round, *roots, 1, [shown]))
    if what:
        meter.note(what, receipt.gas_used)
    return receipt


def audited(meter: Meter, chain: Chain, worker: Signer, auditor: Chain, key: Signer) -> None:
    """A round with one auditor and no other node."""
    ledger, slots = chain.ledger, 8
    job_id = fund(meter, chain, 1, slots)
    claims = claims_of(meter.devnet, chain, [worker], job_id, 0, slots)
    chain.send(ledger.commit_round(job_id, 0, claims))
    meter.devnet.travel(2)
    chain.send(ledger.capture_draw(job_id, 0, 0, list(map(ClaimedUnit.of, claims))))
    units = [unit_id(job_id, 0, slot, 0) for slot in range(slots)]
    for what, places in (("an audit", range(1)), ("7 audits", range(1, slots))):
        some = [units[slot] for slot in places]
        commitments = [commit(units[slot], key, slot) for slot in places]
        meter.send(f"commit {what}", auditor, auditor.ledger.commit_audits(some, commitments))
    traces = [word("trace", slot) for slot in range(slots)]
    salts = [word("salt", worker.address, slot) for slot in range(slots)]
    meter.devnet.travel(2)
    meter.send("open 8 units", chain, ledger.open_units(units, traces, salts))
    parts = (("an audit, the worker's first", range(1)), ("an audit", range(1, 2)),
             ("6 audits", range(2, slots)))  # fmt: skip
    for what, places in parts:
        roots = [unit_root(word("result", slot), word("trace", slot)) for slot in places]
        secrets = [word("salt", key.address, slot) for slot in places]
        some = [units[slot] for slot in places]
        meter.send(f"reveal {what}", auditor, auditor.ledger.reveal_audits(some, roots, secrets))
    finish(meter, chain, job_id, 0, "finalise an audited round of 8")


def newcomers(meter: Meter, chain: Chain, worker: Signer) -> None:
    """One audit that is worth a whole first bond, so that all can be seen."""
    devnet, first, key = meter.devnet, signer("first newcomer"), signer("newcomer")
    for account in (first, key):
        devnet.give_gas(account.address)
    bonds = chain.first_bonds
    with devnet.chain(first) as before, devnet.chain(key) as newcomer:
        meter.send("register as a newcomer, the period's first", before, bonds.register())
        meter.send("register as a newcomer", newcomer, bonds.register())
        job_id, shown, _ = spare(meter, chain, worker, 1, 400 * AIN)
        unit, (claim,) = unit_id(job_id, 0, 0, 0), shown
        sealed = commit(unit, key, 0)
        call = bonds.commit(job_id, 0, 0, claim, (), sealed)
        meter.send("commit a newcomer's audit", newcomer, call)
        finish(meter, chain, job_id, 0, "finalise a round of 1 spared", shown)
        devnet.travel(60)
        opening = Opening(word("trace", 0), word("salt", worker.address, 0))
        root = unit_root(word("result", 0), word("trace", 0))
        salt = word("salt", key.address, 0)
        call = bonds.reveal(job_id, 0, claim, opening, root, salt)
        meter.send("reveal a newcomer's audit", newcomer, call)
        meter.send("pay a first bond out", newcomer, bonds.pay_out())


def claimed(meter: Meter, devnet: Devnet, worker: Signer, auditor: Signer) -> None:
    """Rewards paid: to an account that has no tokens, then to accounts that have some."""
    relay = signer("relay")
    devnet.give_gas(relay.address)
    with devnet.chain(relay) as chain:
        token, rewards, emission = chain.token.address, chain.rewards, chain.emission
        devnet.travel(chain.token.schedule().plan.epoch_s)
        epochs = [e.epoch for e in emissions_of(chain, worker.address)]
        meter.send("claim, first", chain, rewards.claim(token, worker.address))
        meter.send("claim, later", chain, rewards.claim(token, auditor.address))
        claims = ("first", epochs[:1]), ("later", epochs[1:2]), ("2 epochs", epochs[2:4])
        for what, some in claims:
            # Within one second a second mint writes no new entry of the supply, and costs less.
            devnet.travel(2)
            meter.send(f"claim emission, {what}", chain, emission.claim(worker.address, some))


def measure(devnet: Devnet) -> list[Row]:
    """All rows; the chain must be new, for the first of a kind costs more."""
    meter = Meter(devnet)
    coordinator, worker, auditor = map(signer, ("coordinator", "worker", "auditor"))
    for account in (coordinator, worker, auditor):
        devnet.fund(account.address, 20 * BOND_WEI)
    devnet.bond(coordinator, BOND_WEI, peer("coordinator"))
    with devnet.chain(worker) as chain:
        bonds(meter, chain, "worker")
        spend(chain)
    with devnet.chain(coordinator) as chain, devnet.chain(auditor) as third:
        chain.send(chain.token.approve(chain.escrow.address, 1 << 200))
        for slots in SLOTS:
            unaudited(meter, chain, worker, slots)
        devnet.bond(auditor, BOND_WEI, peer("auditor"))
        audited(meter, chain, worker, third, auditor)
    claimed(meter, devnet, worker, auditor)
    with devnet.chain(coordinator) as chain:
        spared(meter, chain, worker)
        newcomers(meter, chain, worker)
    votes(meter.send, devnet, signer)
    delegated(meter, devnet)
    with devnet.chain(coordinator) as chain:
        shared(meter, chain, worker)
        largest(meter, chain)
    return meter.rows


def shared(meter: Meter, chain: Chain, worker: Signer) -> None:
    """A claim of an account that others have delegated to: they have their part of it."""
    job_id, shown, _ = spare(meter, chain, worker, 1)
    finish(meter, chain, job_id, 0, "", shown)
    claim = chain.rewards.claim(chain.token.address, worker.address)
    meter.send("claim, shared with delegators", chain, claim)


def largest(meter: Meter, chain: Chain) -> None:
    """The end of a round as large as one can be: 64 workers and 64 auditors, none of whom earned
    anything before. It must fit one transaction.
    """
    devnet, ledger, slots = meter.devnet, chain.ledger, SLOTS[-1]
    workers = [signer(f"worker {slot}") for slot in range(slots)]
    for number, account in enumerate(workers):
        devnet.fund(account.address, BOND_WEI)
        devnet.bond(account, BOND_WEI, peer(f"worker {number}"))
    job_id = fund(meter, chain, 1, slots)
    claims = claims_of(devnet, chain, workers, job_id, 0, slots)
    chain.send(ledger.commit_round(job_id, 0, claims))
    devnet.travel(2)
    chain.send(ledger.capture_draw(job_id, 0, 0, list(map(ClaimedUnit.of, claims))))
    units = [unit_id(job_id, 0, slot, 0) for slot in range(slots)]
    auditors = [signer(f"auditor {slot}").address for slot in range(slots)]
    write_audits(devnet, chain, units, auditors, word("root"))
    devnet.travel(chain.parameters.get(Parameter.AUDIT_WINDOW_S))
    chain.send(ledger.take_lease(job_id))
    end = finish(meter, chain, job_id, 0, "finalise a round of 64 for 128 new accounts")
    paid = sum(len(event.accounts) for event in end.events if isinstance(event, RoundRewards))
    if paid != 2 * slots:
        raise NodeError(f"the round paid {paid} accounts, not {2 * slots}")


def spend(chain: Chain) -> None:
    """Leave the account without a token outside its bond."""
    left = chain.token.balance_of(chain.address)
    chain.send(chain.vault.bond(left, b""))


def read_snapshot() -> list[Row]:
    """The rows of the snapshot in the repository."""
    lines = SNAPSHOT.read_text(encoding="utf-8").splitlines()
    return [Row(entry["call"], entry["gas"]) for entry in map(json.loads, lines)]


def table(rows: Sequence[Row]) -> str:
    """The rows for people."""
    lines = ["| call | gas | budget | |", "|---|---|---|---|"]
    for row in rows:
        budget, verdict = "", ""
        if row.budget is not None:
            budget = f"{row.budget:,}"
            verdict = "met" if row.gas <= row.budget else "not met"
        lines.append(f"| {row.call} | {row.gas:,} | {budget} | {verdict} |")
    return "\n".join(lines) + "\n"


def write(rows: Sequence[Row]) -> None:
    """Renew the snapshot and the table."""
    SNAPSHOT.write_text("".join(f"{row.text}\n" for row in rows), encoding="utf-8")
    before, rest = REPORT.read_text(encoding="utf-8").split(BEGIN)
    _, after = rest.split(END)
    REPORT.write_text(before + BEGIN + table(rows) + END + after, encoding="utf-8")


def main() -> None:
    """Print or write what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="a JSON object a line")
    parser.add_argument("--write", action="store_true", help="renew the snapshot and the table")
    arguments = parser.parse_args()
    with new_chain() as devnet:
        rows = measure(devnet)
    if arguments.write:
        write(rows)
    print("\n".join(row.text for row in rows) if arguments.json else table(rows))


if __name__ == "__main__":
    main()
