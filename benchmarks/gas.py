"""What calls of the contracts cost: `python -m benchmarks.gas [--json]`.

Transactions on a local chain, with the gas that their receipts name; next to it the budget of the
project, where there is one. A network of two accounts, so that no unit is audited.
"""

import argparse
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from node.chain import Chain
from node.chain.events import JobFunded
from node.chain.handle import Transaction
from node.chain.types import Claim, JobTerms, Parameter
from node.claim_signature import ClaimDomain, Statement
from node.deployment import AIN
from node.devnet import Devnet
from node.identity import peer_id_bytes
from node.ids import JobId, unit_id
from node.wallet import Signer

Row: TypeAlias = dict[str, str | int | None]

BUDGETS = {
    "bond, first": 110_000,
    "bond, more": 110_000,
    "request unbond": 60_000,
    "withdraw": 90_000,
    "fund a job": 130_000,
    "commit a round of 1 claim": 75_000,
}
SLOTS = (1, 8, 64)
BOND_WEI = 5_000 * AIN


@dataclass
class Meter:
    """Sends transactions and notes what they cost."""

    devnet: Devnet
    rows: list[Row] = field(default_factory=list)

    def send(self, what: str, chain: Chain, call: Transaction) -> int:
        gas = chain.send(call).gas_used
        self.rows.append({"call": what, "gas": gas, "budget": BUDGETS.get(what)})
        return gas


def bonds(meter: Meter, chain: Chain) -> None:
    """A bond's way in, and a part of it out again."""
    vault, peer_id = chain.vault, peer_id_bytes(secrets.token_bytes(32))
    chain.send(chain.token.approve(vault.address, 1 << 200))
    meter.send("bond, first", chain, vault.bond(BOND_WEI, peer_id))
    meter.send("bond, more", chain, vault.bond(BOND_WEI, b""))
    meter.send("request unbond", chain, vault.request_unbond(10 * AIN))
    meter.devnet.travel(chain.parameters.get(Parameter.UNBOND_DELAY_S))
    meter.send("withdraw", chain, vault.withdraw())


def rounds(meter: Meter, chain: Chain, worker: Signer, slots: int) -> None:
    """A job's first round, from the deposit to its end."""
    terms = JobTerms(
        manifest_digest=secrets.token_bytes(32),
        manifest_size=100,
        manifest_root=secrets.token_bytes(32),
        rounds=2,
        slots=slots,
        unit_wei=AIN,
        deadline=chain.head().timestamp + 100_000,
    )
    ledger, escrow = chain.ledger, chain.escrow
    chain.send(chain.token.approve(escrow.address, 1 << 200))
    receipt = chain.send(escrow.fund(terms))
    job_id = next(e.job_id for e in receipt.events if isinstance(e, JobFunded))
    if slots == SLOTS[0]:
        row: Row = {"call": "fund a job", "gas": receipt.gas_used}
        meter.rows.append(row | {"budget": BUDGETS["fund a job"]})
    chain.send(ledger.take_lease(job_id))
    claims = _claims(meter.devnet, chain, worker, job_id, slots)
    what = f"commit a round of {slots} claim{'s' * (slots > 1)}"
    meter.send(what, chain, ledger.commit_round(job_id, 0, claims))
    meter.devnet.travel(1)
    meter.send(f"capture the draw of {slots}", chain, ledger.capture_draw(job_id, 0, 0))
    meter.devnet.travel(10)
    end = ledger.finalize_round(job_id, 0, *(secrets.token_bytes(32) for _ in range(2)), 1)
    meter.send(f"finalise a round of {slots}", chain, end)


def _claims(
    devnet: Devnet, chain: Chain, worker: Signer, job_id: JobId, slots: int
) -> Sequence[Claim]:
    domain = ClaimDomain(devnet.network.chain_id, chain.ledger.address)
    lineage = chain.ledger.lineage(job_id, 0)
    claims = []
    for slot in range(slots):
        root, secret = secrets.token_bytes(32), secrets.token_bytes(32)
        unit = unit_id(job_id, 0, slot, 0)
        statement = Statement(unit, lineage.parent, lineage.lease_epoch, root, secret)
        signature = domain.sign(worker, statement)
        claims.append(Claim(slot, 0, worker.address, root, secret, signature))
    return claims


def measure() -> list[Row]:
    """All rows, on a chain of their own."""
    with Devnet() as devnet:
        coordinator, worker = Signer.random(), Signer.random()
        for account in (coordinator, worker):
            devnet.fund(account.address, 20 * BOND_WEI)
        meter = Meter(devnet)
        with devnet.chain(worker) as chain:
            bonds(meter, chain)
        devnet.bond(coordinator, BOND_WEI, peer_id_bytes(secrets.token_bytes(32)))
        with devnet.chain(coordinator) as chain:
            for slots in SLOTS:
                rounds(meter, chain, worker, slots)
    return meter.rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON document")
    rows = measure()
    if parser.parse_args().json:
        print(json.dumps(rows))
        return
    print("| call | gas | budget |\n|---|---|---|")
    for row in rows:
        print(f"| {row['call']} | {row['gas']:,} | {row['budget'] or ''} |")


if __name__ == "__main__":
    main()
