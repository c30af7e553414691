"""What `ainur stake show` tells of a first bond that is earned by blind audits."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from node.cli.output import ain, utc

if TYPE_CHECKING:
    from node.chain import Chain

PLACES = 2
"""FirstBonds' PLACES_PER_BATCH: newcomers that a batch has places for, on average."""


@dataclass(frozen=True, slots=True)
class FirstBondView:
    """How far an account is from its first bond. `registered_until`: Unix seconds, None if not.

    `chance`: of a place in a batch whose unit is spared, as things stand; what is left of the pot
    and of today's promises is for all.
    """

    retained_wei: int
    missing_wei: int
    promised_wei: int
    audits: int
    paid_out: bool
    registered_until: int | None
    registered: int
    chance: float
    pot_wei: int
    left_today_wei: int

    @classmethod
    def of(cls, chain: "Chain", account: str, least_wei: int) -> "FirstBondView":
        """As the contract has it now."""
        bonds = chain.first_bonds
        state, until = bonds.newcomer_of(account), bonds.registered_until(account)
        registered, pot = bonds.registered_count(), bonds.pot_wei()
        day_cap, _ = bonds.caps()
        return cls(
            retained_wei=state.retained_wei,
            missing_wei=max(0, least_wei - state.retained_wei),
            promised_wei=state.promised_wei,
            audits=state.audits,
            paid_out=state.has_left,
            registered_until=until or None,
            registered=registered,
            chance=min(1.0, PLACES / registered) if until else 0.0,
            pot_wei=pot,
            left_today_wei=max(0, min(pot, day_cap - bonds.promised_today_wei())),
        )

    def fields(self) -> dict[str, str]:
        """For people; what says nothing of this account is left out."""
        if self.paid_out:
            return {"first bond": "earned and paid out"}
        if not self.registered_until and not self.audits:
            return {"first bond": "not registered; `ainur stake earn` earns one without tokens"}
        until = self.registered_until
        return {
            "first bond": f"{ain(self.retained_wei)} by {self.audits} audits, "
            f"{ain(self.missing_wei)} missing",
            "promised": ain(self.promised_wei),
            "registered until": utc(until) if until else "lapsed; `ainur stake earn` renews it",
            "chance of a place": f"{self.chance:.3g} a batch, {self.registered} registered",
            "pot": f"{ain(self.pot_wei)}, {ain(self.left_today_wei)} left today",
        }
