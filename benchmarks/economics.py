"""Who earns what: `python -m benchmarks.economics [--json] [--picture FILE]`.

Strategies of workers are played unit by unit with the ledger's own audit rate, and compared with
closed formulas where there are any; docs/economics.md derives those. Amounts are in prices of one
unit, so that 1 is what a worker is paid for it. Parameters are those of a public network
(node/deployment.py) but for what a table varies.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from math import comb
from pathlib import Path
from random import Random
from typing import TypeAlias

from node.chain.types import Parameter
from node.deployment import PUBLIC
from scheduler.audit import BPS, audit_rate

Row: TypeAlias = dict[str, float | int | str]

UNITS = 1_000
CAREERS = 400
FLOORS_BPS = (200, 500, 1_000, 2_000)
LOCKS = (5, 12.5, 25, 50, 100, 200)
BURSTS = (1, 2, 5, 10, 20, 50, 100)
COLLUDING = (0.0, 0.1, 0.2, 1 / 3)
POOLED = 0.5
"""The share of one bond for everything that a fault takes, where units have no locks."""
LENT = (0.0, 0.25, 0.5, 0.75, 0.9)
"""The contract lets nothing beyond a half happen."""
PROPOSING = (0.0, 0.05, 0.2, 1 / 3)


@dataclass(frozen=True, slots=True)
class Rules:
    """What the network demands, and what a unit costs; shares are of 1.

    `lock`: what a fault costs, of the worker's bond. `colluding`: the share of auditors and jurors
    that it controls. `returned`: the share of what it loses that comes back to it through them.
    `lent`: the share of its lock that others, who have delegated to its bond, lose instead of it.
    """

    floor_bps: int = PUBLIC.parameters[Parameter.AUDIT_FLOOR_BPS]
    probation: int = PUBLIC.parameters[Parameter.PROBATION_UNITS]
    bounty: float = PUBLIC.parameters[Parameter.BOUNTY_BPS] / BPS
    fee: float = PUBLIC.parameters[Parameter.PROTOCOL_FEE_BPS] / BPS
    audit_pay: float = PUBLIC.parameters[Parameter.AUDIT_PAY_BPS] / BPS
    seats: int = PUBLIC.parameters[Parameter.COMMITTEE_SIZE]
    treasury: float = PUBLIC.parameters[Parameter.TREASURY_SHARE_BPS] / BPS
    cost: float = 0.8
    lock: float = (
        PUBLIC.parameters[Parameter.LOCK_FACTOR_BPS] / PUBLIC.parameters[Parameter.AUDIT_FLOOR_BPS]
    )
    colluding: float = 0.0
    lent: float = 0.0

    @property
    def returned(self) -> float:
        """Nothing to a liar alone; the whole bounty, at worst, to one that plays its accuser."""
        return self.bounty if self.colluding else 0.0

    @property
    def loss(self) -> float:
        """What one fault costs for good: no bounty is paid of what others have delegated."""
        return self.lock * (1 - self.lent) * (1 - self.returned)

    @property
    def caught(self) -> float:
        """The probability that a lie past probation is drawn by somebody honest."""
        return self.floor_bps / BPS * (1 - self.colluding)


Lies = Callable[[Rules, int, Random], bool]
"""(rules, units since the last fault, chance) -> whether the next unit is a lie."""


def _at_the_floor(rules: Rules, clean: int) -> bool:
    return clean >= rules.probation and clean * rules.floor_bps >= BPS


STRATEGIES: dict[str, Lies] = {
    "honest": lambda rules, clean, random: False,
    "always lies": lambda rules, clean, random: True,
    "lies after probation": lambda rules, clean, random: clean >= rules.probation,
    "lies once trusted": lambda rules, clean, random: _at_the_floor(rules, clean),
    "one lie in 20, once trusted": lambda rules, clean, random: (
        _at_the_floor(rules, clean) and random.random() < 0.05
    ),
}


@cache
def _rate(clean: int, probation: int, floor_bps: int) -> float:
    return float(audit_rate(clean, probation, floor_bps))


def career(rules: Rules, lies: Lies, units: int, random: Random) -> float:
    """The profit of a worker over so many units; it tops its bond up after every fault."""
    profit, clean = 0.0, 0
    for _ in range(units):
        is_lie = lies(rules, clean, random)
        if not is_lie:
            profit -= rules.cost
        is_drawn = random.random() < _rate(clean, rules.probation, rules.floor_bps)
        if is_lie and is_drawn and random.random() >= rules.colluding:
            profit -= rules.loss
            clean = 0
        else:
            profit += 1.0
            clean += 1
    return profit


def profit(rules: Rules, name: str, careers: int = CAREERS, units: int = UNITS) -> float:
    """The mean profit a unit of a strategy."""
    random = Random(f"{rules} {name}")
    total = sum(career(rules, STRATEGIES[name], units, random) for _ in range(careers))
    return total / careers / units


def lie_gain(rules: Rules) -> float:
    """By formula, what one lie at the floor is worth beyond honest work."""
    return (1 - rules.caught) * rules.cost - rules.caught * (rules.loss + 1 - rules.cost)


def lock_min(rules: Rules) -> float:
    """By formula, the lock at which a lie at the floor is worth nothing."""
    gain = (1 - rules.caught) * rules.cost - rules.caught * (1 - rules.cost)
    return max(0.0, gain / (rules.caught * (1 - rules.lent) * (1 - rules.returned)))


def workers(careers: int) -> list[Row]:
    """Profit a unit of each strategy over locks, alone and with a third of the auditors."""
    return [
        {
            "colluding": round(colluding, 3),
            "lock": lock,
            "lock_min": round(lock_min(rules), 1),
            **{name: round(profit(rules, name, careers), 3) for name in STRATEGIES},
        }
        for colluding in (0.0, 1 / 3)
        for lock in LOCKS
        for rules in (Rules(lock=lock, colluding=colluding),)
    ]


def locks() -> list[Row]:
    """The least lock over audit floors and colluding shares."""
    return [
        {
            "floor_bps": floor_bps,
            **{
                f"colluding {share:.0%}": round(
                    lock_min(Rules(floor_bps=floor_bps, colluding=share)), 1
                )
                for share in COLLUDING
            },
        }
        for floor_bps in FLOORS_BPS
    ]


def burst(rules: Rules, lies: int, is_locked: bool) -> float:
    """The expected gain of so many lies at once, before any is judged, beyond honest work.

    `is_locked`: each unit has a lock of its own; else one bond answers for all, as large as the
    lock of one unit is by the share that a fault takes, of what the one before left.
    """
    chance = rules.caught
    gain = 0.0
    for faults in range(lies + 1):
        weight = comb(lies, faults) * chance**faults * (1 - chance) ** (lies - faults)
        shares = faults if is_locked else (1 - (1 - POOLED) ** faults) / POOLED
        lost = rules.loss * shares + faults * (1 - rules.cost)
        gain += weight * ((lies - faults) * rules.cost - lost)
    return gain


def bursts() -> list[Row]:
    """Many lies at once against one bond, and against a lock for each unit."""
    rules = Rules(colluding=1 / 3)
    rules = replace(rules, lock=1.5 * lock_min(rules))
    return [
        {
            "lies": lies,
            "one bond": round(burst(rules, lies, is_locked=False), 2),
            "a lock each": round(burst(rules, lies, is_locked=True), 2),
        }
        for lies in BURSTS
    ]


def _of_all(rules: Rules) -> float:
    """The lock that would cost as much if bounties were paid of what others lose, too."""
    return rules.lock * (1 - rules.lent - rules.returned) / (1 - rules.returned)


def delegated() -> list[Row]:
    """What a lie gains whose lock others pay a share of, and if bounties were paid of all of it."""
    rows: list[Row] = []
    for lent in LENT:
        alone, third = Rules(lent=lent), Rules(lent=lent, colluding=1 / 3)
        # The liar loses its own part, and has the bounty on everybody's.
        of_all = replace(third, lent=0.0, lock=_of_all(third))
        rows.append(
            {
                "lent": lent,
                "least lock, alone": round(lock_min(alone), 1),
                "least lock, a third": round(lock_min(third), 1),
                "gain, alone": round(lie_gain(alone), 2),
                "gain, a third": round(lie_gain(third), 2),
                "gain, a third, bounty of all": round(lie_gain(of_all), 2),
            }
        )
    return rows


def majority(share: float, seats: int) -> float:
    """The probability that more than half of the drawn jurors belong to a share of all nodes."""
    least = seats // 2 + 1
    return sum(
        comb(seats, k) * share**k * (1 - share) ** (seats - k) for k in range(least, seats + 1)
    )


def false_accusation(rules: Rules) -> float:
    """What an auditor gains that disputes an honest unit and hopes for a jury of its own.

    Who is found wrong, worker or auditor, loses the unit's lock.
    """
    won = majority(rules.colluding, rules.seats)
    return won * rules.bounty * rules.lock - (1 - won) * rules.lock - rules.audit_pay


def committees() -> list[Row]:
    """How often a share of the nodes is a majority of a committee, and what that earns."""
    return [
        {
            "colluding": round(share, 3),
            **{f"{seats} seats": round(majority(share, seats), 4) for seats in (3, 5, 9, 15)},
            "accuse, 5 seats": round(false_accusation(Rules(colluding=share)), 1),
        }
        for share in (*COLLUDING, 0.45)
    ]


def proposer(chance: float, proposing: float) -> float:
    """The probability of being drawn of who proposes a share of the blocks and skips bad ones.

    A skipped block is proposed again, by the same again with the same probability.
    """
    return chance * (1 - proposing) / (1 - proposing * chance)


def proposers() -> list[Row]:
    """The audit rate that a proposer is left with, over its lies in a batch."""
    return [
        {
            "lies in the batch": lies,
            **{
                f"proposes {share:.0%}": round(proposer(1 - (1 - Rules().caught) ** lies, share), 4)
                for share in PROPOSING
            },
        }
        for lies in (1, 4, 16)
    ]


def wash(rules: Rules, emitted: float, is_computed: bool) -> float:
    """The profit a unit of who posts jobs to itself, before gas.

    `emitted`: the emission for a unit as a share of the protocol fee burned for it, at most 1 by
    the contracts (`EmissionBps`), of which the treasury has its share. Pay to itself cancels;
    audits by others are paid, and find what was not computed.
    """
    audits = rules.floor_bps / BPS
    burned = rules.fee * (1.0 + audits * rules.audit_pay)
    others = rules.caught * rules.audit_pay
    own = rules.cost if is_computed else rules.caught * rules.loss
    return (emitted * (1 - rules.treasury) - 1.0) * burned - others - own


def washes() -> list[Row]:
    """Jobs to oneself over the share of the burned fee that is emitted."""
    rules = Rules(colluding=1 / 3)
    alone = replace(rules, colluding=1.0)
    return [
        {
            "emitted": emitted,
            "computed": round(wash(rules, emitted, True), 4),
            "invented, a third of the nodes": round(wash(rules, emitted, False), 4),
            "invented, all nodes": round(wash(alone, emitted, False), 4),
        }
        for emitted in (0.0, 0.5, 1.0, 1.5, 3.0)
    ]


def draw(path: Path, rows: list[Row]) -> None:
    """Profit of the strategies over the lock, alone and colluding."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4))
    sides = figure.subplots(1, 2, sharey=True)
    for axes, colluding in zip(sides, sorted({float(r["colluding"]) for r in rows}), strict=True):
        shown = [row for row in rows if row["colluding"] == colluding]
        for name in STRATEGIES:
            axes.plot([r["lock"] for r in shown], [r[name] for r in shown], "o-", label=name)
        axes.axvline(float(shown[0]["lock_min"]), color="grey", linestyle=":")
        axes.set(
            xscale="log",
            xlabel="lock, in prices of a unit",
            title=f"controls {colluding:.0%} of the auditors",
            ylim=(-1.5, 1.05),
        )
    sides[0].set(ylabel="profit a unit, in prices of a unit")
    sides[1].legend(fontsize=8, loc="lower left")
    figure.savefig(path, dpi=110, bbox_inches="tight")


def table(rows: list[Row]) -> str:
    """Rows as a Markdown table."""
    names = list(rows[0])
    lines = [names, ["---"] * len(names), *([f"{row[n]}" for n in names] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Print all tables; draw the first if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--picture", type=Path, help="write the profits of workers as a picture")
    parser.add_argument("--careers", type=int, default=CAREERS)
    arguments = parser.parse_args()
    tables = {
        "workers": workers(arguments.careers),
        "least lock": locks(),
        "many lies at once": bursts(),
        "delegated bonds": delegated(),
        "committees": committees(),
        "proposers": proposers(),
        "jobs to oneself": washes(),
    }
    if arguments.picture is not None:
        draw(arguments.picture, tables["workers"])
    if arguments.json:
        print(json.dumps(tables))
        return
    for title, rows in tables.items():
        print(f"{title}\n\n{table(rows)}\n")


if __name__ == "__main__":
    main()
