"""node/deployment.py: afterwards nobody but the DAO holds power, and the wiring is as specified."""

import pytest
from eth_utils.crypto import keccak

from node.chain import Chain
from node.chain.handle import Handle
from node.chain.types import ZERO_ADDRESS, ZERO_HASH, Parameter
from node.deployment import DEVNET, PUBLIC, Preset, deploy
from node.devnet import CHAIN_ID, Devnet
from node.errors import InsufficientFunds
from node.wallet import Signer


def exposure_s(preset: Preset) -> int:
    """NetworkParameters.exposureS, by hand."""
    audit, opening = (
        preset.parameters[Parameter.AUDIT_WINDOW_S],
        preset.parameters[Parameter.OPEN_WINDOW_S],
    )
    challenge = preset.parameters[Parameter.CHALLENGE_WINDOW_S]
    return 4 * (audit + 2 * opening) + challenge + audit + opening


@pytest.mark.parametrize("preset", [DEVNET, PUBLIC])
def test_presets_are_complete_and_cover_their_exposure(preset: Preset) -> None:
    """Every parameter has a value; no bond can leave before its last verdict."""
    assert list(preset.parameters) == list(Parameter)
    assert preset.parameters[Parameter.UNBOND_DELAY_S] >= exposure_s(preset)


@pytest.mark.parametrize("preset", [PUBLIC])
def test_public_preset_deploys_and_leaves_no_admin(devnet: Devnet, preset: Preset) -> None:
    """The treasury has the supply, the timelock the parameters, the governor alone proposes."""
    deployer, treasury = Signer.random(), Signer.random().address
    devnet.give_gas(deployer.address)
    network = deploy(
        [devnet.endpoint], CHAIN_ID, deployer, treasury, preset, name="public", poll_s=0.02
    )
    assert network.name == "public"
    assert network.bootstrap == ()
    with Chain(network, deployer, poll_s=0.02) as chain:
        assert chain.token.balance_of(treasury) == preset.supply_wei == chain.token.total_supply()
        assert chain.parameters.all() == dict(preset.parameters)
        assert chain.token.schedule().plan == preset.emission
        assert chain.governor.voting_period_s() == preset.voting_period_s
        assert chain.governor.threshold() == preset.threshold_wei
        contracts = network.contracts
        timelock = Handle(chain._rpc, "TimelockController", contracts.timelock)
        proposer, executor = keccak(text="PROPOSER_ROLE"), keccak(text="EXECUTOR_ROLE")
        for role in (ZERO_HASH, proposer, executor, keccak(text="CANCELLER_ROLE")):
            assert not timelock.value("hasRole", role, deployer.address)
        assert timelock.value("hasRole", proposer, contracts.governor)
        assert timelock.value("hasRole", executor, ZERO_ADDRESS)
        assert timelock.value("hasRole", ZERO_HASH, contracts.timelock)
        owner = Handle(chain._rpc, "NetworkParameters", contracts.parameters).value("owner")
        assert owner == contracts.timelock
        ledger = Handle(chain._rpc, "WorkLedger", contracts.ledger)
        assert ledger.value("referee") == contracts.seat
        assert chain.seat.referee() == contracts.committee
        assert chain.seat.notice_s() == 146 * 86_400
        token = Handle(chain._rpc, "ComputeToken", contracts.token)
        assert token.value("minter") == contracts.emission
        emission = Handle(chain._rpc, "EmissionController", contracts.emission)
        assert emission.value("treasury") == contracts.timelock
        escrow = Handle(chain._rpc, "JobEscrow", contracts.escrow)
        assert escrow.value("emission") == contracts.emission
        vault = Handle(chain._rpc, "BondVault", contracts.vault)
        assert vault.value("ledger") == contracts.ledger
        assert chain.block(network.deployment_block) is not None


def test_deployer_without_gas_is_told(devnet: Devnet) -> None:
    """The first transaction already says who needs money."""
    deployer = Signer.random()
    with pytest.raises(InsufficientFunds, match=deployer.address):
        deploy([devnet.endpoint], CHAIN_ID, deployer, deployer.address, DEVNET, name="x")
