"""Puts the contracts on a chain, in the order of docs/spec/contracts.md, and describes the result.

When it is done the deployer holds no power: parameters belong to the timelock, only the governor
proposes to the timelock, anyone may execute what has waited long enough, and the seats in vault,
escrow and ledger are bound for ever; that of the referee changes hands as its contract says.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

from eth_utils.crypto import keccak

from engine.ops import ARITHMETIC_VERSION
from node.chain.abi import artifact
from node.chain.describe import CONTRACT_NAMES
from node.chain.handle import Handle
from node.chain.rpc import Rpc
from node.chain.types import ZERO_ADDRESS, ZERO_HASH, EmissionPlan, Parameter
from node.deployment_record import Place, Site
from node.errors import NodeError
from node.network_file import NetworkFile, parse_network
from node.wallet import Signer
from scheduler.manifest import MANIFEST_VERSION

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
    first_bonds_day_wei: int
    """What newcomers may be promised in a day, whoever comes."""
    first_bonds_pay_wei: int
    """The most that one of their audits earns."""
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
        # 20 prices of a unit at this floor: bonds of 150 AIN cover some units of the examples.
        Parameter.LOCK_FACTOR_BPS: 20_000,
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
        # What is burned where a GFLOP costs 40 AIN, as in the example.
        Parameter.EMISSION_GFLOP_FEE_WEI: 2 * AIN // 5,
        Parameter.ARITHMETIC_VERSIONS: 1 << ARITHMETIC_VERSION,
        Parameter.MANIFEST_VERSIONS: 1 << MANIFEST_VERSION,
    },
    voting_delay_s=5,
    voting_period_s=60,
    late_quorum_s=20,
    timelock_s=30,
    threshold_wei=1_000 * AIN,
    quorum_percent=4,
    guardian_s=_DAY_S,
    first_bonds_day_wei=1_000 * AIN,
    first_bonds_pay_wei=10 * AIN,
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
        # 77 prices of a unit at this floor: twice what deters a third of the auditors.
        Parameter.LOCK_FACTOR_BPS: 38_500,
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
        Parameter.ARITHMETIC_VERSIONS: 1 << ARITHMETIC_VERSION,
        Parameter.MANIFEST_VERSIONS: 1 << MANIFEST_VERSION,
    },
    voting_delay_s=_DAY_S,
    voting_period_s=7 * _DAY_S,
    late_quorum_s=2 * _DAY_S,
    timelock_s=2 * _DAY_S,
    threshold_wei=100_000 * AIN,
    quorum_percent=4,
    guardian_s=365 * _DAY_S,
    # A least bond a day, and an eighth of what the treasury's share of the first emission can be.
    first_bonds_day_wei=1_000 * AIN,
    first_bonds_pay_wei=10 * AIN,
    confirmations=5,
)
"""Windows for machines and people that sleep."""


@dataclass(frozen=True, slots=True)
class Check:
    """One seat, role or value of a deployment that has to be as specified."""

    what: str
    expected: object
    found: object

    @property
    def is_right(self) -> bool:
        """Whether it is."""
        return self.found == self.expected


def deploy(
    endpoints: Sequence[str],
    chain_id: int,
    deployer: Signer,
    treasury: str,
    preset: Preset,
    *,
    name: str,
    poll_s: float = 1.0,
    record: Path | None = None,
    told: Callable[[str], None] = lambda _line: None,
) -> NetworkFile:
    """Deploy all contracts as `deployer`, who pays the gas; `treasury` gets the whole supply.

    With a `record` it can be interrupted anywhere and goes on where it was. `told` hears of each
    step. Returns the network file, with no bootstrap peers yet, once every seat was checked.
    """
    rpc = Rpc(endpoints, chain_id)
    try:
        plan = _plan(chain_id, treasury, preset)
        site = Site(Place(rpc, deployer, chain_id, poll_s, record), plan, told)
        handles = _build(site, deployer.address, treasury, preset)
        contracts = {field: handle.address for field, handle in handles.items()}
        checks = _checks(handles, deployer.address, treasury, preset)
    finally:
        rpc.close()
    for check in checks:
        if not check.is_right:
            raise NodeError(
                f"{check.what} is {check.found} instead of {check.expected}.", "Deploy anew."
            )
    told(f"checked {len(checks)} seats, roles and values")
    return parse_network(
        {
            "name": name,
            "chain_id": chain_id,
            "rpc_endpoints": tuple(endpoints),
            "contracts": contracts,
            "deployment_block": site.start_block,
            "confirmations": preset.confirmations,
        },
        "deployment",
    )


def _plan(chain_id: int, treasury: str, preset: Preset) -> str:
    """The digest of all that a deployment depends on: values and the packaged code."""
    values = {**asdict(preset), "parameters": {p.label: v for p, v in preset.parameters.items()}}
    codes = {name: sha256(artifact(name).bytecode).hexdigest() for name in CONTRACT_NAMES.values()}
    text = json.dumps([chain_id, treasury, values, codes], sort_keys=True)
    return sha256(text.encode()).hexdigest()


def _build(site: Site, deployer: str, treasury: str, preset: Preset) -> dict[str, Handle]:
    values = tuple(preset.parameters[parameter] for parameter in Parameter)
    token = site.create("ComputeToken", treasury, preset.supply_wei, preset.emission)
    timelock = site.create("TimelockController", preset.timelock_s, (), (ZERO_ADDRESS,), deployer)
    parameters = site.create("NetworkParameters", timelock.address, values)
    vault = site.create("BondVault", token.address, parameters.address)
    governor = site.create(
        "AinurGovernor",
        token.address,
        vault.address,
        timelock.address,
        preset.voting_delay_s,
        preset.voting_period_s,
        preset.threshold_wei,
        preset.quorum_percent,
        preset.late_quorum_s,
        treasury,
        preset.guardian_s,
    )
    escrow = site.create("JobEscrow", token.address, parameters.address)
    ledger = site.create(
        "WorkLedger", token.address, parameters.address, vault.address, escrow.address
    )
    seat = site.create(
        "RefereeSeat", ledger.address, parameters.address, timelock.address, governor.address
    )
    committee = site.create(
        "AuditCommittee", parameters.address, vault.address, ledger.address, seat.address
    )
    rewards = site.create("RewardDistributor", token.address, escrow.address, vault.address)
    emission = site.create(
        "EmissionController",
        token.address,
        parameters.address,
        escrow.address,
        rewards.address,
        timelock.address,
    )
    first_bonds = site.create(
        "FirstBonds",
        token.address,
        parameters.address,
        vault.address,
        ledger.address,
        escrow.address,
        preset.first_bonds_day_wei,
        preset.first_bonds_pay_wei,
    )
    site.call(token, "bind", emission.address)
    site.call(vault, "bind", ledger.address, rewards.address)
    site.call(escrow, "bind", ledger.address, rewards.address, emission.address)
    site.call(seat, "bind", committee.address)
    site.call(ledger, "bind", seat.address)
    site.call(timelock, "grantRole", keccak(text="PROPOSER_ROLE"), governor.address)
    site.call(timelock, "grantRole", keccak(text="CANCELLER_ROLE"), governor.address)
    # Last, because nobody can undo it: from here on the timelock alone administers itself.
    site.call(timelock, "renounceRole", ZERO_HASH, deployer)
    return {
        "token": token,
        "parameters": parameters,
        "vault": vault,
        "escrow": escrow,
        "ledger": ledger,
        "seat": seat,
        "committee": committee,
        "rewards": rewards,
        "emission": emission,
        "first_bonds": first_bonds,
        "governor": governor,
        "timelock": timelock,
    }


def _checks(
    handles: Mapping[str, Handle], deployer: str, treasury: str, preset: Preset
) -> list[Check]:
    """Every seat, role and value that cannot be corrected later, or gives power to somebody."""
    at = {field: handle.address for field, handle in handles.items()}
    seats = (
        ("vault", "ledger", at["ledger"]),
        ("vault", "distributor", at["rewards"]),
        ("escrow", "ledger", at["ledger"]),
        ("escrow", "distributor", at["rewards"]),
        ("escrow", "emission", at["emission"]),
        ("ledger", "referee", at["seat"]),
        ("seat", "reportsTo", at["ledger"]),
        ("seat", "referee", at["committee"]),
        ("seat", "dao", at["timelock"]),
        ("seat", "governor", at["governor"]),
        ("committee", "reportsTo", at["seat"]),
        ("committee", "ledger", at["ledger"]),
        ("committee", "vault", at["vault"]),
        ("token", "minter", at["emission"]),
        ("emission", "treasury", at["timelock"]),
        ("emission", "escrow", at["escrow"]),
        ("emission", "distributor", at["rewards"]),
        ("rewards", "escrow", at["escrow"]),
        ("rewards", "vault", at["vault"]),
        ("rewards", "networkToken", at["token"]),
        ("first_bonds", "token", at["token"]),
        ("first_bonds", "ledger", at["ledger"]),
        ("first_bonds", "vault", at["vault"]),
        ("first_bonds", "dayCapWei", preset.first_bonds_day_wei),
        ("first_bonds", "payMaxWei", preset.first_bonds_pay_wei),
        ("parameters", "owner", at["timelock"]),
        ("governor", "token", at["token"]),
        ("governor", "vault", at["vault"]),
        ("vault", "token", at["token"]),
        ("governor", "timelock", at["timelock"]),
        ("governor", "guardian", treasury),
        ("governor", "votingDelay", preset.voting_delay_s),
        ("governor", "votingPeriod", preset.voting_period_s),
        ("governor", "proposalThreshold", preset.threshold_wei),
        ("timelock", "getMinDelay", preset.timelock_s),
        ("token", "totalSupply", preset.supply_wei),
        ("token", "epochS", preset.emission.epoch_s),
        ("token", "firstBudgetWei", preset.emission.first_budget_wei),
        ("token", "halvingEpochs", preset.emission.halving_epochs),
    )
    found = [
        Check(f"{seat} of {handles[field].name}", expected, handles[field].value(seat))
        for field, seat, expected in seats
    ]
    values = tuple(preset.parameters[parameter] for parameter in Parameter)
    held = tuple(handles["parameters"].value("all"))
    found.append(Check("the values of NetworkParameters", values, held))
    return found + _role_checks(handles["timelock"], at, deployer)


def _role_checks(timelock: Handle, at: Mapping[str, str], deployer: str) -> list[Check]:
    roles = {name: keccak(text=f"{name}_ROLE") for name in ("PROPOSER", "CANCELLER", "EXECUTOR")}
    roles["ADMIN"] = ZERO_HASH
    wanted = (
        ("ADMIN", at["timelock"], True),
        ("PROPOSER", at["governor"], True),
        ("CANCELLER", at["governor"], True),
        ("EXECUTOR", ZERO_ADDRESS, True),
        *((name, deployer, False) for name in roles),
    )
    return [
        Check(
            f"role {name} of {who} in the timelock",
            expected,
            timelock.value("hasRole", roles[name], who),
        )
        for name, who, expected in wanted
    ]
