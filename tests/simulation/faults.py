"""What may go wrong in a run, as probabilities, and how often it did."""

from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Weather:
    """Faults of network, chain, disk and processes; all zero once faults stop.

    `delay_ms`: the longest way of a message; each direction between two nodes has its own share.
    """

    loss: float = 0.0
    duplicate: float = 0.0
    delay_ms: int = 200
    partition: float = 0.0
    out_of_gas: float = 0.0
    stuck: float = 0.0
    fork: float = 0.0
    crash: float = 0.0
    kill: float = 0.0
    disk_slow: float = 0.0
    disk_full: float = 0.0
    outage_ms: int = 3_000


CALM = Weather()


@dataclass(frozen=True)
class Traits:
    """What one node does wrong while faults last, and how often; and how long a unit takes it."""

    unit_ms: int = 800
    lies: float = 0.0
    malforms: float = 0.0
    withholds: float = 0.0
    vanishes: float = 0.0
    crashes: float = 0.0
    repeats: float = 0.0
    audits_silent: float = 0.0
    audits_wrong: float = 0.0
    colludes: bool = False
    opens_late: float = 0.0
    votes_silent: float = 0.0
    withdraws: float = 0.0
    watches: float = 0.0
    accuses: float = 0.0
    leaves_out: float = 0.0
    anchors_falsely: float = 0.0


@dataclass(frozen=True)
class Scenario:
    """The shape of one run; faults stop after `faults_ms`."""

    seed: int
    rounds: int = 2
    slots: int = 4
    workers: tuple[Traits, ...] = (Traits(), Traits(), Traits())
    hosts: tuple[Traits, ...] = (Traits(),)
    faults_ms: int = 60_000
    limit_ms: int = 1_200_000
    weather: Weather = field(default_factory=Weather)
    probation: int = 3
    clean_units: int = 0
    floor_bps: int = 10_000
    confirmations: int = 2
    challenge_s: int = 5
    cancel_ms: int | None = None
    rounds_ahead: int = 0
    lock_prices: int = 3
    thorough: bool = False

    def with_weather(self, **odds: float) -> "Scenario":
        return replace(self, weather=replace(self.weather, **odds))
