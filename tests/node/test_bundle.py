"""Bundles: the submitter's mistakes are the submitter's, a stranger's are the stranger's."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import state as tensors
from engine.commitment import BLOB_CHUNK_BYTES
from node.blobs import BlobMissing, BlobStore
from node.bundle import Bundle, assemble, decode_state, load_job, read_manifest, types_of
from node.errors import BadInput, PeerFault
from scheduler.blob_ref import BlobRef
from scheduler.manifest import Manifest


class Shelf:
    """Blobs in a dictionary: a stranger's, so the address of a blob is whatever he says."""

    def __init__(self) -> None:
        self.blobs: dict[BlobRef, bytes] = {}

    def put(self, data: bytes) -> BlobRef:
        """Keep honest bytes."""
        ref = BlobRef.of(data)
        self.blobs[ref] = bytes(data)
        return ref

    def read(self, ref: BlobRef) -> bytes:
        """Find them again."""
        return self.blobs[ref]

    def chunk(self, ref: BlobRef, index: int) -> bytes:
        """A part of them."""
        start = index * BLOB_CHUNK_BYTES
        return self.blobs[ref][start : start + BLOB_CHUNK_BYTES]


def put_changed(bundle: Bundle, **changes: Any) -> tuple[Shelf, BlobRef]:
    """The bundle on a shelf, with fields of its manifest changed."""
    shelf = Shelf()
    bundle.put(shelf)
    fields = json.loads(bundle.manifest.to_bytes()) | changes
    manifest = Manifest.model_validate_json(json.dumps(fields))
    return shelf, shelf.put(manifest.to_bytes())


def test_job_survives_the_store(tiny: Bundle, tmp_path: Path) -> None:
    """What a peer loads is what the submitter had."""
    store = BlobStore(tmp_path)
    ref = tiny.put(store)
    assert ref == tiny.manifest.ref()
    assert all(store.has(blob) for blob in tiny.manifest.blobs())
    job = load_job(store, ref)
    assert job.manifest == tiny.manifest == read_manifest(store, ref)
    assert (job.programs, job.contract, job.costs) == (
        tiny.job.programs,
        tiny.job.contract,
        tiny.job.costs,
    )
    assert job.train.types == tiny.job.train.types
    np.testing.assert_array_equal(job.train.read(2, 7)["x"], tiny.job.train.read(2, 7)["x"])


def test_manifest_states_exact_figures(tiny: Bundle) -> None:
    """FLOPs by the cost model, sizes of files that were not made yet."""
    manifest, costs = tiny.manifest, tiny.job.costs
    assert manifest.unit_flops == 5 * costs.step.flops + costs.result.flops
    assert manifest.rows == 10
    results = {
        name: np.zeros(t.shape, t.dtype.numpy) for name, t in tiny.job.contract.result.items()
    }
    assert manifest.result_bytes == len(tensors.encode(results))
    assert manifest.checkpoint_bytes == manifest.state.size


def test_same_job_from_other_tools_has_the_same_digest(
    tiny: Bundle, write_tiny: Callable[[Path], Path], tmp_path: Path
) -> None:
    """The order of tensors and notes in a file are its tool's business, not the job's."""
    job = write_tiny(tmp_path)
    path = tmp_path / "train.safetensors"
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = {"__metadata__": {"tool": "x"}} | dict(
        reversed(json.loads(data[8 : 8 + length]).items())
    )
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])
    assert assemble(job).manifest == tiny.manifest


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        (
            "step.program",
            None,
            r"programs\.step = 'step\.program': .* cannot be read: No such file",
        ),
        ("step.program", b"", "program step: "),
        ("outer.program", b"AINR\0\0", "program outer: "),
        ("train.safetensors", None, r"data\.train = 'train\.safetensors': .* cannot be read"),
        ("train.safetensors", b"\0" * 20, r"data\.train: not safetensors"),
        ("state.safetensors", b"", r"data\.state: not safetensors"),
        ("job.toml", b"name = 3", "name = 3: should be a valid string"),
        ("job.toml", b"\xff", "not UTF-8"),
    ],
)
def test_broken_file_is_named(
    tiny_file: Path, name: str, content: bytes | None, expected: str
) -> None:
    """The field or the file, and what is wrong with it; exit code 2."""
    path = tiny_file.parent / name
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    with pytest.raises(BadInput, match=expected) as caught:
        assemble(tiny_file)
    assert caught.value.exit_code == 2


def test_folder_in_place_of_a_file_is_bad_input(tiny_file: Path) -> None:
    """Whatever the system says, there is no traceback."""
    (tiny_file.parent / "step.program").unlink()
    (tiny_file.parent / "step.program").mkdir()
    with pytest.raises(BadInput, match="Is a directory"):
        assemble(tiny_file)
    with pytest.raises(BadInput, match="There is no job file"):
        assemble(tiny_file.parent / "other.toml")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("slots = 3", "slots = 2", "'slot2.delta': nothing in this job"),
        (
            "steps = 5",
            "steps = 6",
            r"'slot0.metric.loss': is FLOAT32 \(5,\), expected FLOAT32 \(6,\)",
        ),
        ("batch = 4", "batch = 11", "a batch of 11 rows is larger than the 10 rows"),
        ('train = "train.safetensors"', 'train = "state.safetensors"', "its first axis must be"),
        (
            'test = "test.safetensors"',
            'test = "train.safetensors"',
            r"program evaluate, input 'test.x': is FLOAT32 \(6, 3\), expected FLOAT32 \(10, 3\)",
        ),
        (
            'test = "test.safetensors"',
            'test = "state.safetensors"',
            r"program evaluate, input 'test.w': missing",
        ),
    ],
)
def test_parts_that_do_not_fit_are_named(
    tiny_file: Path, old: str, new: str, expected: str
) -> None:
    """A job that could not run is refused before any money is spent."""
    text = tiny_file.read_text()
    assert old in text
    tiny_file.write_text(text.replace(old, new))
    with pytest.raises(BadInput, match=expected):
        assemble(tiny_file)


@pytest.mark.parametrize(
    "changes",
    [
        {"unit_flops": 1},
        {"aggregate_flops": 0},
        {"outer_flops": 0},
        {"aggregate_bytes": 1},
        {"evaluate_flops": 10**9},
        {"peak_bytes": 1},
        {"result_bytes": 1},
        {"rows": 9},
        {"slots": 2},
        {"steps": 4},
        {"batch_rows": 3},
    ],
)
def test_manifest_that_lies_is_a_peers_fault(tiny: Bundle, changes: dict[str, int]) -> None:
    """The Programs say what a job costs; a manifest that says otherwise is not worked on."""
    shelf, ref = put_changed(tiny, **changes)
    with pytest.raises(PeerFault, match="is malformed"):
        load_job(shelf, ref)


@pytest.mark.parametrize("which", ["step", "result", "aggregate", "outer", "evaluate"])
def test_program_of_another_kind_is_a_peers_fault(tiny: Bundle, which: str) -> None:
    """Any valid Program in the wrong place, and any bytes that are none."""
    programs = json.loads(tiny.manifest.to_bytes())["programs"]
    other = "result" if which == "step" else "step"
    shelf, ref = put_changed(tiny, programs=programs | {which: programs[other]})
    with pytest.raises(PeerFault, match=f"program {which}"):
        load_job(shelf, ref)
    shelf, ref = put_changed(tiny, programs=programs | {which: BlobRef.of(b"junk").model_dump()})
    shelf.put(b"junk")
    with pytest.raises(PeerFault, match=f"program {which}: "):
        load_job(shelf, ref)


def test_a_price_in_whole_tokens_is_exact_below_a_smallest_unit(tiny_file: Path) -> None:
    """A unit's price is rounded up once; the manifest has the whole part of a GFLOP's."""
    text = tiny_file.read_text()
    text = text.replace("price_wei_per_gflop = 1_000_000_000_000", 'price_per_gflop = "70.5"')
    text = text.replace("budget_wei = 10_000_000", 'budget = "0.25"')
    tiny_file.write_text(text.replace("[budget]", '[budget]\ntoken = "USDX"'))
    with pytest.raises(BadInput, match="only a network knows the decimals"):
        assemble(tiny_file)
    priced = assemble(tiny_file, 6)
    flops = priced.manifest.unit_flops
    assert priced.unit_wei == -(-flops * 70_500_000 // 10**9)
    assert (priced.manifest.price_wei_per_gflop, priced.budget_wei) == (70_500_000, 250_000)
    fine = assemble(tiny_file, 0)
    assert (fine.manifest.price_wei_per_gflop, fine.budget_wei) == (70, 0)
    assert fine.unit_wei == -(-flops * 705 // 10**10)


def test_oversized_program_is_refused_unread(tiny: Bundle) -> None:
    """Its size stands in the manifest; nobody has to fetch or read it to know."""
    programs = json.loads(tiny.manifest.to_bytes())["programs"]
    huge = {"root": "ab" * 32, "size": 1 << 32}
    shelf, ref = put_changed(tiny, programs=programs | {"step": huge})
    with pytest.raises(PeerFault, match="4294967296 bytes is over"):
        load_job(shelf, ref)


def test_missing_blob_is_nobodys_fault(tiny: Bundle, tmp_path: Path) -> None:
    """The store says what is missing."""
    store = BlobStore(tmp_path)
    ref = store.put(tiny.manifest.to_bytes())
    with pytest.raises(BlobMissing):
        load_job(store, ref)


@given(st.binary(max_size=200))
def test_any_bytes_are_no_manifest(data: bytes) -> None:
    """Nothing but PeerFault comes out of a stranger's bytes."""
    shelf = Shelf()
    with pytest.raises(PeerFault, match="malformed"):
        load_job(shelf, shelf.put(data))


def test_decode_state_wants_exactly_the_expected_tensors(tiny: Bundle) -> None:
    """Names, dtypes and shapes; the message says which blob."""
    state = dict(tiny.job.state)
    expected = types_of(state)
    assert types_of(decode_state("checkpoint", tensors.encode(state), expected)) == expected
    wrong = [
        state | {"more": np.zeros(1, np.float32)},
        {"w": state["w"]},
        state | {"w": np.zeros((3, 2), np.float32)},
        state | {"w": np.zeros((3, 1), np.int32)},
    ]
    for other in wrong:
        with pytest.raises(PeerFault, match="The checkpoint is malformed"):
            decode_state("checkpoint", tensors.encode(other), expected)


@given(st.data())
def test_damaged_state_is_decoded_or_a_peers_fault(tiny: Bundle, data: st.DataObject) -> None:
    """A flipped byte anywhere in a blob cannot crash its reader."""
    blob = bytearray(tensors.encode(tiny.job.state))
    blob[data.draw(st.integers(0, len(blob) - 1))] ^= data.draw(st.integers(1, 255))
    expected = types_of(tiny.job.state)
    try:
        state = decode_state("result", bytes(blob), expected)
    except PeerFault:
        return
    assert types_of(state) == expected
