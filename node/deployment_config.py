"""The file from which a network is deployed: which chain, for whom, and what it starts with.

Values that the file does not name are those of its preset. Everything is checked before anything
is sent; the contracts check their own bounds besides.
"""

import tomllib
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from node.chain.types import EmissionPlan, Parameter
from node.config import explain
from node.deployment import DEVNET, PUBLIC, Preset
from node.errors import BadInput
from node.files import read_text
from node.network_file import CONFIRMATIONS_MAX, Address, Endpoint, Multiaddr

FILE_BYTES_MAX = 64 * 1024
PRESETS = {"devnet": DEVNET, "public": PUBLIC}
EXAMPLE = """\
# A network of one's own on any EVM chain. `ainur deploy FILE` carries it out.
name = "my-network"
chain_id = 11155111
rpc_endpoints = ["https://..."]
treasury = "0x..."          # gets the supply, and may veto proposals for a time
preset = "public"           # or "devnet", whose windows are seconds

# Whatever differs from the preset:
[rules]
# supply_wei = 1_000_000_000_000_000_000_000_000_000
[emission]
# epoch_s = 86_400
[parameters]
# auditFloorBps = 500
"""


class DeploymentConfig(BaseModel):
    """The file, validated."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(min_length=1, max_length=64)]
    chain_id: Annotated[int, Field(ge=1, le=2**53)]
    rpc_endpoints: Annotated[tuple[Endpoint, ...], Field(min_length=1, max_length=16)]
    treasury: Address
    preset: Literal["devnet", "public"] = "public"
    bootstrap: Annotated[tuple[Multiaddr, ...], Field(max_length=64)] = ()
    rules: Annotated[dict[str, Annotated[int, Field(ge=0, lt=2**128)]], Field(max_length=16)] = {}
    emission: Annotated[dict[str, Annotated[int, Field(ge=0, lt=2**128)]], Field(max_length=8)] = {}
    parameters: Annotated[
        dict[str, Annotated[int, Field(ge=0, lt=2**128)]], Field(max_length=64)
    ] = {}

    def start(self) -> Preset:
        """What the network starts with; BadInput for a name that there is not."""
        preset = PRESETS[self.preset]
        rules = {field.name for field in fields(Preset)} - {"parameters", "emission"}
        labels = {parameter.label: parameter for parameter in Parameter}
        _require_known(self.rules, rules, "rule")
        _require_known(self.parameters, set(labels), "parameter")
        _require_known(self.emission, {f.name for f in fields(EmissionPlan)}, "rule of emission")
        if self.rules.get("confirmations", 0) > CONFIRMATIONS_MAX:
            raise BadInput(f"confirmations is more than {CONFIRMATIONS_MAX}.")
        changed = {labels[name]: value for name, value in self.parameters.items()}
        values = {**preset.parameters, **changed}
        emission = replace(preset.emission, **self.emission)
        return replace(preset, parameters=values, emission=emission, **self.rules)


def load_deployment(path: Path) -> DeploymentConfig:
    """Read and validate the file at `path`."""
    text = read_text(path, "deployment file", remedy="`ainur deploy --example` prints one.")
    if len(text) > FILE_BYTES_MAX:
        raise BadInput(f"The deployment file {path} is larger than {FILE_BYTES_MAX} bytes.")
    try:
        return DeploymentConfig.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"The deployment file {path} is not TOML: {error}.") from None
    except ValidationError as error:
        raise BadInput(f"The deployment file {path} is not valid: {explain(error)}.") from None


def _require_known(given: dict[str, int], known: set[str], what: str) -> None:
    for name in given:
        if name not in known:
            raise BadInput(
                f"There is no {what} {name!r}.", f"There are: {', '.join(sorted(known))}."
            )
