"""node/rewards.py on a real chain: what was earned is found, and paid once."""

from collections.abc import Callable
from typing import Any

import pytest

from node import rewards as module
from node.chain import Chain, Receipt, Reverted
from node.chain.events import Credited
from node.chain.handle import Transaction
from node.deployment import AIN
from node.devnet import Devnet
from node.errors import InsufficientFunds, NodeError
from node.rewards import claim_all, claim_calls, paid_by, rewards_of
from node.wallet import Signer


@pytest.fixture
def earned(
    make_node: Callable[..., Any],
    fund_job: Callable[..., Any],
    finish_round: Callable[..., None],
) -> Any:
    """A worker with the rewards of three rounds of three slots."""
    submitter, coordinator, worker = make_node(bond_wei=0), make_node(), make_node()
    job_id = fund_job(submitter, rounds=3, slots=3, unit_wei=2 * AIN, unit_flops=10**9)
    for round in range(3):
        finish_round(job_id, coordinator, worker, round=round, slots=3)
    return worker


def sending(chain: Chain) -> Callable[..., list[Receipt]]:
    """As the command's desk sends."""
    return lambda *transactions: [chain.send(each) for each in transactions]


def credit(chain: Chain, account: str) -> int:
    return chain.rewards.credit_of(chain.token.address, account)


def test_one_claim_pays_all_rounds_once(earned: Any) -> None:
    """What the receipts say, in one transaction; afterwards nothing is left or can be repeated."""
    chain, account = earned.chain, earned.address
    before = chain.token.balance_of(account)
    rewards = rewards_of(chain, account)
    assert [(r.round, r.amount) for r in rewards] == [(round, 6 * AIN) for round in range(3)]
    assert credit(chain, account) == 18 * AIN
    calls = claim_calls(chain, account, credit(chain, account), [])
    (receipt,) = claim_all(calls, sending(chain))
    paid = paid_by([receipt])[chain.token.address]
    assert paid == 18 * AIN
    assert chain.token.balance_of(account) == before + paid
    assert chain.rewards.account_of(chain.token.address, account) == (paid, paid)
    assert rewards_of(chain, account) == rewards
    assert not [e for e in receipt.events if isinstance(e, Credited)]
    with pytest.raises(Reverted, match="NothingToClaim"):
        chain.send(*calls)
    assert claim_calls(chain, account, 0, []) == []


def test_anyone_may_claim_for_anyone(earned: Any, make_node: Callable[..., Any]) -> None:
    """A relay pays the gas, the worker gets the money; one that comes too late pays nobody."""
    relay = make_node(bond_wei=0)
    calls = claim_calls(relay.chain, earned.address, 1, [])
    before = relay.chain.token.balance_of(earned.address)
    paid = paid_by(list(claim_all(calls, sending(relay.chain))))[relay.chain.token.address]
    assert paid == 18 * AIN
    assert relay.chain.token.balance_of(earned.address) == before + paid
    assert list(claim_all(calls, sending(relay.chain))) == []


def test_many_epochs_go_in_batches(
    earned: Any, devnet: Devnet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first brings what is credited; epochs that give nothing are passed over."""
    chain, account = earned.chain, earned.address
    schedule = chain.token.schedule()
    devnet.travel(schedule.plan.epoch_s)
    now = schedule.epoch_at(chain.head().timestamp)
    monkeypatch.setattr(module, "EPOCHS_MAX", now)
    calls = claim_calls(chain, account, credit(chain, account), [*range(now), 0])
    assert len(calls) == 2
    receipts = list(claim_all(calls, sending(chain)))
    assert len(receipts) == 1
    assert paid_by(receipts)[chain.token.address] > 18 * AIN


def test_stranger_has_no_rewards(earned: Any) -> None:
    """An account that did nothing gets an empty list."""
    assert rewards_of(earned.chain, Signer.random().address) == []


def test_claim_all_goes_on_after_a_token_that_lacks() -> None:
    """A token that says that the claimer has too little holds up no other, like one that stops."""
    calls = [Transaction("0x" + "11" * 20, b"", "Rewards.claim")] * 2
    told: list[NodeError] = []

    def send(call: Transaction) -> list[Receipt]:
        raise InsufficientFunds("too little", "more")

    assert list(claim_all(calls, send, lambda call, error: told.append(error))) == []
    assert len(told) == 2
