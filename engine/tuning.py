"""Which register tile of a matrix product a device is given, and where that is remembered.

Without tuning the choice depends on the device's vectors alone. `tune` measures every candidate
beside that choice, each in a process of its own because a wide vector can abort an old driver's
compiler, and remembers the fastest in a file. A tile is a matter of speed: one that does not return
the defined bits of a fixed product is never measured, and opening a device checks what was
remembered like everything else. There is no clock here: it is passed in.
"""

import json
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from engine.backend import Backend, DeviceInfo
from engine.dtypes import DType
from engine.errors import DeviceError
from engine.ops import Op
from engine.program import Node, Program
from engine.reference import dot

if TYPE_CHECKING:
    from engine.opencl import OpenCLBackend

Tile: TypeAlias = tuple[int, int, int]
Clock: TypeAlias = Callable[[], float]

TILES: tuple[Tile, ...] = (
    (6, 2, 8),
    (5, 2, 8),
    (4, 3, 8),
    (8, 1, 8),
    (6, 4, 8),
    (6, 2, 16),
    (8, 2, 16),
    (12, 2, 16),
)
"""Rows, vectors and their length. Accumulators fit 16 registers of 8, or 32 of 8 or 16 floats."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A candidate: how many times as fast as the default it is, or why it was refused."""

    tile: Tile
    gain: float = 0.0
    refused: str = ""


WIDE: Tile = (6, 2, 16)
CHECKED, MEASURED = (50, 300, 70), (512, 512, 512)
PAIRS = 15
GAIN_MIN = 1.05
"""A tile must be faster than the default by this to be chosen: less is noise."""

TRIAL_S_MAX = 60


def default_tile(lanes: int, driver: str) -> Tile:
    """For a processor with native vectors of so many floats; PoCL 3.0 aborts on 16."""
    return WIDE if lanes >= 16 and not driver.startswith("3.0") else TILES[0]


def remembered(info: DeviceInfo, default: Tile) -> Tile:
    """What `tune` chose for this device with this driver, else the default."""
    tile = tuple(_load().get(_key(info), default))
    return tile if tile in TILES else default


def name_of(tile: Tile) -> str:
    """As people read it: 6x2x8."""
    return "x".join(map(str, tile))


def tune(index: int, clock: Clock, report: Callable[[Trial], None] = lambda _: None) -> Tile:
    """Measure every candidate on a device, remember the fastest and return it: about a minute.

    `clock` returns seconds and can be pickled, like `time.perf_counter`; `report` is called after
    each candidate.
    """
    from engine.opencl import open_device

    opened = open_device(index)
    best = Trial(opened.default_tile, GAIN_MIN)
    for tile in TILES:
        if tile != opened.default_tile:
            trial = _tried(index, tile, clock)
            report(trial)
            best = max(best, trial, key=lambda t: t.gain)
    remember(opened.info, None if best.tile == opened.default_tile else best.tile)
    return best.tile


def _tried(index: int, tile: Tile, clock: Clock) -> Trial:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return Trial(tile, pool.submit(measure, index, tile, clock).result(TRIAL_S_MAX))
        except (BrokenProcessPool, TimeoutError, DeviceError) as error:
            # This driver cannot compile it, or compiles it wrongly.
            return Trial(tile, refused=str(error) or type(error).__name__)


def measure(index: int, tile: Tile, clock: Clock) -> float:
    """How many times as fast as the default a tile is; DeviceError if its bits are wrong."""
    from engine.opencl import open_device

    opened = open_device(index)
    both = [opened.with_tile(opened.default_tile), opened.with_tile(tile)]
    for backend in both:
        check(backend)
    runs = [_timed(backend, clock) for backend in both]
    pairs = [(runs[0](), runs[1]()) for _ in range(PAIRS)]
    return median(ours / theirs for ours, theirs in pairs)


def check(backend: Backend) -> None:
    """Raise DeviceError unless a product with tails everywhere has the defined bits."""
    inputs = _operands(*CHECKED)
    actual = backend.load(_product(*CHECKED))(inputs)["c"].numpy()
    if actual.tobytes() != dot(inputs["a"], inputs["b"]).tobytes():
        raise DeviceError(f"{backend.name}: a product of {CHECKED} does not have the defined bits")


def _timed(backend: "OpenCLBackend", clock: Clock) -> Callable[[], float]:
    loaded = backend.load(_product(*MEASURED))
    inputs = {name: backend.upload(array) for name, array in _operands(*MEASURED).items()}
    mark = backend.upload(np.zeros(1, np.float32))

    def run() -> float:
        start = clock()
        loaded(inputs)
        mark.numpy()  # the queue runs in order
        return clock() - start

    run()
    return run


def _product(m: int, k: int, n: int) -> Program:
    f32 = DType.FLOAT32
    nodes = (Node(Op.INPUT, f32, (1, m, k)), Node(Op.INPUT, f32, (1, k, n)))
    return Program(
        (*nodes, Node(Op.DOT, f32, (1, m, n), (0, 1))), (("a", 0), ("b", 1)), (("c", 2),)
    )


def _operands(m: int, k: int, n: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    shapes = {"a": (1, m, k), "b": (1, k, n)}
    return {name: random.standard_normal(s).astype(np.float32) for name, s in shapes.items()}


def remember(info: DeviceInfo, tile: Tile | None) -> None:
    """Write the choice for a device; None forgets it."""
    known = _load() | {_key(info): tile}
    path = _path()
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps({k: v for k, v in known.items() if v}, indent=1), "utf-8")
    draft.replace(path)


def forget() -> None:
    """Every device of this machine is given its default again."""
    _path().unlink(missing_ok=True)


def _load() -> dict[str, list[int]]:
    try:
        known = json.loads(_path().read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return {k: v for k, v in known.items() if isinstance(v, list)} if type(known) is dict else {}


def _path() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "ainur" / "tiles.json"


def _key(info: DeviceInfo) -> str:
    return f"{info.platform} / {info.name} / {info.driver}"
