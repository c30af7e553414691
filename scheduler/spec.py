"""Job files: what a person writes to describe a training job.

A job file is TOML. It names the five Programs and three safetensors files by paths relative to
itself, and fixes the numbers of the protocol (docs/spec/protocol.md, section 3). This module checks
every field alone and the fields against each other; whether the files exist and fit together is
node/bundle.py's business.
"""

import re
import tomllib
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from scheduler.errors import SpecError

ROUNDS_MAX = 1 << 20
SLOTS_MAX = 64
STEPS_MAX = 1 << 16
BATCH_MAX = 1 << 20
WEI_MAX = (1 << 128) - 1
"""The contracts keep amounts in uint128."""

UNIT_TIMEOUT_S_MAX = 24 * 3600
DEADLINE_S_MAX = 366 * 24 * 3600
PEERS_MIN_MAX = 1024
"""A node's book has no more peers."""

SPEC_BYTES_MAX = 64 * 1024
PATH_MAX = 1024
VALUE_SHOWN_MAX = 60
"""Characters of a wrong value that an error message repeats."""

ERRORS_SHOWN_MAX = 20

JobName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
Rounds = Annotated[int, Field(ge=1, le=ROUNDS_MAX)]
Slots = Annotated[int, Field(ge=1, le=SLOTS_MAX)]
Steps = Annotated[int, Field(ge=1, le=STEPS_MAX)]
Batch = Annotated[int, Field(ge=1, le=BATCH_MAX)]
Wei = Annotated[int, Field(ge=0, le=WEI_MAX)]
UnitTimeout = Annotated[int, Field(ge=1, le=UNIT_TIMEOUT_S_MAX)]
Deadline = Annotated[int, Field(ge=1, le=DEADLINE_S_MAX)]
PeersMin = Annotated[int, Field(ge=1, le=PEERS_MIN_MAX)]


def _decimal(value: object) -> object:
    """A number with a point would be rounded to a float: amounts are text."""
    if not (isinstance(value, str) and re.fullmatch(r"[0-9]{1,39}(\.[0-9]{1,36})?", value)):
        raise ValueError('must be a decimal number in quotes, such as "12.5"')
    return value


Amount = Annotated[str, BeforeValidator(_decimal)]
"""Whole units of a token, in decimals."""
TokenName = Annotated[str, Field(max_length=42, pattern=r"^[!-~]*$")]
"""A symbol or an address; empty: the network's token."""


def _relative(path: str) -> str:
    """A job file is portable: it names files beside it or below it."""
    parts = path.split("/")
    if path.startswith(("/", "~")) or "\\" in path or "\0" in path or ".." in parts:
        raise ValueError("must be a path relative to the job file, inside its folder")
    return path


RelativePath = Annotated[str, Field(min_length=1, max_length=PATH_MAX), AfterValidator(_relative)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Training(_Section):
    """The shape of the job: R rounds of M slots of H steps over B rows; a trace root every K."""

    rounds: Rounds
    slots: Slots
    steps: Steps
    trace_every: Steps
    batch: Batch

    @model_validator(mode="after")
    def _trace_within_unit(self) -> Self:
        if self.trace_every > self.steps:
            raise ValueError(
                f"trace_every = {self.trace_every} must not exceed steps = {self.steps}"
            )
        return self


class Programs(_Section):
    """Paths of the five Programs, relative to the job file."""

    step: RelativePath
    result: RelativePath
    aggregate: RelativePath
    outer: RelativePath
    evaluate: RelativePath


class Data(_Section):
    """Paths of the first round state, the training and the evaluation data (safetensors)."""

    state: RelativePath
    train: RelativePath
    test: RelativePath


@dataclass(frozen=True, slots=True)
class Price:
    """What a worker earns per 10^9 floating-point operations, and the most the job may cost, both
    in smallest units of the job's token.
    """

    per_gflop: Fraction
    budget: int


class Budget(_Section):
    """What a worker earns per 10^9 floating-point operations, and the most the job may cost: each
    in smallest units of the job's token (wei), or in whole ones.
    """

    token: TokenName = ""
    price_wei_per_gflop: Wei | None = None
    price_per_gflop: Amount | None = None
    budget_wei: Wei | None = None
    budget: Amount | None = None

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        for units, whole in (("price_wei_per_gflop", "price_per_gflop"), ("budget_wei", "budget")):
            if (getattr(self, units) is None) == (getattr(self, whole) is None):
                raise ValueError(f"one of {units} and {whole} must be given, and not both")
        return self

    @property
    def in_units(self) -> bool:
        """Whether both amounts are in smallest units: the token's decimals do not matter."""
        return self.price_wei_per_gflop is not None and self.budget_wei is not None

    @property
    def in_whole(self) -> bool:
        """Whether both amounts are in whole units: they mean about the same in another token."""
        return self.price_per_gflop is not None and self.budget is not None

    def price(self, decimals: int) -> Price:
        """Of a token with so many decimals; SpecError for more than the contracts can hold."""
        per_gflop = _in_units(self.price_wei_per_gflop, self.price_per_gflop, decimals)
        budget = int(_in_units(self.budget_wei, self.budget, decimals))
        if per_gflop > WEI_MAX or budget > WEI_MAX:
            raise SpecError("budget: price and budget must be below 2^128 smallest units")
        return Price(per_gflop, budget)


def _in_units(units: int | None, whole: str | None, decimals: int) -> Fraction:
    return Fraction(units or 0) if whole is None else Fraction(whole) * 10**decimals


class Limits(_Section):
    """How long the whole job may take once funded, and how long one work unit may take; how many
    peers must be ready before a round is begun.
    """

    deadline_s: Deadline
    unit_timeout_s: UnitTimeout
    peers_min: PeersMin = 1

    @model_validator(mode="after")
    def _unit_within_job(self) -> Self:
        if self.unit_timeout_s > self.deadline_s:
            raise ValueError(
                f"unit_timeout_s = {self.unit_timeout_s} must not exceed "
                f"deadline_s = {self.deadline_s}"
            )
        return self


class JobSpec(_Section):
    """One job file."""

    name: JobName
    training: Training
    programs: Programs
    data: Data
    budget: Budget
    limits: Limits


def parse_spec(text: str) -> JobSpec:
    """Read a job file's text.

    Raises SpecError, whose message has one line per wrong field: the field, the value, the rule.
    """
    if len(text) > SPEC_BYTES_MAX:
        raise SpecError(f"a job file has at most {SPEC_BYTES_MAX} characters, this has {len(text)}")
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SpecError(f"not valid TOML: {error}") from error
    try:
        return JobSpec.model_validate(table)
    except ValidationError as error:
        raise SpecError(explain(error)) from error


def explain(error: ValidationError, whole: str = "job file") -> str:
    """One line per wrong field: its dotted name (or `whole`), its value, the rule it breaks."""
    items = error.errors(include_url=False)
    lines = [
        _line(_field(item["loc"]) or whole, item["type"], item["input"], item["msg"])
        for item in items[:ERRORS_SHOWN_MAX]
    ]
    return "\n".join(lines + ["..."] * (len(items) > ERRORS_SHOWN_MAX))


def _field(location: tuple[int | str, ...]) -> str:
    """A dotted name, safe to print: a stranger may have chosen it."""
    name = ".".join(str(part) for part in location)
    return name if name.isprintable() and len(name) <= VALUE_SHOWN_MAX else _shown(name)


def _line(field: str, kind: str, value: Any, message: str) -> str:
    if kind == "missing":
        return f"{field}: missing; this field is required"
    if kind == "extra_forbidden":
        return f"{field} = {_shown(value)}: there is no such field"
    rule = message.removeprefix("Value error, ").removeprefix("Input ")
    if isinstance(value, dict | BaseModel):
        return f"{field}: {rule}"
    return f"{field} = {_shown(value)}: {rule}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= VALUE_SHOWN_MAX else text[: VALUE_SHOWN_MAX - 3] + "..."
