"""Which job a node asks for work next: priority first, then fair shares by price.

A coordinator serves one job, so where jobs compete is at the worker, which chooses whom it asks.
Stride scheduling (Waldspurger and Weihl, "Stride Scheduling: Deterministic Proportional-Share
Resource Management", 1995): every job has a pass, the work that it got here divided by its price.
The job with the lowest pass is next, and a unit adds its FLOPs over the job's price. Of two jobs of
the same priority that always have work, the passes differ by at most one unit of either, so the
work that they get is in proportion to their prices but for one unit.

A job that has no work for this node does not save up what it missed: when it has work again its
pass is at most `CREDIT_UNITS` of its units behind, so that it catches up a little and starves
nobody. A higher priority, which only the node's owner sets, goes before every lower one.

Integers only; equal passes are decided by the job's id. Nothing here knows a clock.
"""

from collections.abc import Iterable
from dataclasses import dataclass

CREDIT_UNITS = 4
SCALE = 1 << 40
"""A pass is in FLOPs per price times this, so that rounding down loses nothing that matters."""
JOBS_MAX = 4096


@dataclass(frozen=True, slots=True)
class Offer:
    """A job that may have work: what a unit costs in FLOPs, and what it pays in wei per GFLOP."""

    job_id: bytes
    unit_flops: int
    price_wei: int
    priority: int = 0

    @property
    def stride(self) -> int:
        """How far one unit moves the job's pass; at least 1."""
        return max(1, self.unit_flops * SCALE // max(1, self.price_wei))


class Shares:
    """What each job got of one node. `choose`, and `charge` once a unit was begun."""

    def __init__(self) -> None:
        self._passes: dict[bytes, int] = {}
        self._now = 0

    def choose(self, offers: Iterable[Offer]) -> Offer | None:
        """The job to ask among those that may have work now; None if there is none."""
        listed = sorted(offers, key=lambda offer: offer.job_id)
        if not listed:
            return None
        highest = max(offer.priority for offer in listed)
        first = [offer for offer in listed if offer.priority == highest]
        return min(first, key=lambda offer: (self._pass_of(offer), offer.job_id))

    def charge(self, offer: Offer) -> None:
        """The job got a unit."""
        at = self._pass_of(offer)
        self._now = max(self._now, at)
        self._passes.pop(offer.job_id, None)
        self._passes[offer.job_id] = at + offer.stride
        if len(self._passes) > JOBS_MAX:
            # The one that was charged longest ago has the least to say about what is fair now.
            del self._passes[next(iter(self._passes))]

    def _pass_of(self, offer: Offer) -> int:
        """The job's pass; a job that is new here begins where the others are."""
        credit = CREDIT_UNITS * offer.stride
        return max(self._passes.get(offer.job_id, self._now), self._now - credit)
