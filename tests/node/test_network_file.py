"""node/network_file.py: what a stranger sends is checked before it is used."""

import json
from pathlib import Path
from typing import Any

import pytest

from node.errors import BadInput
from node.network_file import (
    Contracts,
    NetworkFile,
    load_network,
    parse_network,
    save_network,
)

ADDRESS = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
PEER = "/ip4/127.0.0.1/tcp/4177/p2p/12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5"


@pytest.fixture
def document() -> dict[str, Any]:
    return {
        "name": "test",
        "chain_id": 31337,
        "rpc_endpoints": ["http://127.0.0.1:8545"],
        "contracts": dict.fromkeys(Contracts.model_fields, ADDRESS),
        "deployment_block": 0,
        "bootstrap": [PEER],
    }


def test_file_round_trips(tmp_path: Path, document: dict[str, Any]) -> None:
    """What was saved is what is loaded; the file is readable JSON with versions."""
    network = parse_network(document)
    save_network(tmp_path / "network.json", network)
    assert load_network(tmp_path / "network.json") == network
    text = (tmp_path / "network.json").read_text()
    assert json.loads(text)["spec"] == {"protocol": 0, "arithmetic": 1}
    assert text.endswith("}\n")


def test_a_wrong_address_is_named(document: dict[str, Any]) -> None:
    """By its field."""
    document["contracts"]["vault"] = ADDRESS[:-1]
    with pytest.raises(BadInput, match=r"contracts\.vault = .*40 hexadecimal"):
        parse_network(document)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("chain_id", 0, "chain_id = 0"),
        ("confirmations", 65, "confirmations = 65"),
        ("chain_id", "x", "chain_id"),
        ("rpc_endpoints", [], "rpc_endpoints"),
        ("rpc_endpoints", ["ftp://x"], "http://"),
        ("rpc_endpoints", ["http://x"] * 17, "rpc_endpoints"),
        ("bootstrap", ["/ip4/1.2.3.4/tcp/1"], "PEER_ID"),
        ("deployment_block", -1, "deployment_block"),
        ("name", "", "name"),
        ("surprise", 1, "surprise"),
        ("contracts", {}, "contracts.token"),
        ("spec", {"protocol": 7, "arithmetic": 1}, "asks for protocol 7"),
    ],
)
def test_bad_documents_are_refused(
    document: dict[str, Any], field: str, value: object, reason: str
) -> None:
    """Every fault is named with its field."""
    document[field] = value
    with pytest.raises(BadInput) as caught:
        parse_network(document)
    assert reason in caught.value.message


@pytest.mark.parametrize("content", ["", "[]", "null", "{", "x" * 70_000])
def test_bad_files_are_refused(tmp_path: Path, content: str) -> None:
    """Neither a damaged nor a huge file is more than BadInput."""
    path = tmp_path / "network.json"
    path.write_text(content)
    with pytest.raises(BadInput):
        load_network(path)


def test_copies_are_validated(document: dict[str, Any]) -> None:
    """Bootstrap peers and endpoints added later are checked like the first."""
    network: NetworkFile = parse_network(document)
    assert network.with_bootstrap(PEER, PEER).bootstrap == (PEER, PEER)
    assert network.with_endpoints("https://a", "https://b").rpc_endpoints[1] == "https://b"
    with pytest.raises(BadInput):
        network.with_endpoints("a")
