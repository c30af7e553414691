"""What a coordinator tells of a round under way: what it is made of, and who holds that."""

from collections.abc import Mapping

from node.messages import (
    AcceptedResult,
    HeldResult,
    RoundCustody,
    RoundResults,
    SignedHolding,
    UnavailableResult,
    UnitKey,
)
from scheduler.blob_ref import BlobRef
from scheduler.round import Round
from scheduler.state import State
from scheduler.terms import Metrics, UnitRef


def results_of(
    held: Round, aggregate: BlobRef, took_ms: Mapping[UnitRef, int], metrics: Metrics
) -> RoundResults:
    """What made a round's checkpoint; every result of it is here.

    `took_ms`: how long the workers had their units, where that is known.
    """
    results = tuple(
        AcceptedResult(
            slot=r.slot,
            result_root=r.result_root.hex(),
            blob=r.blob,
            took_ms=took_ms.get(held.unit(slot), 0),
        )
        for slot, r in ((slot, slot.result) for slot in held.slots)
    )
    return RoundResults(
        round=held.number, aggregate=aggregate, results=results, metrics=dict(metrics)
    )


def custody_of(state: State, held: Round) -> RoundCustody:
    """Who holds a round's results, and which were not to be had."""
    results = tuple(
        HeldResult(
            unit=key_of(held.unit(slot)),
            result_root=slot.filling.result_root.hex(),
            blob=slot.filling.blob,
            holdings=tuple(
                SignedHolding(wallet=h.wallet, signature=h.signature.hex())
                for h in slot.filling.holdings
            ),
        )
        for slot in held.slots
        if slot.filling is not None and slot.filling.blob is not None
    )
    missing = tuple(
        UnavailableResult(unit=key_of(each.unit), wallet=each.wallet, cause=str(each.cause))
        for each in state.unavailable
        if each.unit.round == held.number
    )
    return RoundCustody(round=held.number, results=results, unavailable=missing)


def unit_of(key: UnitKey) -> UnitRef:
    """A unit as the state machine names it."""
    return UnitRef(key.round, key.slot, key.attempt)


def key_of(unit: UnitRef) -> UnitKey:
    """A unit as messages name it."""
    return UnitKey(round=unit.round, slot=unit.slot, attempt=unit.attempt)
