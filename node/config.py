"""Settings: one flat TOML file per home folder, checked before use.

A setting comes from the environment (`AINUR_` and its name in capitals), else from `config.toml`,
else from its default. Unknown names and values outside their bounds are refused with the field,
the value and the rule. `set_value` keeps the rest of the file, comments included, and never leaves
a file that would not load.
"""

import json
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from node.errors import BadInput
from node.evm_address import check_address
from node.files import read_text, write_atomic
from node.tokens import TOKENS_MAX

VARIABLE_PREFIX = "AINUR_"
Role = Literal["work", "audit", "coordinate"]
Value = str | int | float | list[str]
_Text = Annotated[str, Field(max_length=1024)]
_Names = Annotated[tuple[_Text, ...], Field(max_length=64)]
_Addresses = Annotated[
    tuple[Annotated[_Text, AfterValidator(check_address)], ...], Field(max_length=TOKENS_MAX)
]


class Config(BaseModel):
    """Every setting, with its default, bounds and meaning."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    wallet: Annotated[str, Field(max_length=64)] = Field(
        "default", description="the wallet that signs: a file under wallets/"
    )
    password_file: _Text = Field(
        "", description="a file whose first line opens the wallet; empty: ask, or AINUR_PASSWORD"
    )
    device: _Text = Field(
        "", description="an OpenCL device by index or name, 'reference', or empty for the best"
    )
    memory_bytes_max: int = Field(
        0, ge=0, description="memory that a worker process may use; 0: what the device has"
    )
    listen_host: _Text = Field("0.0.0.0", description="the address on which peers may dial in")
    listen_port: int = Field(0, ge=0, le=65535, description="the port for peers; 0: any free one")
    announce: _Names = Field(
        (), description="multiaddrs to tell peers, such as /ip4/203.0.113.7/tcp/4177"
    )
    api_port: int = Field(
        0, ge=0, le=65535, description="the loopback port of status and web page; 0: any free one"
    )
    storage_bytes_max: int = Field(
        20 * 2**30, ge=2**20, description="disk space that blobs of jobs may take"
    )
    keep_days: int = Field(
        7, ge=1, le=3660, description="days for which what is left of a job that is over stays here"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="how much the daemon logs"
    )
    rpc_endpoints: _Names = Field(
        (), description="chain endpoints to use instead of those in the network file"
    )
    chain_poll_s: float = Field(
        2.0, ge=0.02, le=600, description="seconds between looks at the chain"
    )
    gas_price_max_gwei: int = Field(
        500, ge=1, le=1_000_000, description="the most that is offered for a unit of gas"
    )
    preferred_jobs: _Names = Field(
        (), description="ids of jobs to work on before all others, the first one first"
    )
    accepted_tokens: _Addresses = Field(
        (),
        description="addresses of the tokens, besides AIN, that jobs may pay this node in; `ainur "
        "params` lists those that the DAO accepts",
    )
    result_holders: int = Field(
        2,
        ge=1,
        le=8,
        description="bonded wallets that must hold a unit's result before it goes to the chain, "
        "for jobs that this node coordinates",
    )
    input_patience_s: float = Field(
        0.0,
        ge=0,
        le=259_200,
        description="how long an auditor looks for a job's data before it says that there is none; "
        "0: half of the time that it has",
    )
    roles: tuple[Role, ...] = Field(
        ("work", "audit", "coordinate"), max_length=3, description="what this node does for jobs"
    )

    @property
    def gas_price_max_wei(self) -> int:
        """The same in wei."""
        return self.gas_price_max_gwei * 10**9


def load_config(path: Path, environment: Mapping[str, str] = os.environ) -> Config:
    """The settings in force: environment over the file at `path` (which may be missing) over
    defaults.
    """
    values: dict[str, object] = dict(_read(path)) if path.exists() else {}
    for name in Config.model_fields:
        text = environment.get(VARIABLE_PREFIX + name.upper())
        if text:
            values[name] = parse_value(name, text)
    return _validate(values, path)


def get_value(config: Config, name: str) -> Value:
    """The value in force of setting `name`; BadInput if there is no such setting."""
    _require_name(name)
    value = config.model_dump(mode="json")[name]
    assert isinstance(value, str | int | float | list)
    return value


def set_value(path: Path, name: str, text: str) -> Value:
    """Store setting `name` in the file at `path` and return its value; BadInput if it is not
    valid.
    """
    value = parse_value(name, text)
    old_text = read_text(path, "configuration") if path.exists() else default_text()
    wanted = {**_parse(old_text, path), name: value}
    stored = get_value(_validate(wanted, path), name)
    wanted[name] = stored
    write_atomic(path, _edited(old_text, wanted, name, path).encode())
    return stored


def parse_value(name: str, text: str) -> Value:
    """Read a setting from the command line or the environment: lists are comma-separated."""
    _require_name(name)
    default = Config.model_fields[name].default
    if isinstance(default, tuple):
        return [part.strip() for part in text.split(",") if part.strip()]
    if isinstance(default, int | float):
        try:
            return type(default)(text.replace("_", ""))
        except ValueError:
            rule = "a whole number" if isinstance(default, int) else "a number"
            raise BadInput(f"{name} = {text!r}: it must be {rule}.") from None
    return text


def default_text() -> str:
    """A configuration file with every setting explained and left at its default."""
    lines = [
        "# Settings of this node. Uncomment a line to change it, or `ainur config set NAME VALUE`."
    ]
    for name, field in Config.model_fields.items():
        lines += ["", f"# {field.description}", f"# {name} = {_toml(_plain(field.default))}"]
    return "\n".join(lines) + "\n"


def explain(error: ValidationError) -> str:
    """One line per fault of a pydantic model: the field, the value, the rule."""
    return "; ".join(
        f"{'.'.join(str(part) for part in fault['loc']) or 'document'} = "
        f"{_short(fault['input'])}: {fault['msg']}"
        for fault in error.errors(include_url=False)
    )


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _require_name(name: str) -> None:
    if name not in Config.model_fields:
        raise BadInput(
            f"There is no setting {name!r}.", f"Settings: {', '.join(Config.model_fields)}."
        )


def _read(path: Path) -> dict[str, object]:
    return _parse(read_text(path, "configuration"), path)


def _parse(text: str, path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"The configuration {path} is not TOML: {error}.") from None


def _validate(values: Mapping[str, object], path: Path) -> Config:
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise BadInput(f"The configuration {path} is not valid: {explain(error)}.") from None


def _edited(text: str, wanted: Mapping[str, object], name: str, path: Path) -> str:
    """Change or add the line of `name`; if that does not give `wanted`, write the file anew."""
    line = f"{name} = {_toml(wanted[name])}"
    live = re.compile(rf"^{name}\s*=.*$", re.MULTILINE)
    commented = re.compile(rf"^#\s*{name}\s*=.*$", re.MULTILINE)
    for pattern in (live, commented):
        if pattern.search(text):
            edited = pattern.sub(lambda _: line, text, count=1)
            break
    else:
        edited = f"{text.rstrip()}\n{line}\n"
    try:
        if tomllib.loads(edited) == dict(wanted):
            return edited
    except tomllib.TOMLDecodeError:
        pass  # a value that spans lines: only a new file is safe
    return "".join(f"{key} = {_toml(value)}\n" for key, value in wanted.items())


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _toml(value: object) -> str:
    if isinstance(value, str):
        # A JSON string is a TOML string, but for DEL, which only TOML wants escaped.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, int | float):
        return repr(value)
    raise TypeError(f"no setting has a value like {value!r}")
