"""What audits catch, by formula and by simulation: `python -m benchmarks.audits [--json]`.

A liar is past its probation and lies in a share q of its next n units, until one of its lies is
drawn. The formula is scheduler/audit.py's, with exact fractions; the simulation asks the very draw
function with real tickets, keccak256(abi.encode(seed, unit id)), one seed a round. The interval is
Wilson's at 99.9% (Wilson, "Probable Inference, the Law of Succession, and Statistical Inference",
1927): of all cells about one in a thousand may lie outside by chance.
"""

import argparse
import json
from fractions import Fraction
from math import sqrt
from random import Random

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from node.ids import JobId, unit_id
from scheduler.audit import audit_rate, bond_wei_min, detection_probability, is_drawn

PROBATION = 10
FLOORS_BPS = (200, 500, 1_000, 2_000)
SHARES = (Fraction(1), Fraction(3, 10), Fraction(1, 10), Fraction(3, 100))
UNITS = (10, 50, 200)
TRIALS = 2_000
Z = 3.29
COLLUDING, RETURNED = Fraction(1, 3), Fraction(2, 5)
Row = dict[str, object]


def predicted(share: Fraction, units: int, floor_bps: int) -> Fraction:
    """The probability that at least one lie among the units after probation is drawn."""
    clean = range(PROBATION, PROBATION + units)
    return detection_probability(share * audit_rate(n, PROBATION, floor_bps) for n in clean)


def is_caught(random: Random, share: Fraction, units: int, floor_bps: int) -> bool:
    """One liar's career, with a ticket for every lie. Honest units pass or verify: both count."""
    job = JobId(random.randbytes(32))
    for number in range(units):
        if random.randrange(share.denominator) >= share.numerator:
            continue
        name = unit_id(job, number, 0, 0)
        ticket = keccak(encode(("bytes32", "bytes32"), (random.randbytes(32), name)))
        if is_drawn(ticket, PROBATION + number, PROBATION, floor_bps):
            return True
    return False


def wilson(caught: int, trials: int) -> tuple[float, float]:
    """The interval in which the probability lies, by what was seen."""
    seen, weight = caught / trials, Z * Z / trials
    centre = (seen + weight / 2) / (1 + weight)
    half = Z / (1 + weight) * sqrt(seen * (1 - seen) / trials + weight / (4 * trials))
    return centre - half, centre + half


def compare(share: Fraction, units: int, floor_bps: int, trials: int) -> Row:
    """One cell of the table."""
    random = Random(f"{share} {units} {floor_bps}")
    caught = sum(is_caught(random, share, units, floor_bps) for _ in range(trials))
    low, high = wilson(caught, trials)
    formula = float(predicted(share, units, floor_bps))
    return {
        "floor_bps": floor_bps,
        "lies": float(share),
        "units": units,
        "formula": round(formula, 4),
        "simulated": round(caught / trials, 4),
        "low": round(low, 4),
        "high": round(high, 4),
        "inside": low <= formula <= high,
    }


def bonds() -> list[Row]:
    """The least bond, in costs of a unit, for which a lie loses money at each floor.

    A third of the auditors colludes, two fifths of a slash come back to the liar, and it would
    forgo the reward of one unit, which is its cost.
    """
    rows: list[Row] = []
    for floor_bps in FLOORS_BPS:
        rate, unit_wei = Fraction(floor_bps, 10_000), 10**18
        bond = bond_wei_min(unit_wei, 0, rate, COLLUDING, RETURNED, unit_wei)
        rows.append({"floor_bps": floor_bps, "bond_in_unit_costs": round(bond / unit_wei, 1)})
    return rows


def main() -> None:
    """Print the table; exit code 1 if more cells are outside than chance explains."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--trials", type=int, default=TRIALS)
    arguments = parser.parse_args()
    cells = [(f, q, n) for f in FLOORS_BPS for q in SHARES for n in UNITS]
    rows = [compare(q, n, f, arguments.trials) for f, q, n in cells]
    if arguments.json:
        print(json.dumps({"trials": arguments.trials, "cells": rows, "bonds": bonds()}))
    else:
        print("| floor | lies | units | formula | simulated | 99.9% interval | |")
        print("|---|---|---|---|---|---|---|")
        for (floor, share, units), row in zip(cells, rows, strict=True):
            print(
                f"| {floor / 100:g}% | {float(share):.0%} | {units} | {row['formula']:.4f} "
                f"| {row['simulated']:.4f} | {row['low']:.4f} to {row['high']:.4f} "
                f"| {'' if row['inside'] else 'outside'} |"
            )
        for row in bonds():
            print(f"floor {row['floor_bps']} bps: bond {row['bond_in_unit_costs']} unit costs")
    if sum(not row["inside"] for row in rows) > 1:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
