"""Puts the contracts on a chain, in the order of docs/spec/contracts.md, and describes the result.

When it is done the deployer holds no power: parameters belong to the timelock, only the governor
proposes to the timelock, anyone may execute what has waited long enough, and the seats in vault,
escrow and ledger are bound for ever.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eth_utils.crypto import keccak

from node.chain.abi import artifact, interface
from node.chain.answers import quantity
from node.chain.client import RECEIPT_TIMEOUT_S, not_mined
from node.chain.handle import Handle, Transaction
from node.chain.rpc import Rpc
from node.chain.sender import Sender
from node.chain.types import ZERO_ADDRESS, ZERO_HASH, EmissionPlan, Parameter, to_abi
from node.errors import NodeError
from node.network_file import NetworkFile, parse_network
from node.wallet import Signer

AIN = 10**18
_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Preset:
    """What a network starts with."""

    supply_wei: int
    emission: EmissionPlan
    parameters: Mapping[Parameter, int]
    voting_delay_s: int
    voting_period_s: int
    late_quorum_s: int
    timelock_s: int
    threshold_wei: int
    quorum_percent: int
    guardian_s: int
    """How long the treasury's account may veto proposals."""
    confirmations: int
    """How deep a block must be buried; times the time between blocks, well below every window."""


DEVNET = Preset(
    supply_wei=10_000_000 * AIN,
    # At most 200,000 AIN in all.
    emission=EmissionPlan(epoch_s=20, first_budget_wei=100 * AIN, halving_epochs=1_000),
    parameters={
        Parameter.MIN_BOND_WEI: 100 * AIN,
        Parameter.AUDIT_FLOOR_BPS: 1_000,
        Parameter.PROBATION_UNITS: 10,
        Parameter.SLASH_BPS: 5_000,
        Parameter.BOUNTY_BPS: 4_000,
        Parameter.PROTOCOL_FEE_BPS: 100,
        Parameter.AUDIT_PAY_BPS: 5_000,
        # At least NetworkParameters.exposureS(), which is 4 (audit + 2 open) + challenge + audit +
        # open = 287 here.
        Parameter.UNBOND_DELAY_S: 300,
        Parameter.AUDIT_WINDOW_S: 30,
        Parameter.OPEN_WINDOW_S: 15,
        Parameter.CHALLENGE_WINDOW_S: 2,
        Parameter.CHALLENGE_DEPOSIT_WEI: 10 * AIN,
        Parameter.COMMITTEE_SIZE: 3,
        Parameter.LEASE_S: 20,
        Parameter.DATA_DEPOSIT_BPS: 500,
        Parameter.EMISSION_BPS: 10_000,
        Parameter.TREASURY_SHARE_BPS: 1_000,
        Parameter.EMISSION_GFLOP_FEE_WEI: 10**12,
    },
    voting_delay_s=5,
    voting_period_s=60,
    late_quorum_s=20,
    timelock_s=30,
    threshold_wei=1_000 * AIN,
    quorum_percent=4,
    guardian_s=_DAY_S,
    confirmations=0,
)
"""Windows in seconds: a round takes moments and a vote a minute, or none with time travel."""

PUBLIC = Preset(
    supply_wei=1_000_000_000 * AIN,
    # Days that halve every four years: at most 233.76 million AIN in all.
    emission=EmissionPlan(epoch_s=_DAY_S, first_budget_wei=80_000 * AIN, halving_epochs=1_461),
    parameters={
        Parameter.MIN_BOND_WEI: 1_000 * AIN,
        Parameter.AUDIT_FLOOR_BPS: 500,
        Parameter.PROBATION_UNITS: 10,
        Parameter.SLASH_BPS: 5_000,
        Parameter.BOUNTY_BPS: 4_000,
        Parameter.PROTOCOL_FEE_BPS: 200,
        Parameter.AUDIT_PAY_BPS: 10_000,
        Parameter.UNBOND_DELAY_S: 14 * _DAY_S,
        Parameter.AUDIT_WINDOW_S: 3_600,
        Parameter.OPEN_WINDOW_S: 1_800,
        Parameter.CHALLENGE_WINDOW_S: 3_600,
        Parameter.CHALLENGE_DEPOSIT_WEI: 100 * AIN,
        Parameter.COMMITTEE_SIZE: 5,
        Parameter.LEASE_S: 600,
        Parameter.DATA_DEPOSIT_BPS: 500,
        Parameter.EMISSION_BPS: 10_000,
        Parameter.TREASURY_SHARE_BPS: 1_000,
        Parameter.EMISSION_GFLOP_FEE_WEI: 10**12,
    },
    voting_delay_s=_DAY_S,
    voting_period_s=7 * _DAY_S,
    late_quorum_s=2 * _DAY_S,
    timelock_s=2 * _DAY_S,
    threshold_wei=100_000 * AIN,
    quorum_percent=4,
    guardian_s=365 * _DAY_S,
    confirmations=5,
)
"""Windows for machines and people that sleep."""


def deploy(
    endpoints: Sequence[str],
    chain_id: int,
    deployer: Signer,
    treasury: str,
    preset: Preset,
    *,
    name: str,
    poll_s: float = 1.0,
) -> NetworkFile:
    """Deploy all contracts as `deployer`, who pays the gas; `treasury` gets the whole supply.

    Returns the network file, with no bootstrap peers yet.
    """
    rpc = Rpc(endpoints, chain_id)
    try:
        site = _Site(rpc, Sender(rpc, deployer, chain_id), poll_s)
        start = int(rpc.request("eth_blockNumber", read=quantity))
        contracts = _build(site, deployer.address, treasury, preset)
    finally:
        rpc.close()
    return parse_network(
        {
            "name": name,
            "chain_id": chain_id,
            "rpc_endpoints": tuple(endpoints),
            "contracts": contracts,
            "deployment_block": start,
            "confirmations": preset.confirmations,
        },
        "deployment",
    )


class _Site:
    """Sends the transactions of a deployment one after the other."""

    def __init__(self, rpc: Rpc, sender: Sender, poll_s: float) -> None:
        self._rpc = rpc
        self._sender = sender
        self._poll_s = poll_s

    def create(self, name: str, *arguments: object) -> Handle:
        """Create the contract `name`."""
        encoded = interface(name).encode_constructor([to_abi(a) for a in arguments])
        address = self._send(Transaction("", artifact(name).bytecode + encoded, f"new {name}"))
        return Handle(self._rpc, name, address)

    def call(self, contract: Handle, function: str, *arguments: object) -> None:
        """Call a contract that was created here."""
        self._send(contract.write(function, *arguments))

    def _send(self, transaction: Transaction) -> str:
        digest = self._sender.submit(transaction)
        give_up = time.monotonic() + RECEIPT_TIMEOUT_S
        while (mined := self._sender.mined(digest, transaction)) is None:
            if time.monotonic() > give_up:
                raise not_mined(transaction, digest, RECEIPT_TIMEOUT_S)
            time.sleep(self._poll_s)
        return mined.created


def _build(site: _Site, deployer: str, treasury: str, preset: Preset) -> dict[str, str]:
    values = tuple(preset.parameters[parameter] for parameter in Parameter)
    token = site.create("ComputeToken", treasury, preset.supply_wei, preset.emission)
    timelock = site.create("TimelockController", preset.timelock_s, (), (ZERO_ADDRESS,), deployer)
    governor = site.create(
        "AinurGovernor",
        token.address,
        timelock.address,
        preset.voting_delay_s,
        preset.voting_period_s,
        preset.threshold_wei,
        preset.quorum_percent,
        preset.late_quorum_s,
        treasury,
        preset.guardian_s,
    )
    parameters = site.create("NetworkParameters", timelock.address, values)
    vault = site.create("BondVault", token.address, parameters.address)
    escrow = site.create("JobEscrow", token.address, parameters.address)
    ledger = site.create(
        "WorkLedger", token.address, parameters.address, vault.address, escrow.address
    )
    committee = site.create("AuditCommittee", parameters.address, vault.address, ledger.address)
    rewards = site.create("RewardDistributor", token.address, ledger.address)
    emission = site.create(
        "EmissionController",
        token.address,
        parameters.address,
        ledger.address,
        escrow.address,
        timelock.address,
    )
    site.call(token, "bind", emission.address)
    site.call(vault, "bind", ledger.address)
    site.call(escrow, "bind", ledger.address, rewards.address, emission.address)
    site.call(ledger, "bind", committee.address)
    site.call(timelock, "grantRole", keccak(text="PROPOSER_ROLE"), governor.address)
    site.call(timelock, "grantRole", keccak(text="CANCELLER_ROLE"), governor.address)
    # Last, because nobody can undo it: from here on the timelock alone administers itself.
    site.call(timelock, "renounceRole", ZERO_HASH, deployer)
    handles = {
        "token": token,
        "parameters": parameters,
        "vault": vault,
        "escrow": escrow,
        "ledger": ledger,
        "committee": committee,
        "rewards": rewards,
        "emission": emission,
        "governor": governor,
        "timelock": timelock,
    }
    _require_wired(deployer, handles)
    return {field: handle.address for field, handle in handles.items()}


_SEATS = (
    ("vault", "ledger", "ledger"),
    ("escrow", "ledger", "ledger"),
    ("escrow", "distributor", "rewards"),
    ("escrow", "emission", "emission"),
    ("ledger", "referee", "committee"),
    ("token", "minter", "emission"),
    ("parameters", "owner", "timelock"),
    ("emission", "treasury", "timelock"),
)
"""Contract, seat, who holds it; by the fields of the network file."""


def _require_wired(deployer: str, contracts: Mapping[str, Handle]) -> None:
    """NodeError unless every seat is where it belongs: a wrong one cannot be corrected later."""
    for field, seat, who in _SEATS:
        contract, expected = contracts[field], contracts[who].address
        holder = contract.value(seat)
        if holder != expected:
            raise NodeError(
                f"The {seat} of {contract.name} is {holder} instead of {expected}.", "Deploy anew."
            )
    timelock = contracts["timelock"]
    for role in (ZERO_HASH, keccak(text="PROPOSER_ROLE"), keccak(text="CANCELLER_ROLE")):
        if timelock.value("hasRole", role, deployer):
            raise NodeError(f"The deployer {deployer} kept a role in the timelock.", "Deploy anew.")
