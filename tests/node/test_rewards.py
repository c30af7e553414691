"""node/rewards.py on a real chain: what was earned is found, proved, and paid once."""

from collections.abc import Callable
from typing import Any

import pytest

from node import rewards as module
from node.chain import Chain, Receipt, Reverted
from node.deployment import AIN
from node.rewards import claim_all, rewards_of
from node.wallet import Signer


@pytest.fixture
def earned(
    make_node: Callable[..., Any],
    fund_job: Callable[..., Any],
    finish_round: Callable[..., None],
) -> Any:
    """A worker with the rewards of three rounds of three slots."""
    submitter, coordinator, worker = make_node(bond_wei=0), make_node(), make_node()
    job_id = fund_job(submitter, rounds=3, slots=3, unit_wei=2 * AIN)
    for round in range(3):
        finish_round(job_id, coordinator, worker, round=round, slots=3)
    return worker


def sending(chain: Chain) -> Callable[..., list[Receipt]]:
    """As the command's desk sends."""
    return lambda *transactions: [chain.send(each) for each in transactions]


def test_rewards_are_found_and_paid_once(earned: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """In several batches, to the worker; afterwards nothing is left and nothing can be repeated."""
    chain = earned.chain
    before = chain.token.balance_of(earned.address)
    rewards = rewards_of(chain, earned.address)
    total = sum(reward.claim.amount for reward in rewards)
    assert total == 18 * AIN
    assert not any(reward.claimed for reward in rewards)
    monkeypatch.setattr(module, "BATCH_MAX", 2)
    claims = [reward.claim for reward in rewards]
    paid = list(claim_all(chain, claims, sending(chain)))
    assert len(paid) == -(-len(claims) // 2)
    assert sum(amount for _, amount in paid) == total
    assert chain.token.balance_of(earned.address) == before + total
    assert all(reward.claimed for reward in rewards_of(chain, earned.address))
    with pytest.raises(Reverted, match="AlreadyClaimed"):
        chain.send(chain.rewards.claim(claims[:1]))


def test_anyone_may_claim_for_anyone(earned: Any, make_node: Callable[..., Any]) -> None:
    """A relay pays the gas, the worker gets the money; what it was too late for is left out."""
    relay = make_node(bond_wei=0)
    rewards = [reward.claim for reward in rewards_of(relay.chain, earned.address)]
    earned.chain.send(earned.chain.rewards.claim(rewards[:1]))
    before = relay.chain.token.balance_of(earned.address)
    paid = sum(amount for _, amount in claim_all(relay.chain, rewards, sending(relay.chain)))
    assert paid == sum(claim.amount for claim in rewards[1:])
    assert relay.chain.token.balance_of(earned.address) == before + paid
    assert list(claim_all(relay.chain, rewards, sending(relay.chain))) == []


def test_false_claims_are_refused(earned: Any) -> None:
    """More money, another account, another proof: none is paid."""
    from dataclasses import replace

    chain = earned.chain
    claim = rewards_of(chain, earned.address)[0].claim
    for forged in (
        replace(claim, amount=claim.amount + 1),
        replace(claim, account=Signer.random().address),
        replace(claim, index=claim.index + 1),
        replace(claim, proof=(*claim.proof, b"\0" * 32)),
    ):
        with pytest.raises(Reverted, match="BadProof"):
            list(claim_all(chain, [forged], sending(chain)))
    with pytest.raises(Reverted, match="NotFinalized"):
        list(claim_all(chain, [replace(claim, round=9)], sending(chain)))


def test_stranger_has_no_rewards(earned: Any) -> None:
    """An account that did nothing gets an empty list."""
    assert rewards_of(earned.chain, Signer.random().address) == []
