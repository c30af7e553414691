"""Tiles are chosen by measuring, checked before, and remembered per device and driver."""

from dataclasses import replace
from itertools import count
from time import perf_counter

import numpy as np
import pytest

from engine import opencl, tuning
from engine.ahead import pocl_cache
from engine.errors import DeviceError
from engine.reference import ReferenceBackend
from engine.tuning import (
    TILES,
    WIDE,
    Trial,
    check,
    default_tile,
    forget,
    measure,
    remember,
    remembered,
    tune,
)


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """A cache folder of the test's own; what the driver compiled stays where it is."""
    monkeypatch.setenv("POCL_CACHE_DIR", str(pocl_cache()))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def info():
    return opencl.list_devices()[0]


def test_the_default_depends_on_the_devices_vectors_alone():
    """Sixteen floats where they are native, except where they abort the compiler."""
    assert default_tile(8, "3.1+debian") == default_tile(4, "any") == TILES[0]
    assert default_tile(16, "3.1+debian") == WIDE
    assert default_tile(16, "3.0-rc2") == TILES[0]


def test_a_choice_is_remembered_for_its_device_and_driver(info):
    """A new driver starts from its default again; forgetting does, too."""
    other = replace(info, driver="next")
    remember(info, TILES[3])
    remember(other, TILES[2])
    assert remembered(info, TILES[0]) == TILES[3]
    assert remembered(other, TILES[0]) == TILES[2]
    assert remembered(replace(info, name="another"), TILES[1]) == TILES[1]
    remember(info, None)
    assert remembered(info, TILES[0]) == TILES[0]
    forget()
    forget()
    assert remembered(other, TILES[0]) == TILES[0]


@pytest.mark.parametrize("text", ["", "[]", '{"a": 1}', "{KEY: [99, 99, 99]}", "{KEY: [[], 1]}"])
def test_a_damaged_file_means_the_default(info, cache, text):
    """It costs speed, nothing else."""
    (cache / "ainur").mkdir()
    text = text.replace("KEY", f'"{info.platform} / {info.name} / {info.driver}"')
    (cache / "ainur" / "tiles.json").write_text(text)
    assert remembered(info, TILES[0]) == TILES[0]


def test_a_tile_that_returns_other_bits_is_refused():
    """The last bit of one element is enough."""

    class Wrong(ReferenceBackend):
        def load(self, program):
            right = super().load(program)

            def run(inputs):
                array = right(inputs)["c"].numpy().copy()
                array.view(np.uint32)[0, -1, -1] ^= 1
                return {"c": self.upload(array)}

            return run

    check(ReferenceBackend())
    with pytest.raises(DeviceError, match="defined bits"):
        check(Wrong())


def test_a_tile_is_measured_beside_the_default(monkeypatch):
    """By the clock that is passed in: here every reading is one later, so both take as long."""
    monkeypatch.setattr(tuning, "MEASURED", (20, 30, 40))
    ticks = count()
    assert measure(0, TILES[2], lambda: float(next(ticks))) == 1.0


@pytest.mark.parametrize(("gains", "chosen"), [((1.01, 0, 1.2), 2), ((1.04, 0, 0.9), None)])
def test_the_fastest_tile_is_remembered_if_it_is_worth_it(monkeypatch, info, gains, chosen):
    """A refused one never is; every candidate is reported, and the next start uses the choice."""
    opened = opencl.open_device(0)
    candidates = [tile for tile in TILES[1:] if tile != opened.default_tile][:3]
    trials = {
        tile: Trial(tile, gain, "" if gain else "wrong bits")
        for tile, gain in zip(candidates, gains, strict=True)
    }
    monkeypatch.setattr(tuning, "TILES", (TILES[0], *candidates))
    monkeypatch.setattr(tuning, "_tried", lambda index, tile, clock: trials.get(tile, Trial(tile)))
    reported = []
    expected = opened.default_tile if chosen is None else candidates[chosen]
    assert tune(0, perf_counter, reported.append) == expected
    assert reported[-3:] == list(trials.values())
    assert remembered(info, opened.default_tile) == expected
    assert opencl._open(opencl._devices()[0], 0).target.tile == expected


def test_a_candidate_is_tried_in_a_process_of_its_own(monkeypatch):
    """What it cannot compile, or has wrong bits there, is refused and ends nobody else."""
    assert tuning._tried(0, (4, 3, 8), perf_counter).gain > 0
    refused = tuning._tried(0, (4, 3, 3), perf_counter)
    assert refused.gain == 0
    assert refused.refused
