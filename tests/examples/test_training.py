"""benchmarks.training: what is finished stays finished, and a killed run is lost alone."""

import json
from pathlib import Path

import pytest

from benchmarks import training
from benchmarks.training_variants import tell_lie, variant

TINY = {"layers": 1, "width": 8, "slots": 3, "steps": 2, "seeds": 1}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """A function that runs a tiny variant of four steps and gives the lines of the results."""
    text, results = tmp_path / "text.txt", tmp_path / "results.jsonl"
    text.write_text("to be or not to be, that is the question. " * 40)
    variants = (variant("liar", lie="nan", **TINY),)
    changes = {"STEPS_ALL": 4, "EVALUATION_ROWS": 2, "EVALUATIONS_LAST": 1, "VARIANTS": variants}
    for name, value in changes.items():
        monkeypatch.setattr(training, name, value)
    arguments = ["training", str(text), "--results", str(results), "--device", "reference"]
    monkeypatch.setattr("sys.argv", arguments)

    def call() -> list[dict[str, object]]:
        training.main()
        whole = []
        for line in results.read_text().splitlines():
            try:
                whole.append(json.loads(line))
            except ValueError:
                continue
        return whole

    return results, call


def test_repeated_call_runs_only_what_is_missing(run, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing at first; then what a torn last line had."""
    results, call = run
    first = call()
    assert [line["name"] for line in first] == ["liar"]
    assert [line["counted"] for line in first] == [[2.0, 2.0]]
    assert all(len(line["curve"]) == 2 and line["final"] < 5 for line in first)
    capsys.readouterr()
    assert call() == first
    assert capsys.readouterr().out == ""
    torn = results.read_bytes()[:-20]
    results.write_bytes(torn)
    again = call()
    assert [line["name"] for line in again] == ["liar"]
    assert results.read_bytes().startswith(torn + b"\n")
    assert again[0]["final"] == first[0]["final"]
    assert capsys.readouterr().out.startswith("liar 0: ")


def test_every_lie_is_told() -> None:
    """Each changes something of a result, and nothing of its types."""
    import numpy as np

    honest = {"scale": np.ones(2, np.float32), "v": np.full(3, 9, np.uint8)}
    for lie in ("huge", "nan", "negated", "v zero", "v huge"):
        told = tell_lie(lie, honest)
        assert {n: (a.dtype, a.shape) for n, a in told.items()} == {
            n: (a.dtype, a.shape) for n, a in honest.items()
        }
        assert any(told[name].tobytes() != honest[name].tobytes() for name in honest)
