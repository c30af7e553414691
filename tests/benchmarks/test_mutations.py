"""benchmarks/mutations, mutants: what is changed, what is left alone, where a run goes on."""

import json
from pathlib import Path

import pytest

from benchmarks import mutants
from benchmarks.mutants import Mutant, Outcome
from benchmarks.mutations import mutations_of

SOURCE = """\
// a < b
import {A} from "./A.sol";
/// @notice Not x == y either.
contract C {
    error Bad(uint256 a, uint256 b);
    event Done(uint256 a);
    uint256 public immutable rate;

    function f(uint256 a, uint256 b) external onlyOwner {
        if (a > b) revert Bad(a, b); // a + b
        total += a * 10;
        _move(a, b);
        emit Done(a);
        return flag ? a : b;
    }
}
"""


def test_every_kind_is_made_once() -> None:
    """Guards, comparisons, sums, constants, statements, events, arguments, branches, modifiers."""
    found = [(m.line(SOURCE), m.kind, m.old, m.new) for m in mutations_of(SOURCE)]
    assert found == [
        (9, "modifier", "onlyOwner ", ""),
        (10, "guard", "if (a > b) revert Bad(a, b);", "{}"),
        (10, "comparison", ">", ">="),
        (11, "statement", "total += a * 10;", "{}"),
        (11, "arithmetic", "+=", "-="),
        (11, "arithmetic", "*", "/"),
        (11, "constant", "10", "11"),
        (11, "constant", "10", "9"),
        (12, "statement", "_move(a, b);", "{}"),
        (12, "arguments", "a, b", "b, a"),
        (13, "event", "emit Done(a);", "{}"),
        (14, "branches", "? a : b", "? b : a"),
    ]


def test_a_mutation_changes_its_place_alone() -> None:
    """One change, where it says, and the rest as it was."""
    for mutation in mutations_of(SOURCE):
        changed = mutation.apply(SOURCE)
        end = mutation.offset + len(mutation.old)
        assert changed != SOURCE
        assert changed[: mutation.offset] == SOURCE[: mutation.offset]
        assert changed.removesuffix(SOURCE[end:]) == SOURCE[: mutation.offset] + mutation.new


def test_a_sample_is_its_seeds() -> None:
    """The same seed, the same mutants, in the order of their files; another seed, others."""
    files = mutants.sources(["Hashes", "RewardDistributor"])
    assert files == ["contracts/RewardDistributor.sol", "contracts/libraries/Hashes.sol"]
    first = mutants.sample(files, 7, 12)
    assert mutants.sample(files, 7, 12) == first
    assert mutants.sample(files, 8, 12) != first
    assert [m.file for m in first] == sorted(m.file for m in first)


def test_every_source_has_tests_that_exist() -> None:
    """The table names files."""
    for file in mutants.sources([]):
        for name in mutants.tests_of(file):
            assert (mutants.ROOT / "tests" / "contracts" / f"{name}.t.sol").exists(), name


def test_a_library_is_compiled_into_what_uses_it() -> None:
    """Contracts by any number of imports, and the tests that look into it themselves."""
    root = mutants.ROOT
    assert mutants.dependents(root, "contracts/libraries/Schedule.sol", ("JobEscrow",)) == [
        "contracts/ComputeToken.sol"
    ]
    assert mutants.dependents(root, "contracts/vault/ActiveList.sol", ()) == [
        "contracts/BondVault.sol"
    ]
    assert "tests/contracts/Libraries.t.sol" in mutants.dependents(
        root, "contracts/libraries/Lottery.sol", ("Libraries",)
    )
    assert mutants.dependents(mutants.ROOT, "contracts/JobEscrow.sol", ("JobEscrow",)) == [
        "contracts/JobEscrow.sol"
    ]


def test_a_run_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the log has is not tried again; a changed source is."""
    log, tried = tmp_path / "log.jsonl", []

    class Unbuilt(mutants.Copy):
        def works(self, tests: object) -> bool:
            return True

        def restore(self, file: str) -> None:
            pass

        def outcome(self, mutant: Mutant) -> tuple[Outcome, str]:
            tried.append(mutant.key)
            return Outcome.KILLED, "test_x()"

    monkeypatch.setattr(mutants, "Copy", Unbuilt)
    some = mutants.sample(mutants.sources(["Lottery"]), 1, 3)
    first = list(mutants.run(some[:2], tmp_path / "copy", log))
    assert list(mutants.run(some, tmp_path / "copy", log))[:2] == first
    assert tried == [mutant.key for mutant in some]
    assert [json.loads(line) for line in log.read_text().splitlines()][:2] == first
    commented = Mutant(some[0].file, some[0].source + "// so\n", some[0].mutation)
    assert commented.key == some[0].key
    changed = Mutant(some[0].file, some[0].source + "uint256 constant A = 1;\n", some[0].mutation)
    assert changed.key not in tried
