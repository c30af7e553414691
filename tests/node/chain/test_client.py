"""node/chain against a real EVM node: reads, transactions, events, refusals."""

import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from node.chain import Chain, Reverted
from node.chain import client as module
from node.chain import sender as sending
from node.chain.events import (
    ActiveChanged,
    Bonded,
    Claimed,
    Credited,
    DrawCaptured,
    JobCompleted,
    JobFunded,
    ParameterChanged,
    PeerIdChanged,
    RoundCommitted,
    RoundFinalized,
    RoundRewards,
    UnitPassed,
)
from node.chain.types import (
    ZERO_ADDRESS,
    Bounds,
    ClaimedUnit,
    DisputePhase,
    JobStatus,
    Parameter,
    PassReason,
    RoundState,
    UnitStatus,
)
from node.claim_signature import ClaimDomain, Statement
from node.deployment import AIN, DEVNET
from node.devnet import Devnet
from node.errors import BadInput, ChainUnreachable, InsufficientFunds, NodeError
from node.ids import JobId, UnitId, unit_id
from node.merkle import claim_leaf, merkle_root
from node.wallet import Signer

MakeNode = Callable[..., Any]


def test_parameters_are_those_of_the_preset(devnet: Devnet) -> None:
    """All values, one value, bounds, and the exposure that the unbonding delay must cover."""
    with devnet.chain() as chain:
        assert chain.parameters.all().keys() == DEVNET.parameters.keys()
        assert chain.parameters.get(Parameter.COMMITTEE_SIZE) == 3
        assert chain.parameters.bounds(Parameter.COMMITTEE_SIZE) == Bounds(3, 15)
        unbond_s = chain.parameters.get(Parameter.UNBOND_DELAY_S)
        assert chain.parameters.exposure_s() <= unbond_s


def test_bond_is_seen_in_state_and_events(devnet: Devnet, make_node: MakeNode) -> None:
    """The receipt and the log tell the same story, in order."""
    node = make_node(bond_wei=0)
    chain = node.chain
    chain.send(chain.token.approve(chain.vault.address, 200 * AIN))
    receipt = chain.send(chain.vault.bond(200 * AIN, b"peer"))
    kinds = [type(event) for event in receipt.events]
    assert set(kinds) == {PeerIdChanged, Bonded, ActiveChanged}
    assert chain.events(receipt.block, receipt.block) == list(receipt.events)
    (bonded,) = [e for e in receipt.events if isinstance(e, Bonded)]
    assert (bonded.account, bonded.amount, bonded.bond) == (node.address, 200 * AIN, 200 * AIN)
    assert bonded.place.block == receipt.block
    assert bonded.place.transaction == receipt.transaction
    assert chain.vault.bond_of(node.address) == 200 * AIN
    assert chain.vault.peer_id_of(node.address) == b"peer"
    assert chain.vault.is_active(node.address)
    count = chain.vault.active_count()
    assert node.address in [chain.vault.active_at(i) for i in range(count)]


def test_events_of_wanted_kinds_only(devnet: Devnet, make_node: MakeNode) -> None:
    """A filter by class leaves the others out."""
    node = make_node()
    start, head = devnet.network.deployment_block, node.chain.head().number
    found = node.chain.events(start, head, (Bonded, ParameterChanged))
    assert {type(event) for event in found} == {Bonded, ParameterChanged}
    assert [e.place for e in found] == sorted(e.place for e in found)


def test_long_ranges_are_asked_for_in_pieces(
    devnet: Devnet, make_node: MakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pieces add up to the whole, without gap or overlap."""
    node = make_node()
    head = node.chain.head().number
    whole = node.chain.events(0, head)
    monkeypatch.setattr(module, "LOG_BLOCKS_MAX", 3)
    assert node.chain.events(0, head) == whole


def test_endpoint_with_result_limit_is_asked_for_less(
    devnet: Devnet, make_node: MakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An endpoint that refuses long answers still gives all events."""
    node = make_node()
    chain = node.chain
    head = chain.head().number
    whole = chain.events(0, head)
    real = chain._rpc.together

    def limited(*calls: module.Call) -> Any:
        for call in calls:
            if call.method == "eth_getLogs":
                query: Any = call.parameters[0]
                if int(query["toBlock"], 16) - int(query["fromBlock"], 16) + 1 > 5:
                    raise module.RpcError(-32000, "query returned more than 10000 results", None)
        return real(*calls)

    monkeypatch.setattr(chain._rpc, "together", limited)
    assert chain.events(0, head) == whole


def test_refusal_carries_the_contract_error(make_node: MakeNode) -> None:
    """Name and arguments of the custom error, for people and for code."""
    chain = make_node(bond_wei=0).chain
    with pytest.raises(Reverted) as caught:
        chain.send(chain.vault.withdraw())
    assert caught.value.name == "NothingPending"
    assert caught.value.arguments == {"account": chain.address}
    assert "BondVault.withdraw was refused: NothingPending(account = 0x" in str(caught.value)
    assert caught.value.exit_code == 9


def test_error_of_another_contract_is_decoded(make_node: MakeNode) -> None:
    """The token's error reaches a caller of the vault by its name."""
    chain = make_node(bond_wei=0).chain
    with pytest.raises(Reverted) as caught:
        chain.send(chain.vault.bond(AIN, b"peer"))
    assert caught.value.name == "ERC20InsufficientAllowance"


def test_reading_an_unknown_job_is_refused(devnet: Devnet) -> None:
    """A view's custom error is decoded too."""
    with devnet.chain() as chain, pytest.raises(Reverted, match="UnknownJob"):
        chain.escrow.job(JobId(b"\x01" * 32))


def test_too_few_tokens_or_gas(devnet: Devnet, make_node: MakeNode) -> None:
    """Both are InsufficientFunds, with the account."""
    chain = make_node(bond_wei=0).chain
    with pytest.raises(InsufficientFunds, match=chain.address):
        chain.send(chain.token.transfer(devnet.treasury.address, 10**30))
    poor = Signer.random()
    with devnet.chain(poor) as broke, pytest.raises(InsufficientFunds, match="cannot pay the gas"):
        broke.send(broke.token.delegate(poor.address))


def test_read_only_chain_sends_nothing(devnet: Devnet) -> None:
    """Without a wallet a transaction is the caller's mistake."""
    with devnet.chain() as chain, pytest.raises(BadInput, match="needs a wallet"):
        chain.send(chain.vault.withdraw())


def test_concurrent_sends_use_each_nonce_once(devnet: Devnet, make_node: MakeNode) -> None:
    """Threads that share an account do not collide."""
    node = make_node(bond_wei=0)
    targets = [Signer.random().address for _ in range(20)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda to: node.chain.send(node.chain.token.transfer(to, 7)), targets))
    assert [node.chain.token.balance_of(to) for to in targets] == [7] * 20


def test_two_programs_with_one_wallet(devnet: Devnet, make_node: MakeNode) -> None:
    """A nonce that another program used is noticed and the transaction signed again."""
    node = make_node(bond_wei=0)
    to = Signer.random().address
    with devnet.chain(node.signer) as other:
        for chain in (node.chain, other, other, node.chain, node.chain, other):
            chain.send(chain.token.transfer(to, 1))
    assert node.chain.token.balance_of(to) == 6


def test_lost_answer_does_not_send_twice(
    devnet: Devnet, make_node: MakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An endpoint that takes a transaction but drops the connection: asked again, mined once."""
    node = make_node(bond_wei=0)
    to = Signer.random().address
    provider = node.chain._rpc._providers[0]
    real, lost = provider.make_request, []

    def lossy(method: Any, parameters: Any) -> Any:
        answer = real(method, parameters)
        if method == "eth_sendRawTransaction" and not lost:
            lost.append(method)
            raise requests.ConnectionError
        return answer

    monkeypatch.setattr(provider, "make_request", lossy)
    node.chain.send(node.chain.token.transfer(to, 5))
    assert lost
    assert node.chain.token.balance_of(to) == 5


def test_mined_failure_gives_the_reason(
    devnet: Devnet, make_node: MakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction that only fails once it is in a block is explained all the same."""
    node = make_node(bond_wei=0)
    chain = node.chain
    transaction = chain.vault.withdraw()
    sender = chain._sender
    monkeypatch.setattr(sending, "estimate_gas", lambda *_: 200_000)
    devnet._rpc.request("evm_setAutomine", False)
    try:
        digest = sender.submit(transaction)
        devnet._rpc.request("evm_mine")
        with pytest.raises(Reverted, match="NothingPending"):
            chain.receipt(digest, transaction)
    finally:
        devnet._rpc.request("evm_setAutomine", True)


def test_unmined_transaction_times_out(devnet: Devnet, make_node: MakeNode) -> None:
    """Waiting ends, and the message has the hash to look for."""
    node = make_node(bond_wei=0)
    devnet._rpc.request("evm_setIntervalMining", 0)
    devnet._rpc.request("evm_setAutomine", False)
    try:
        with pytest.raises(ChainUnreachable, match=r"0x[0-9a-f]{64}.* not mined within 0 s"):
            node.chain.send(node.chain.token.delegate(node.address), timeout_s=0.2)
    finally:
        devnet._rpc.request("evm_setAutomine", True)
        devnet._rpc.request("evm_setIntervalMining", 250)
        devnet._rpc.request("evm_mine")


def test_wrong_network_file_is_explained(devnet: Devnet) -> None:
    """Addresses without our contracts: said so, not a decoding error."""
    contracts = devnet.network.contracts.model_copy(update={"vault": "0x" + "00" * 19 + "99"})
    network = devnet.network.model_copy(update={"contracts": contracts})
    with Chain(network) as chain, pytest.raises(NodeError, match="does not answer activeCount"):
        chain.vault.active_count()


def test_values_that_do_not_fit_are_refused(devnet: Devnet) -> None:
    """A negative amount never reaches the chain."""
    with devnet.chain() as chain, pytest.raises(BadInput, match=r"BondVault\.requestUnbond"):
        chain.vault.request_unbond(-1)


def test_claim_digest_equals_the_contract(devnet: Devnet) -> None:
    """What a worker signs is what the ledger checks."""
    domain = ClaimDomain(devnet.network.chain_id, devnet.network.contracts.ledger)
    unit, parent, root, commitment = (secrets.token_bytes(32) for _ in range(4))
    with devnet.chain() as chain:
        expected = chain.ledger.claim_digest(UnitId(unit), parent, 7, root, commitment)
    assert domain.digest(Statement(UnitId(unit), parent, 7, root, commitment)) == expected


def test_job_runs_from_funding_to_reward(
    devnet: Devnet,
    make_node: MakeNode,
    fund_job: Callable[..., JobId],
    finish_round: Callable[..., None],
) -> None:
    """Every typed read and event of a job without audits, and money that adds up."""
    submitter, coordinator, worker = make_node(bond_wei=0), make_node(), make_node()
    chain = coordinator.chain
    start = chain.head().number
    job_id = fund_job(submitter, rounds=1, slots=2, unit_wei=3 * AIN)
    job = chain.escrow.job(job_id)
    assert (job.submitter, job.status) == (submitter.address, JobStatus.FUNDED)
    assert chain.escrow.job_id_at(chain.escrow.job_count() - 1) == job_id
    assert chain.escrow.held_of(job_id) == job.deposited
    assert chain.ledger.lease_of(job_id).holder == ZERO_ADDRESS
    finish_round(job_id, coordinator, worker, round=0, slots=2)

    assert chain.ledger.lease_of(job_id).holder == coordinator.address
    unit = chain.ledger.unit(chain.ledger.slot_unit(job_id, 0, 1))
    assert (unit.status, unit.worker, unit.slot) == (UnitStatus.PASSED, worker.address, 1)
    assert chain.ledger.slot_unit(job_id, 0, 1) == unit_id(job_id, 0, 1, 0)
    assert chain.ledger.round_state(job_id, 0) == RoundState(0, 1, 0b11)
    batch = chain.ledger.batch(job_id, 0, 0, 0)
    assert batch.slots_bitmap == 0b11
    final = chain.ledger.finalized(job_id, 0)
    assert final.checkpoint_size > 0
    assert chain.ledger.open_round(job_id) == 1
    assert chain.committee.dispute(unit_id(job_id, 0, 0, 0)).phase is DisputePhase.NONE
    job = chain.escrow.job(job_id)
    assert job.status is JobStatus.COMPLETED
    chain.send(chain.escrow.settle(job_id))
    job = chain.escrow.job(job_id)
    assert job.deposited == job.paid + job.refunded + job.fees + chain.escrow.held_of(job_id)

    events = chain.events(start, chain.head().number)
    by_kind = {type(event): event for event in events}
    assert {JobFunded, RoundCommitted, DrawCaptured, RoundFinalized, JobCompleted} <= set(by_kind)
    claims = by_kind[RoundCommitted].claims
    assert [c.slot for c in claims] == [0, 1]
    leaves = [claim_leaf(job_id, 0, ClaimedUnit.of(claim)) for claim in claims]
    assert merkle_root(leaves) == batch.claims_root
    assert by_kind[UnitPassed].reason is PassReason.NOBODY_ELIGIBLE
    rewards = by_kind[RoundRewards]
    assert sum(rewards.amounts) == by_kind[RoundFinalized].total_wei == 6 * AIN
    (credit,) = [e for e in events if isinstance(e, Credited)]
    assert (credit.accounts, credit.amounts) == (rewards.accounts, rewards.amounts)
    assert (credit.token, credit.by) == (chain.token.address, chain.escrow.address)
    assert not [e for e in events if isinstance(e, Claimed)]


def test_simulate_tries_as_somebody_else(devnet: Devnet) -> None:
    """The timelock may set a parameter, nobody else may."""
    with devnet.chain() as chain:
        call = chain.parameters.set(Parameter.AUDIT_FLOOR_BPS, 700)
        chain.simulate(call, devnet.network.contracts.timelock)
        with pytest.raises(Reverted, match="OwnableUnauthorizedAccount"):
            chain.simulate(call, devnet.treasury.address)
