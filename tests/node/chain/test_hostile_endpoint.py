"""The chain client behind an endpoint that drops, delays, lies, floods and disappears."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from node.chain import Chain
from node.chain import sender as sending
from node.devnet import Devnet
from node.errors import ChainUnreachable, NodeError, TransactionFailed
from node.wallet import Signer

METHODS = (
    "eth_estimateGas",
    "eth_getTransactionCount",
    "eth_getBlockByNumber",
    "eth_sendRawTransaction",
    "eth_getTransactionReceipt",
)
FAULTS: dict[str, dict[str, Any]] = {
    "drop": {"fault": "drop"},
    "lose": {"fault": "lose"},
    "truncate": {"fault": "truncate"},
    "deep": {"fault": "deep"},
    "endless": {"fault": "endless"},
    "delay": {"fault": "delay", "seconds": 0.7},
    "slow down": {"fault": "status", "status": 429, "headers": {"Retry-After": "1"}},
    "nonsense": {"fault": "nonsense", "result": {"banana": [1]}},
    "another type": {"fault": "nonsense", "result": "0xzz"},
}


@pytest.fixture
def account(make_node: Callable[..., Any]) -> Signer:
    signer: Signer = make_node(bond_wei=0).signer
    return signer


@pytest.fixture
def blocks_by_hand(devnet: Devnet) -> Iterator[Callable[[], None]]:
    """Blocks come only when a test asks for one, so that transactions wait."""
    devnet._rpc.request("evm_setIntervalMining", 0)
    devnet._rpc.request("evm_setAutomine", False)
    yield lambda: devnet._rpc.request("evm_mine")
    devnet._rpc.request("evm_setAutomine", True)
    devnet._rpc.request("evm_setIntervalMining", 250)
    devnet._rpc.request("evm_mine")


@pytest.mark.parametrize("name", FAULTS)
def test_every_request_may_fail_once_and_the_payment_is_made_once(
    hostile: Any, devnet: Devnet, account: Signer, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transfer whose every kind of request meets the fault arrives, once."""
    monkeypatch.setattr("node.chain.rpc.RETRY_AFTER_S_MAX", 0.02)
    if name == "delay":
        monkeypatch.setattr("node.chain.rpc.READ_TIMEOUT_S", 0.5)
    methods = METHODS
    if name in ("nonsense", "another type"):
        # The answer to this one is not looked at: the hash is our own.
        methods = tuple(m for m in METHODS if m != "eth_sendRawTransaction")
    hostile.does(*({**FAULTS[name], "method": method, "times": 1} for method in methods))
    to = Signer.random().address
    with Chain(hostile.network(), account, poll_s=0.02) as chain:
        chain.send(chain.token.transfer(to, 9))
        assert chain.token.balance_of(to) == 9
        # It mattered: each was asked again.
        assert all(len(hostile.asked(method)) >= 2 for method in methods)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("drop", "no connection"),
        ("truncate", "not JSON-RPC"),
        ("deep", "not JSON-RPC"),
        ("endless", "more than 1048576 bytes"),
        ("delay", "no answer in time"),
        ("slow down", "HTTP status 429"),
        ("nonsense", "is no number"),
    ],
)
def test_an_endpoint_that_fails_for_good_is_passed_over_and_rests(
    hostile: Any,
    devnet: Devnet,
    account: Signer,
    name: str,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The other one serves; the reason is shown; the bad one is not asked again and again."""
    if name == "delay":
        monkeypatch.setattr("node.chain.rpc.READ_TIMEOUT_S", 0.5)
    hostile.does(FAULTS[name])
    to = Signer.random().address
    with Chain(hostile.network(devnet.endpoint), account, poll_s=0.02) as chain:
        chain.send(chain.token.transfer(to, 9))
        assert chain.token.balance_of(to) == 9
        bad, good = chain.endpoints()
    assert reason in bad.problem
    assert (bad.in_use, good.in_use, good.problem) == (False, True, "")
    assert bad.failures <= 4


def test_when_all_are_gone_it_says_so_soon(
    hostile: Any, devnet: Devnet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every endpoint with its reason; an endpoint that asks for an hour is not waited for."""
    monkeypatch.setattr("node.chain.rpc.RETRY_AFTER_S_MAX", 0.02)
    hostile.does({**FAULTS["slow down"], "headers": {"Retry-After": "3600"}})
    began = time.monotonic()
    with (
        Chain(hostile.network("http://127.0.0.1:9")) as chain,
        pytest.raises(ChainUnreachable) as caught,
    ):
        chain.head()
    assert time.monotonic() - began < 5
    assert "HTTP status 429" in caught.value.message
    assert "127.0.0.1:9: no connection" in caught.value.message


@pytest.mark.parametrize("wrong", [-2, -1, 1])
def test_a_wrong_nonce_is_found_out(
    hostile: Any, devnet: Devnet, account: Signer, wrong: int
) -> None:
    """Too low: refused, the next is tried. Too high: the pool says so, the count is asked again."""
    to = Signer.random().address
    with Chain(hostile.network(), account, poll_s=0.02) as chain:
        for _ in range(3):
            chain.send(chain.token.transfer(to, 1))
    lie = {"fault": "nonce", "add": wrong, "method": "eth_getTransactionCount"}
    # A count that is too high for ever can only be filled up to: see the next test.
    hostile.does({**lie, "times": 2 if wrong > 0 else 10**9})
    with Chain(hostile.network(), account, poll_s=0.02) as chain:
        chain.send(chain.token.transfer(to, 1))
        assert chain.token.balance_of(to) == 4


def test_nonces_that_nobody_uses_are_filled(
    hostile: Any,
    devnet: Devnet,
    account: Signer,
    blocks_by_hand: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A transaction behind a gap would wait for ever; payments of nothing close the gap."""
    monkeypatch.setattr(sending, "STUCK_S", 0.0)
    lie = {"fault": "nonce", "add": 2, "method": "eth_getTransactionCount", "times": 2}
    hostile.does(lie)
    to = Signer.random().address
    with Chain(hostile.network(), account) as chain:
        transaction = chain.token.transfer(to, 7)
        digest = chain.submit(transaction)
        blocks_by_hand()
        assert chain.token.balance_of(to) == 0
        assert chain.receipt(digest, transaction) is None
        blocks_by_hand()
        receipt = chain.receipt(digest, transaction)
        assert receipt is not None
        assert chain.token.balance_of(to) == 7
        count = chain.rpc("eth_getTransactionCount", account.address, "latest")
        assert int(count, 16) == 3


def test_a_stuck_transaction_is_replaced_at_a_higher_fee(
    devnet: Devnet,
    account: Signer,
    blocks_by_hand: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Gas becomes dearer than was offered: the same nonce is offered again, and paid once."""
    monkeypatch.setattr(sending, "STUCK_S", 0.0)
    to = Signer.random().address
    with devnet.chain(account) as chain:
        transaction = chain.token.transfer(to, 7)
        digest = chain.submit(transaction)
        devnet._rpc.request("hardhat_setNextBlockBaseFeePerGas", hex(50 * 10**9))
        blocks_by_hand()
        assert chain.receipt(digest, transaction) is None
        blocks_by_hand()
        receipt = chain.receipt(digest, transaction)
        assert receipt is not None
        assert receipt.transaction != digest
        assert receipt.gas_price_wei > 20 * 10**9
        assert chain.token.balance_of(to) == 7
        # A second look finds it too, by its first hash.
        assert int(chain.rpc("eth_getTransactionCount", account.address, "pending"), 16) == 1


def test_gas_dearer_than_the_settings_allow_is_not_paid(
    devnet: Devnet, account: Signer, blocks_by_hand: Callable[[], None]
) -> None:
    """An endpoint that lies about the price of gas empties no wallet."""
    devnet._rpc.request("hardhat_setNextBlockBaseFeePerGas", hex(700 * 10**9))
    blocks_by_hand()
    with (
        Chain(devnet.network, account) as chain,
        pytest.raises(NodeError, match="Gas costs 700 gwei now, more than the 500"),
    ):
        chain.send(chain.token.transfer(account.address, 1))
    devnet._rpc.request("hardhat_setNextBlockBaseFeePerGas", hex(10**9))


def test_a_transaction_whose_nonce_another_took_is_given_up(
    devnet: Devnet,
    account: Signer,
    blocks_by_hand: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It can never be mined: the waiting ends, and says which nonce it was."""
    monkeypatch.setattr(sending, "STUCK_S", 0.0)
    to = Signer.random().address
    with devnet.chain(account) as chain, devnet.chain(account) as other:
        transaction = chain.token.transfer(to, 7)
        digest = chain.submit(transaction)
        rival = other._sender
        assert rival is not None
        made = rival.draft(other.token.transfer(to, 1))
        dearer = sending.Fees(made.fees.base_wei, 10**10, 10**11)
        rival._launch(sending.replace(made, nonce=0, fees=dearer))
        blocks_by_hand()
        looks = [chain.receipt(digest, transaction) for _ in range(2)]
        assert looks == [None, None]
        with pytest.raises(TransactionFailed, match="took its nonce, 0"):
            chain.receipt(digest, transaction)
        assert chain.token.balance_of(to) == 1
