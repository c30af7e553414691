"""Events of every kind for property tests: from a small world, often out of turn."""

from dataclasses import fields
from functools import cache
from typing import Any, get_args, get_type_hints

from hypothesis import strategies as st

from scheduler.blob_ref import BlobRef
from scheduler.codec import Entry
from scheduler.events import CoordinationStarted, Event
from scheduler.terms import (
    Claim,
    Holding,
    JobTerms,
    Metrics,
    PeerId,
    Policy,
    Position,
    UnitRef,
    Wallet,
)

NAMES = ("a", "b", "c")

PEERS = st.sampled_from([PeerId(f"peer-{name}") for name in NAMES])
WALLETS = st.sampled_from([Wallet(f"0x{name}") for name in NAMES])
ROOTS = st.sampled_from([b"r" * 32, b"s" * 32])
BLOBS = st.sampled_from([BlobRef.of(b"r"), BlobRef.of(b"s")])
UNITS = st.builds(UnitRef, st.integers(0, 2), st.integers(0, 2), st.integers(0, 1))
POSITIONS = st.builds(Position, st.integers(0, 60), st.integers(0, 1))
HOLDINGS = st.builds(Holding, WALLETS, ROOTS)
CLAIMS = st.builds(Claim, st.integers(0, 2), st.integers(0, 1), WALLETS, ROOTS, ROOTS, ROOTS)
METRICS = st.lists(st.tuples(st.text(max_size=8), st.floats(allow_nan=False)), max_size=2).map(
    tuple
)
TERMS = st.builds(
    JobTerms,
    ROOTS,
    st.integers(1, 5),
    st.integers(1, 5),
    st.integers(1, 10**6),
    st.integers(0, 10**9),
    st.just(Policy()),
    rounds_ahead=st.integers(0, 2),
)

_BY_TYPE: dict[Any, st.SearchStrategy[Any]] = {
    PeerId: PEERS,
    Wallet: WALLETS,
    bytes: ROOTS,
    BlobRef: BLOBS,
    UnitRef: UNITS,
    Position: POSITIONS,
    Holding: HOLDINGS,
    Holding | None: st.none() | HOLDINGS,
    Metrics: METRICS,
    JobTerms: TERMS,
    tuple[Claim, ...]: st.lists(CLAIMS, max_size=3, unique_by=lambda c: c.slot).map(tuple),
    tuple[UnitRef, ...]: st.lists(UNITS, max_size=2).map(tuple),
    tuple[int, ...]: st.lists(st.integers(0, 2), max_size=2).map(tuple),
    bool: st.booleans(),
    str: st.text(max_size=20),
}
_BY_NAME: dict[str, st.SearchStrategy[Any]] = {
    "round": st.integers(0, 2),
    "head": st.integers(0, 3),
    "batch": st.integers(0, 1),
    "serial": st.integers(0, 3),
    "covers": st.integers(0, 3),
    "generation": st.integers(0, 1),
    "memory_bytes": st.sampled_from([0, 1_000]),
    "due_ms": st.integers(0, 2_000_000),
    "until_ms": st.integers(0, 2_000_000),
}


@cache
def of_kind(kind: type) -> st.SearchStrategy[Any]:
    """Events of one kind."""
    hints = get_type_hints(kind)
    arguments = {item.name: _value(item.name, hints[item.name]) for item in fields(kind)}
    return st.builds(kind, **arguments)


def _value(name: str, kind: Any) -> st.SearchStrategy[Any]:
    if name in _BY_NAME:
        return _BY_NAME[name]
    return _BY_TYPE[kind] if kind in _BY_TYPE else st.from_type(kind)


KINDS = get_args(Event)


def events() -> st.SearchStrategy[Event]:
    """Any event but the start."""
    return st.sampled_from([k for k in KINDS if k is not CoordinationStarted]).flatmap(of_kind)


def entries() -> st.SearchStrategy[Entry]:
    """Any journal entry."""
    any_event = st.sampled_from(KINDS).flatmap(of_kind)
    return st.builds(Entry, st.integers(0, 2**63), st.integers(0, 2**64 - 1), any_event)
