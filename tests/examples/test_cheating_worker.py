"""The cheating worker cheats as it says: one bit, half of the units, never in an audit."""

from pathlib import Path

import numpy as np
import pytest

from engine.backend import open_backend
from engine.commitment import state_root
from examples.cheating_worker import CheatingWorker, falsify, flip_random_bit
from node.blobs import BlobStore
from node.execution import UnitOutput
from node.worker import Worker

RESULT = {
    "delta": np.linspace(-1, 1, 7, dtype=np.float32),
    "count": np.array(5, np.int32),
    "empty": np.zeros((0,), np.float32),
}
OUTPUT = UnitOutput(RESULT, state_root(RESULT), b"t" * 32, {"loss": 1.0})


def bits(output: UnitOutput) -> np.ndarray:
    """All bits of a result, tensors by name."""
    data = b"".join(output.result[name].tobytes() for name in sorted(output.result))
    return np.unpackbits(np.frombuffer(data, np.uint8))


def test_falsified_output_differs_in_one_bit_and_says_so_consistently() -> None:
    """Any bit of any tensor; the root is that of the false result, the trace is the honest one."""
    seen = set()
    for _ in range(2000):
        false = falsify(OUTPUT)
        (position,) = np.flatnonzero(bits(false) != bits(OUTPUT))
        seen.add(int(position))
        assert false.result_root == state_root(false.result) != OUTPUT.result_root
        assert (false.trace_root, false.metrics) == (OUTPUT.trace_root, OUTPUT.metrics)
    # 256 bits in two tensors: each is missed by 2000 draws with odds below 1e-3; most are not.
    assert len(seen) > 200


def test_flip_keeps_type_and_original() -> None:
    """The honest array is left alone, scalars included."""
    for array in (RESULT["delta"], RESULT["count"]):
        before = array.tobytes()
        changed = flip_random_bit(array)
        assert (changed.dtype, changed.shape) == (array.dtype, array.shape)
        assert array.tobytes() == before != changed.tobytes()


def test_half_of_the_units_and_no_audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """400 units: between 140 and 260 are false but for odds of 1e-9; 400 audits are all honest."""
    monkeypatch.setattr(Worker, "unit", lambda *_: OUTPUT)
    worker = CheatingWorker(BlobStore(tmp_path), open_backend("reference"), 0)
    roots = {
        kind: [worker.unit(kind, None, {}, 0, 0).result_root for _ in range(400)]  # type: ignore[arg-type]
        for kind in ("unit", "audit")
    }
    assert set(roots["audit"]) == {OUTPUT.result_root}
    assert 140 <= sum(root != OUTPUT.result_root for root in roots["unit"]) <= 260
