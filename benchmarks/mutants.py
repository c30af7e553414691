"""Do the Solidity tests notice a wrong contract? `python -m benchmarks.mutants [--count N]`.

Makes small wrong changes of contracts/ (benchmarks/mutations.py), a seeded sample of them, and runs
the tests that should fail, each time in a copy of the repository outside of it. Compiles without
via-IR and optimizer (the build profile `quick`), for no test depends on them, and only what imports
the changed file. Prints a line a mutant: killed (a test fails, or runs out of time), survived, or
does not compile.

Every outcome is appended to the log at once. A second run with the same log goes on where the first
one stopped, and repeats what was tried on another version of its source.
"""

import argparse
import json
import os
import random
import re
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from itertools import groupby
from pathlib import Path

from benchmarks.mutations import Mutation, essence, mutations_of
from node.local_chain import node_program

ROOT = Path(__file__).parents[1]
LOG = ROOT / "docs" / "results" / "mutants.jsonl"
COPIED = ("contracts", "tests/contracts", "tests/vectors", "hardhat.config.js", "package.json")
COMPILER = "mutants_compiler.mjs"
COMPILER_USES = 50
"""Its memory grows: then a new one takes its place."""
BUILD_TIMEOUT_S = 1800
TEST_TIMEOUT_S = 600
LEDGER = (
    "WorkLedgerRounds", "WorkLedgerAudits", "WorkLedgerDisputes", "WorkLedgerLineage", "Locks",
    "WorkLedgerClaims", "InputUnavailable", "RewardDistributor", "Events", "Attacks",
)  # fmt: skip
EXCLUDED = "fixedSeed|test_gas"
"""Tests that look for luck, not for faults, and take longer than all others together; and those of
gas, which is another without the optimizer.
"""
TESTS = {
    "ActiveList": ("ActiveList", "BondVault", "Events", "WorkLedgerDisputes"),
    "AinurGovernor": ("Governance", "BondVotes"),
    "AuditCommittee": ("AuditCommittee", "WorkLedgerDisputes", "Events", "InputUnavailable"),
    "BondOwners": ("BondOwners",),
    "BondState": ("BondVault", "Locks", "DelegatedBonds"),
    "BondVault": (
        "BondVault",
        "BondOwners",
        "BondVotes",
        "DelegatedBonds",
        "DelegatedRewards",
        "Events",
        "Locks",
        "WorkLedgerAudits",
        "WorkLedgerDisputes",
    ),
    "BondVotes": ("BondVotes", "DelegatedVotes"),
    "ComputeToken": ("EmissionSchedule", "ComputeToken", "Events", "Attacks"),
    "DelegatedBonds": ("DelegatedBonds", "DelegatedVotes", "DelegatedRewards"),
    "EmissionController": ("EmissionController", "Events", "WashCompute", "Attacks"),
    "FirstBonds": ("FirstBonds", "FirstBondsAttacks"),
    "Places": ("FirstBonds",),
    "JobEscrow": (
        "JobEscrow",
        "Events",
        "InputUnavailable",
        "WorkLedgerLineage",
        "JobTokens",
        "Attacks",
    ),
    "EscrowMoney": ("JobTokens", "HostileTokens", "JobEscrow", "Events"),
    "NetworkParameters": ("NetworkParameters", "JobTokens", "Events", "RefereeSeat"),
    "RefereeSeat": ("RefereeSeat", "RefereeSeatInvariants"),
    "RewardDistributor": ("RewardDistributor", "DelegatedRewards", "Events", "Attacks"),
    "Hashes": ("Libraries",),
    "Lottery": ("Libraries",),
    "Schedule": ("EmissionSchedule",),
}
"""The tests of a source; those of LEDGER for all others."""
LAST = ("Invariants",)
"""With `--thorough` what survives them has to survive these too, which take longer."""


class Outcome(StrEnum):
    """What became of a mutant."""

    KILLED = "killed"
    SURVIVED = "survived"
    STILLBORN = "does not compile"


@dataclass(frozen=True, slots=True)
class Mutant:
    """One mutation of one file."""

    file: str
    source: str
    mutation: Mutation

    @property
    def key(self) -> str:
        """The same for the same change of the same source, whatever its comments say."""
        change, before = self.mutation, essence(self.source[: self.mutation.offset])
        text = repr((self.file, essence(self.source), len(before), change.kind, change.new))
        return sha256(text.encode()).hexdigest()[:16]

    def entry(self, outcome: Outcome, by: str, took_s: float) -> dict[str, object]:
        """A line of the log."""
        change = self.mutation
        return {
            "key": self.key,
            "file": self.file,
            "line": change.line(self.source),
            "kind": change.kind,
            "old": " ".join(change.old.split()),
            "new": " ".join(change.new.split()),
            "outcome": outcome,
            "by": by,
            "took_s": round(took_s, 1),
        }


class Copy:
    """A copy of what the compiler and the tests read, in a folder that it owns. `close` it."""

    def __init__(self, folder: Path, thorough: bool) -> None:
        self.folder = folder
        self._thorough = thorough
        for name in COPIED:
            source, target = ROOT / name, folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, dirs_exist_ok=True)
            else:
                shutil.copyfile(source, target)
        shutil.copyfile(Path(__file__).with_name(COMPILER), folder / COMPILER)
        modules = folder / "node_modules"
        if not modules.exists():
            modules.symlink_to(ROOT / "node_modules")
        self._compiler: subprocess.Popen[str] | None = None
        self._uses = 0

    def works(self, tests: Sequence[str]) -> bool:
        """Build everything and run these tests: whether they pass without any mutant."""
        contracts = sorted((self.folder / "contracts").glob("*.sol"))
        roots = [path.relative_to(self.folder).as_posix() for path in contracts]
        # The second time, for an earlier run may have been stopped in the middle of a mutant.
        if not (self._hardhat("build", "--no-tests") and self._compiles(roots)):
            return False
        return not (self.failure(tests, build=True) or self._last(build=True))

    def failure(self, tests: Sequence[str], *, build: bool = False) -> str:
        """The first test that fails, or "time", or nothing."""
        files = [f"tests/contracts/{name}.t.sol" for name in tests]
        options = ["--test-profile", "quick", *([] if build else ["--no-compile"])]
        options += ["--grep-exclude", EXCLUDED]
        try:
            passed = self._hardhat("test", "solidity", *options, *files)
        except subprocess.TimeoutExpired:
            return "time"
        return "" if passed else _first_failure(self._output) or "the run"

    def outcome(self, mutant: Mutant) -> tuple[Outcome, str]:
        """Try one mutant; the source and what was compiled of it are as they were afterwards."""
        path, tests = self.folder / mutant.file, tests_of(mutant.file)
        roots = dependents(self.folder, mutant.file, tests)
        path.write_text(mutant.mutation.apply(mutant.source), encoding="utf-8")
        try:
            if not self._compiles(roots):
                return Outcome.STILLBORN, ""
            # One file after the other: most mutants die in the first.
            by = next(filter(None, (self.failure((name,)) for name in tests)), "") or self._last()
            return (Outcome.KILLED, by) if by else (Outcome.SURVIVED, "")
        finally:
            path.write_text(mutant.source, encoding="utf-8")

    def restore(self, file: str) -> None:
        """Compile what depends on a file whose mutants are done."""
        self._compiles(dependents(self.folder, file, tests_of(file)))

    def close(self) -> None:
        """End the compiler."""
        if self._compiler is not None:
            self._compiler.communicate()
            self._compiler = None

    def _last(self, *, build: bool = False) -> str:
        return self.failure(LAST, build=build) if self._thorough else ""

    def _compiles(self, roots: Sequence[str]) -> bool:
        if self._uses % COMPILER_USES == 0:
            self.close()
            self._compiler = subprocess.Popen(
                [node_program(), COMPILER],
                cwd=self.folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        self._uses += 1
        compiler = self._compiler
        assert compiler is not None
        assert compiler.stdin is not None
        assert compiler.stdout is not None
        compiler.stdin.write(json.dumps(roots) + "\n")
        compiler.stdin.flush()
        answer = compiler.stdout.readline()
        if not answer:
            raise SystemExit("The compiler ended; its last words are above.")
        return answer == "ok\n"

    def _hardhat(self, *arguments: str) -> bool:
        command = [node_program(), "node_modules/hardhat/dist/src/cli.js", *arguments]
        done = subprocess.run(
            [*command, "--build-profile", "quick"],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=TEST_TIMEOUT_S if "--no-compile" in arguments else BUILD_TIMEOUT_S,
            check=False,
            env={**os.environ, "HARDHAT_DISABLE_TELEMETRY_PROMPT": "true", "NO_COLOR": "1"},
        )
        self._output = done.stdout
        return done.returncode == 0


def dependents(folder: Path, file: str, tests: Sequence[str]) -> list[str]:
    """The contracts, and of these tests those, that a change of `file` changes."""
    roots = [path.relative_to(folder).as_posix() for path in (folder / "contracts").glob("*.sol")]
    roots += [f"tests/contracts/{name}.t.sol" for name in tests]
    return sorted(root for root in roots if file in _imported(folder, root))


def _imported(folder: Path, root: str) -> set[str]:
    """A file and all files whose code is in it: of another contract it has the type alone."""
    found, waiting = {root}, [root]
    while waiting:
        file = waiting.pop()
        for name in _IMPORT.findall((folder / file).read_text(encoding="utf-8")):
            path = os.path.normpath(Path(file).parent / name)
            if path not in found and Path(path).parent.as_posix() != "contracts":
                found.add(path)
                waiting.append(path)
    return found


_IMPORT = re.compile(r'^import [^;]*?"(\.[^"]+)";', re.MULTILINE)


def _first_failure(output: str) -> str:
    lines = output.splitlines()
    names = (line.strip() for line in lines if ") test" in line or ") invariant" in line)
    return next((name.split(")", 1)[1].strip() for name in names), "")


def tests_of(file: str) -> Sequence[str]:
    """The names of the test files that should notice a change of `file`."""
    return TESTS.get(Path(file).stem, LEDGER)


def sources(only: Sequence[str]) -> list[str]:
    """The files that have behaviour, or those of them whose names are in `only`."""
    found = sorted(
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "contracts").rglob("*.sol")
        if path.parent.name not in ("interfaces", "types")
    )
    return [file for file in found if not only or Path(file).stem in only]


def sample(files: Sequence[str], seed: int, count: int) -> list[Mutant]:
    """`count` mutants of all that there are, each as likely as any other, in the files' order."""
    mutants = [
        Mutant(file, source, mutation)
        for file in files
        for source in [(ROOT / file).read_text(encoding="utf-8")]
        for mutation in mutations_of(source)
    ]
    chosen = random.Random(seed).sample(mutants, min(count, len(mutants)))
    return sorted(chosen, key=lambda mutant: (mutant.file, mutant.mutation))


def read_log(path: Path) -> dict[str, dict[str, object]]:
    """What is known already, by key."""
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    return {entry["key"]: entry for entry in map(json.loads, lines)}


def run(
    mutants: Sequence[Mutant],
    folder: Path,
    log: Path,
    *,
    again: bool = False,
    thorough: bool = False,
) -> Iterator[dict[str, object]]:
    """The log's entry of every mutant; those that are not in the log are tried.

    `again`: so are those that survived. `thorough`: with the invariants, which take long.
    """
    known = read_log(log)
    if again:
        known = {k: e for k, e in known.items() if e["outcome"] != Outcome.SURVIVED}
    copy = Copy(folder, thorough)
    checked: set[Sequence[str]] = set()
    try:
        for file, some in groupby(mutants, lambda mutant: mutant.file):
            tests, tried = tests_of(file), False
            for mutant in some:
                if mutant.key not in known:
                    if tests not in checked and not copy.works(tests):
                        raise SystemExit(f"{', '.join(tests)} fail without any mutant.")
                    checked.add(tests)
                    started, tried = time.monotonic(), True
                    entry = mutant.entry(*copy.outcome(mutant), time.monotonic() - started)
                    with log.open("a", encoding="utf-8") as lines:
                        lines.write(json.dumps(entry) + "\n")
                    known[mutant.key] = entry
                yield known[mutant.key]
            if tried:
                copy.restore(file)
    finally:
        copy.close()


def main() -> None:
    """Try the sample and print the outcome of each and of all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=200, help="mutants in the sample")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="JobEscrow Hashes")
    parser.add_argument("--log", type=Path, default=LOG, help="outcomes; a run goes on with it")
    parser.add_argument("--work", type=Path, help="folder of the copy; kept if it is named")
    parser.add_argument("--again", action="store_true", help="try again what survived")
    parser.add_argument("--thorough", action="store_true", help="the invariants too")
    parser.add_argument("--list", action="store_true", help="show the sample, try nothing")
    arguments = parser.parse_args()
    mutants = sample(sources(arguments.only), arguments.seed, arguments.count)
    if arguments.list:
        for mutant in mutants:
            change = mutant.mutation
            where = f"{mutant.file}:{change.line(mutant.source)}"
            print(f"{where} {change.kind}: {change.old!r} -> {change.new!r}")
        return
    with tempfile.TemporaryDirectory(prefix="ainur-mutants-") as temporary:
        outcomes: Counter[str] = Counter()
        work = arguments.work or Path(temporary)
        options = {"again": arguments.again, "thorough": arguments.thorough}
        for entry in run(mutants, work, arguments.log, **options):
            outcomes[str(entry["outcome"])] += 1
            print(
                f"{entry['outcome']}: {entry['file']}:{entry['line']} {entry['kind']}: "
                f"{entry['old']} -> {entry['new']} {entry['by']}",
                flush=True,
            )
    valid = outcomes[Outcome.KILLED] + outcomes[Outcome.SURVIVED]
    share = 100 * outcomes[Outcome.KILLED] / valid if valid else 0.0
    print(f"{outcomes[Outcome.KILLED]} of {valid} killed ({share:.1f}%), "
          f"{outcomes[Outcome.STILLBORN]} more do not compile")  # fmt: skip


if __name__ == "__main__":
    main()
