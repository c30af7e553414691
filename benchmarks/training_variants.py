"""The runs of `benchmarks.training`: the default, what changes one factor of it, what lies."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine.backend import Array

RATE = 2e-3
"""The inner rate of all, the best for the default of those tried."""

SLOTS, STEPS, WIDTH = 8, 100, 96
OTHER_RATES = (1e-3, 4e-3, 8e-3)


@dataclass(frozen=True, slots=True)
class Variant:
    """How one run differs; `recipe` goes to `scheduler.diloco.Recipe`."""

    name: str
    recipe: dict[str, Any] = field(default_factory=dict)
    slots: int = SLOTS
    steps: int = STEPS
    is_carried: bool = False
    """A slot's AdamW goes on in its next unit, as in the literature; no peer could recompute it."""

    is_synchronous: bool = False
    lie: str = ""
    layers: int = 2
    width: int = WIDTH
    seeds: int = 3


def variant(name: str, **given: Any) -> Variant:
    """A variant of RATE; what is no field of Variant is one of Recipe."""
    own = {key: given.pop(key) for key in list(given) if key in Variant.__slots__}
    return Variant(name, {"rate": RATE} | given, **own)


CARRIED = {"is_carried": True, "second_moment": "none", "re_warm_up": 0.0}
REFERENCE = CARRIED | {"delta_bits": 32}
GPT = {"layers": 4, "width": 128, "seeds": 1}
SYNCHRONOUS = GPT | {"is_synchronous": True, "second_moment": "none", "re_warm_up": 0.0}
SYNC_RATES = (2e-3, 1e-3, 4e-3, 8e-3, 16e-3, 32e-3)


def tell_lie(lie: str, result: dict[str, Array]) -> dict[str, Array]:
    """What a slot claims instead of its result."""
    scale, v = result["scale"], result["v"]
    return (
        result
        | {
            "huge": {"scale": scale * np.float32(1e6)},
            "nan": {"scale": scale * np.float32(np.nan)},
            "negated": {"scale": scale * np.float32(-10)},
            "v zero": {"v": np.zeros_like(v)},
            "v huge": {"v": np.full_like(v, 255)},
        }[lie]
    )


VARIANTS = (
    *(variant(f"rate {rate:g}", rate=rate, seeds=1) for rate in OTHER_RATES),
    variant("default"),
    variant("carried, float32 deltas", **REFERENCE),
    variant("reset", second_moment="none", re_warm_up=0.0),
    variant("reset, re-warm-up", second_moment="none"),
    variant("factored", second_moment="factored"),
    variant("float32 deltas", delta_bits=32),
    variant("H=30", steps=30),
    variant("H=30, carried, float32 deltas", steps=30, **REFERENCE),
    variant("M=4", slots=4),
    variant("M=4, carried, float32 deltas", slots=4, **REFERENCE),
    variant("outer momentum 0.6", outer_momentum=0.6),
    variant("8-bit deltas", delta_bits=8),
    variant("carried", **CARRIED),
    *(variant(f"lie: {lie}", lie=lie) for lie in ("negated", "v huge", "v zero", "huge", "nan")),
    variant("M=16", slots=16),
    variant("M=16, carried, float32 deltas", slots=16, **REFERENCE),
    variant("GPT, default", **GPT),
    *(variant(f"GPT, synchronous, rate {r:g}", **SYNCHRONOUS | {"rate": r}) for r in SYNC_RATES),
    variant("GPT, carried, float32 deltas", **GPT, **REFERENCE),
    variant("H=30, reset", steps=30, second_moment="none", re_warm_up=0.0),
    variant("H=30, reset, re-warm-up", steps=30, second_moment="none"),
    variant("H=30, factored", steps=30, second_moment="factored"),
    *(
        variant(f"carried, float32 deltas, rate {rate:g}", seeds=1, **REFERENCE | {"rate": rate})
        for rate in (1e-3, 4e-3)
    ),
)


def _reference(variant: Variant) -> str:
    """The carried float32 run of equal model, M and H."""
    if variant.width != WIDTH:
        return "GPT, carried, float32 deltas"
    prefix = f"M={variant.slots}, " if variant.slots != SLOTS else ""
    prefix += f"H={variant.steps}, " if variant.steps != STEPS else ""
    return prefix + "carried, float32 deltas"


REFERENCE_NAMES = {variant.name: _reference(variant) for variant in VARIANTS}
