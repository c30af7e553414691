"""node/chain/types.py and events.py against the contracts' ABI: same fields, same order."""

import re
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import pytest

from node.chain import types
from node.chain.abi import artifact
from node.chain.client import CONTRACT_NAMES
from node.chain.event_table import EVENTS
from node.chain.events import Event

STRUCTS = {
    "Job": types.Job,
    "JobTerms": types.JobTerms,
    "Claim": types.Claim,
    "ClaimedUnit": types.ClaimedUnit,
    "Unit": types.Unit,
    "Batch": types.Batch,
    "RoundState": types.RoundState,
    "FinalizedRound": types.FinalizedRound,
    "Dispute": types.Dispute,
    "EpochEmission": types.EpochEmission,
    "DelegatedBond": types.DelegatedBond,
    "Delegation": types.Delegation,
    "Newcomer": types.Newcomer,
    "NewcomerPlace": types.NewcomerPlace,
    "Opening": types.Opening,
}
# ProposalCreated, ProposalQueued and the like name their id `proposalId`; our own events too.
UNFOLLOWED = {
    "vault": {
        "SeatsBound",
        "OwnerOffered",
        "OwnerChanged",
        "CommissionChanged",
        "DelegationsClosed",
        "BondDelegated",
        "UndelegateRequested",
        "UndelegateCancelled",
        "DelegatedWithdrawn",
        "DelegatedSlashed",
    },
    "escrow": {"SeatsBound"},
    "ledger": {"RefereeBound"},
    "seat": {"RefereeBound"},
    "committee": set(),
    "rewards": set(),
    "emission": set(),
    # A newcomer asks for its own state; nobody else has to read what all of them do.
    "first_bonds": {
        "NewcomerCommitted",
        "NewcomerPaidOut",
        "NewcomerRegistered",
        "NewcomerRevealed",
        "PotFunded",
        "PromiseReleased",
    },
    "parameters": {"OwnershipTransferred"},
    "governor": {
        "EIP712DomainChanged",
        "LateQuorumVoteExtensionSet",
        "ProposalExtended",
        "ProposalThresholdSet",
        "QuorumNumeratorUpdated",
        "TimelockChange",
        "VoteCastWithParams",
        "Vetoed",
        "VotingDelaySet",
        "VotingPeriodSet",
    },
}
"""Events that the node has no use for; a new one must be followed or named here."""


def snake(name: str) -> str:
    plain = re.sub(r"([A-Z])", lambda m: "_" + m[1].lower(), name).lstrip("_")
    return plain + "_" if plain == "for" else plain


def structs(parameters: list[dict[str, Any]]) -> Iterator[tuple[str, list[str]]]:
    """Every struct among parameters: its Solidity name and its fields' names."""
    for parameter in parameters:
        if parameter["type"].startswith("tuple"):
            name = parameter["internalType"].removeprefix("struct ").split("[")[0]
            yield name.split(".")[-1], [c["name"] for c in parameter["components"]]
            yield from structs(parameter["components"])


def test_structs_have_the_fields_of_the_contracts() -> None:
    """A field that moved in Solidity must move here."""
    seen = {}
    for contract in CONTRACT_NAMES.values():
        for entry in artifact(contract).abi:
            if entry["type"] == "function":
                seen.update(structs([*entry["inputs"], *entry["outputs"]]))
    for name, kind in STRUCTS.items():
        assert [field.name for field in fields(kind)] == [snake(f) for f in seen[name]], name


@pytest.mark.parametrize("field", EVENTS)
def test_events_have_the_fields_of_the_contracts(field: str) -> None:
    """Every event of our contracts is followed in its exact shape, or knowingly left out."""
    declared = {e["name"]: e for e in artifact(CONTRACT_NAMES[field]).abi if e["type"] == "event"}
    followed = {kind.__name__ for kind in EVENTS[field]}
    assert set(declared) - followed == UNFOLLOWED[field]
    for kind in EVENTS[field]:
        names = [f.name for f in fields(kind) if f.name != "place"]
        assert names == [snake(i["name"]) for i in declared[kind.__name__]["inputs"]], kind
        assert issubclass(kind, Event)


@pytest.mark.parametrize(
    "kind",
    [types.Parameter, types.JobStatus, types.UnitStatus, types.PassReason, types.DisputePhase],
)
def test_enums_equal_the_sources(kind: type[types.Parameter], solidity_enums: Any) -> None:
    """An enum's members stand in the order of the Solidity source."""
    ours = ["".join(part.capitalize() for part in m.name.split("_")) for m in kind]
    assert ours == solidity_enums[kind.__name__]
    assert [int(m) for m in kind] == list(range(len(ours)))


@pytest.fixture(scope="module")
def solidity_enums() -> dict[str, list[str]]:
    """The members of every enum under contracts/types."""
    from pathlib import Path

    found = {}
    for path in (Path(__file__).parents[3] / "contracts" / "types").glob("*.sol"):
        text = re.sub(r"//[^\n]*", "", path.read_text())
        for name, body in re.findall(r"enum (\w+) \{(.*?)\}", text, re.DOTALL):
            found[name] = [member.strip() for member in body.split(",")]
    return found


def test_parameter_labels_are_what_people_type() -> None:
    """auditFloorBps, as in the documents."""
    assert types.Parameter.AUDIT_FLOOR_BPS.label == "auditFloorBps"
    assert types.Parameter.LEASE_S.label == "leaseS"
