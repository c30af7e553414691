"""What each parameter means, and what a vote could make of it now."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from node.chain import Chain, Reverted
from node.chain.types import Bounds, Parameter

MEANINGS = {
    Parameter.MIN_BOND_WEI: "the least bond, less what is being withdrawn, of an active node",
    Parameter.AUDIT_FLOOR_BPS: "the least probability of an audit after probation",
    Parameter.PROBATION_UNITS: "a worker's first units since its last fault: all audited",
    Parameter.LOCK_FACTOR_BPS: "a fault costs a unit's price times this over the audit floor",
    Parameter.BOUNTY_BPS: "part of a slash for those who proved the fault; the rest is burned",
    Parameter.PROTOCOL_FEE_BPS: "on top of what a round pays; burned",
    Parameter.AUDIT_PAY_BPS: "pay of a matching audit as a part of the unit's price",
    Parameter.UNBOND_DELAY_S: "from asking for a bond to withdrawing it",
    Parameter.AUDIT_WINDOW_S: "to recompute a unit and commit, from the draw",
    Parameter.OPEN_WINDOW_S: "to open or reveal: a worker, an auditor, a juror",
    Parameter.CHALLENGE_WINDOW_S: "how long a passed or verified unit may be challenged",
    Parameter.CHALLENGE_DEPOSIT_WEI: "lost by a challenger who is wrong",
    Parameter.COMMITTEE_SIZE: "seats of a committee; more than half must agree",
    Parameter.LEASE_S: "a coordinator's lease without a call",
    Parameter.DATA_DEPOSIT_BPS: "part of a job's price deposited for its data staying available",
    Parameter.EMISSION_BPS: "most that is minted for work, as a part of the fee burned for it",
    Parameter.TREASURY_SHARE_BPS: "the treasury's part of what is minted",
    Parameter.EMISSION_GFLOP_FEE_WEI: "fee that makes a GFLOP count whole; most minted for it",
    Parameter.ARITHMETIC_VERSIONS: "of docs/spec/arithmetic.md: new jobs of others nobody takes",
    Parameter.MANIFEST_VERSIONS: "of job manifests: new jobs of others nobody takes",
}


VERSION_MAX = 63
_EVERY = (1 << 64) - 1


def versions_of(value: int) -> tuple[int, ...]:
    """The versions that a value of ArithmeticVersions or ManifestVersions accepts."""
    return tuple(version for version in range(VERSION_MAX + 1) if value >> version & 1)


def value_of(versions: Iterable[int]) -> int:
    """The value that accepts these versions, each 1 to 63; ValueError for others."""
    value = 0
    for version in versions:
        if not 1 <= version <= VERSION_MAX:
            raise ValueError(version)
        value |= 1 << version
    return value


@dataclass(frozen=True, slots=True)
class Versions:
    """What versions of the specifications the DAO accepts in new jobs: bit v for version v."""

    arithmetic: int
    manifest: int

    @classmethod
    def of(cls, parameters: Mapping[Parameter, int]) -> "Versions":
        """Those of a chain with these values; a network that has none accepts any."""
        return cls(
            parameters.get(Parameter.ARITHMETIC_VERSIONS, _EVERY),
            parameters.get(Parameter.MANIFEST_VERSIONS, _EVERY),
        )

    def refusal(self, arithmetic: int, manifest: int) -> str:
        """Why a job of these versions is not taken; empty if it is."""
        for what, version, accepted in (
            ("arithmetic", arithmetic, self.arithmetic),
            ("manifest", manifest, self.manifest),
        ):
            if not accepted >> version & 1:
                listed = ", ".join(map(str, versions_of(accepted)))
                return f"its {what} version is {version}, the network accepts {listed}"
        return ""


ANY_VERSION = Versions(_EVERY, _EVERY)


def unit_of(parameter: Parameter) -> str:
    """What its values count."""
    if parameter.label.endswith("Versions"):
        return "versions"
    for suffix, unit in (("Wei", "AIN"), ("Bps", "1/10,000"), ("S", "seconds")):
        if parameter.label.endswith(suffix):
            return unit
    return "count"


def votable(chain: Chain, parameter: Parameter) -> Bounds:
    """The least and the greatest value that a vote could set while all others stay as they are.

    Found by trying on the chain, so that it follows from the contract's own rules. Values between
    the two and the present one are taken to be possible.
    """
    bounds, value = chain.parameters.bounds(parameter), chain.parameters.get(parameter)

    def accepted(candidate: int) -> bool:
        try:
            chain.simulate(
                chain.parameters.set(parameter, candidate), chain.network.contracts.timelock
            )
        except Reverted:
            return False
        return True

    least = _farthest(value, bounds.min, accepted)
    return Bounds(least, _farthest(value, bounds.max, accepted))


def _farthest(good: int, bound: int, accepted: Callable[[int], bool]) -> int:
    """The value farthest from `good` towards `bound` that is accepted, by bisection."""
    if accepted(bound):
        return bound
    bad = bound
    while abs(bad - good) > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if accepted(middle) else (good, middle)
    return good
