"""What calls of the contracts cost: `python -m benchmarks.gas [--json | --write]`.

Transactions on a local chain, with the gas that their receipts name; next to it the budget of the
project, where there is one. Accounts, salts and roots are the same in every run, so figures differ
by some dozens at most: the deployer's address is new each time. `--write` renews the snapshot that
a test compares (docs/results/gas.jsonl) and the table of docs/results/contracts.md.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.gas_bonds import bonds, delegated, spend
from benchmarks.gas_meter import BOND_WEI, Meter, Row, peer, signer
from benchmarks.gas_rounds import (
    SLOTS,
    audited,
    claimed,
    largest,
    newcomers,
    shared,
    spared,
    unaudited,
)
from benchmarks.gas_votes import votes
from node.chain.types import Parameter
from node.deployment import DEVNET
from node.devnet import Devnet

ROOT = Path(__file__).parents[1]
SNAPSHOT = ROOT / "docs" / "results" / "gas.jsonl"
REPORT = ROOT / "docs" / "results" / "contracts.md"
RENEW = ".venv/bin/python -m benchmarks.gas --write"
BEGIN, END = "<!-- gas: begin -->\n", "<!-- gas: end -->\n"


def new_chain() -> Devnet:
    """A chain on which every round is the first of its epoch: the dearer case, and always so."""
    plan = replace(DEVNET.emission, epoch_s=5)
    pay_wei = DEVNET.parameters[Parameter.MIN_BOND_WEI]
    return Devnet(replace(DEVNET, emission=plan, first_bonds_pay_wei=pay_wei))


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
