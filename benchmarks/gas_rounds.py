"""What jobs and rounds cost, from the funding to the claims of what they paid."""

from collections.abc import Sequence

from benchmarks.gas_audits import write_audits
from benchmarks.gas_meter import BOND_WEI, Meter, peer, signer, word
from benchmarks.links.experience import give_clean_units
from engine.commitment import unit_root
from node.chain import Chain, Receipt
from node.chain.events import JobFunded, RoundRewards, UnitPassed
from node.chain.types import Claim, ClaimedUnit, JobTerms, Opening, Parameter
from node.claim_signature import ClaimDomain, Statement
from node.deployment import AIN
from node.devnet import Devnet
from node.emission import emissions_of
from node.errors import NodeError
from node.ids import JobId, UnitId, commitment, unit_id
from node.wallet import Signer

SLOTS = (1, 8, 64)
SPARED_TRIES = 30
"""Of a round of 8 at the audit floor of 5% two in three are spared whole."""


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
