"""The network file: all that a stranger needs to join.

It names the chain, ways to reach it, the contracts, peers to start from and the versions of the
specifications that the network speaks. It comes from outside, so it is validated like any other
input: bounded sizes, checksummed addresses, no unknown fields.
"""

import json
import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from engine.ops import ARITHMETIC_VERSION
from node import bounded_json
from node.config import explain
from node.errors import BadInput
from node.evm_address import check_address
from node.files import read_text, write_atomic

FILE_BYTES_MAX = 64 * 1024
PROTOCOL_VERSION = 0
CONFIRMATIONS_MAX = 64
"""A draw's seed can be read for 256 blocks: most of them must be left to act in."""


def _checked_endpoint(text: str) -> str:
    if not re.fullmatch(r"https?://[^\s]+", text):
        raise ValueError("an endpoint starts with http:// or https://")
    return text


def _checked_multiaddr(text: str) -> str:
    if not re.fullmatch(r"(/[^/\s]+)+/p2p/[1-9A-HJ-NP-Za-km-z]{40,64}", text):
        raise ValueError("a bootstrap peer is a multiaddr that ends in /p2p/PEER_ID")
    return text


Address = Annotated[str, AfterValidator(check_address)]
Endpoint = Annotated[str, Field(max_length=512), AfterValidator(_checked_endpoint)]
Multiaddr = Annotated[str, Field(max_length=256), AfterValidator(_checked_multiaddr)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Contracts(_Strict):
    """The address of each contract of one deployment."""

    token: Address
    parameters: Address
    vault: Address
    escrow: Address
    ledger: Address
    seat: Address
    committee: Address
    rewards: Address
    emission: Address
    first_bonds: Address
    governor: Address
    timelock: Address


class SpecVersions(_Strict):
    """Versions of docs/spec that every node of the network must speak."""

    protocol: int = Field(PROTOCOL_VERSION, ge=0, le=2**16)
    arithmetic: int = Field(ARITHMETIC_VERSION, ge=0, le=2**16)


class NetworkFile(_Strict):
    """One network, as read from and written to `network.json`."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    chain_id: int = Field(ge=1, le=2**53)
    rpc_endpoints: Annotated[tuple[Endpoint, ...], Field(min_length=1, max_length=16)]
    contracts: Contracts
    deployment_block: int = Field(ge=0, le=2**53)
    confirmations: int = Field(0, ge=0, le=CONFIRMATIONS_MAX)
    """Blocks that must follow one before a node counts with what is in it."""
    bootstrap: Annotated[tuple[Multiaddr, ...], Field(max_length=64)] = ()
    spec: SpecVersions = SpecVersions()

    def with_bootstrap(self, *addresses: str) -> "NetworkFile":
        """The same network with these peers to start from (validated like the rest)."""
        return parse_network({**self.model_dump(), "bootstrap": addresses})

    def with_endpoints(self, *endpoints: str) -> "NetworkFile":
        """The same network reached through these endpoints (validated like the rest)."""
        return parse_network({**self.model_dump(), "rpc_endpoints": endpoints})

    def to_bytes(self) -> bytes:
        """The file's bytes: readable JSON in a fixed order."""
        return json.dumps(self.model_dump(mode="json"), indent=2).encode() + b"\n"


def parse_network(document: object, source: str = "network file") -> NetworkFile:
    """Validate a decoded document; BadInput gives the field, the value and the rule."""
    try:
        network = NetworkFile.model_validate(document)
    except ValidationError as error:
        raise BadInput(f"The {source} is not valid: {explain(error)}.") from None
    _require_versions(network, source)
    return network


def load_network(path: Path) -> NetworkFile:
    """Read and validate the network file at `path`."""
    text = read_text(path, "network file", remedy="Join one with `ainur init --network FILE`.")
    if len(text) > FILE_BYTES_MAX:
        raise BadInput(f"The network file {path} is larger than {FILE_BYTES_MAX} bytes.")
    try:
        document = bounded_json.loads(text)
    except ValueError as error:
        raise BadInput(f"The network file {path} is not JSON: {error}.") from None
    return parse_network(document, f"network file {path}")


def save_network(path: Path, network: NetworkFile) -> None:
    """Write `network` to `path`, replacing what is there."""
    write_atomic(path, network.to_bytes())


def _require_versions(network: NetworkFile, source: str) -> None:
    ours = SpecVersions()
    if network.spec != ours:
        raise BadInput(
            f"The {source} asks for protocol {network.spec.protocol} and arithmetic "
            f"{network.spec.arithmetic}; we speak {ours.protocol} and {ours.arithmetic}.",
            "Install the release that the network uses.",
        )
