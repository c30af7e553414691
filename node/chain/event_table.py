"""Which contract emits which events, and how one is built from its decoded values."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, get_type_hints

from node.chain import events
from node.chain.events import Event, Place
from node.chain.types import converter

EVENTS: Mapping[str, tuple[type[Event], ...]] = {
    "vault": (
        events.Bonded,
        events.UnbondRequested,
        events.UnbondCancelled,
        events.Withdrawn,
        events.Slashed,
        events.DelegatedChanged,
        events.DelegatorsEarned,
        events.BondLocked,
        events.BondUnlocked,
        events.PeerIdChanged,
        events.ActiveChanged,
    ),
    "escrow": (
        events.JobFunded,
        events.DataDeposited,
        events.DataCharged,
        events.ChargeOwed,
        events.ChargePaid,
        events.JobCancelled,
        events.JobRefunded,
        events.RoundPaid,
        events.JobCompleted,
        events.JobSettled,
    ),
    "ledger": (
        events.LeaseTaken,
        events.LeaseRenewed,
        events.RoundCommitted,
        events.DrawMissed,
        events.DrawCaptured,
        events.UnitDrawn,
        events.UnitPassed,
        events.AuditCommitted,
        events.UnitOpened,
        events.AuditRevealed,
        events.UnitVerified,
        events.UnitDisputed,
        events.UnitFaulted,
        events.AuditorFaulted,
        events.UnitVoided,
        events.InputUnavailable,
        events.ChallengeOpened,
        events.ChallengeClosed,
        events.LockReleased,
        events.RoundAnchored,
        events.AnchorsWithdrawn,
        events.RoundFinalized,
        events.RoundRewards,
    ),
    "seat": (events.SuccessorProposed, events.SuccessorWithdrawn),
    "committee": (
        events.DisputeOpened,
        events.JurorsDrawn,
        events.VoteCommitted,
        events.VotingClosed,
        events.VoteRevealed,
        events.DisputeResolved,
    ),
    "rewards": (events.Credited, events.Claimed),
    "emission": (events.EpochOpened, events.RoundCounted, events.EmissionClaimed),
    "first_bonds": (),
    "parameters": (events.ParameterChanged, events.TokenRateChanged),
    "governor": (
        events.ProposalCreated,
        events.VoteCast,
        events.ProposalQueued,
        events.ProposalExecuted,
        events.ProposalCanceled,
    ),
}
"""The events that we follow, by the contract (a field of `Contracts`) that emits them."""


def build_event(kind: type[Event], place: Place, values: tuple[Any, ...]) -> Event:
    """The event `kind` from its decoded values in the order of its declaration."""
    converted = (c(v) for c, v in zip(_converters_of(kind), values, strict=True))
    return kind(place, *converted)


def _converters_of(kind: type[Event]) -> tuple[Any, ...]:
    hints = get_type_hints(kind)
    return tuple(converter(hints[field.name]) for field in fields(kind) if field.name != "place")
