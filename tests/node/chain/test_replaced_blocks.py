"""Following a real chain that replaces blocks, a follower that is killed, an endpoint that lags."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from node.chain import AsyncChain, Chain
from node.chain.rpc import ChainReplaced
from node.chain_watch import ChainWatch
from node.deployment import AIN
from node.devnet import Devnet
from node.event_cache import EventCache, network_key
from node.ledger import Ledger
from node.network_file import NetworkFile, save_network

CHILD = Path(__file__).parents[1] / "children" / "follower.py"


@pytest.fixture
def quiet_chain(devnet: Devnet) -> Iterator[None]:
    """No blocks but those of transactions, so that tests know what follows what."""
    devnet._rpc.request("evm_setIntervalMining", 0)
    yield
    devnet._rpc.request("evm_setIntervalMining", 250)


def bond_of(ledger: Ledger, account: str) -> int:
    return ledger.tally(account).bond_wei


async def follow(watch: ChainWatch) -> None:
    """Look until there is nothing new, taking back what the chain has replaced."""
    while True:
        try:
            if not await watch._look():
                return
        except ChainReplaced:
            await watch._take_back()


def fresh(network: NetworkFile) -> Ledger:
    """What somebody who begins now sees."""
    with Chain(network) as chain:
        watch = ChainWatch(AsyncChain(chain), network.deployment_block, 0.01)
        trio.run(follow, watch)
    return watch.ledger


def same(one: Ledger, other: Ledger) -> bool:
    return one.accounts == other.accounts and one.jobs == other.jobs and one.units == other.units


@pytest.mark.parametrize("cached", [True, False])
def test_an_event_that_vanishes_is_undone(
    devnet: Devnet,
    make_node: Callable[..., Any],
    quiet_chain: None,
    tmp_path: Path,
    cached: bool,
) -> None:
    """A bond in blocks that the chain replaces by others never was; what replaced it counts."""
    node = make_node(bond_wei=0)
    chain, network = node.chain, devnet.network
    chain.send(chain.token.approve(chain.vault.address, 900 * AIN))
    chain.send(chain.vault.bond(100 * AIN, b"peer"))
    cache = EventCache(tmp_path / "events.db", network_key(network)) if cached else None
    watch = ChainWatch(AsyncChain(chain), network.deployment_block, 0.01, cache=cache)
    trio.run(follow, watch)
    assert bond_of(watch.ledger, node.address) == 100 * AIN

    before = devnet._rpc.request("evm_snapshot")
    for _ in range(3):
        chain.send(chain.vault.bond(50 * AIN, b"peer"))
        trio.run(follow, watch)
    assert bond_of(watch.ledger, node.address) == 250 * AIN
    assert devnet._rpc.request("evm_revert", before)
    for _ in range(4):
        chain.send(chain.vault.bond(7 * AIN, b"peer"))
    trio.run(follow, watch)

    assert watch.undone == 1
    assert bond_of(watch.ledger, node.address) == 128 * AIN
    assert same(watch.ledger, fresh(network))
    if cache is not None:
        cache.close()


def test_nonces_of_transactions_that_vanished_are_used_again(
    devnet: Devnet, make_node: Callable[..., Any], quiet_chain: None
) -> None:
    """Else the next transaction waits behind a gap in the pool until it counts as stuck."""
    node = make_node(bond_wei=0)
    chain = node.chain
    watch = ChainWatch(AsyncChain(chain), devnet.network.deployment_block, 0.01)
    before = devnet._rpc.request("evm_snapshot")
    chain.send(chain.token.approve(chain.vault.address, 900 * AIN))
    trio.run(follow, watch)
    assert devnet._rpc.request("evm_revert", before)
    for _ in range(3):
        devnet.fund(node.address)
    sent: list[int] = []
    launch = chain._sender._launch
    chain._sender._launch = lambda made: (sent.append(made.nonce), launch(made))[1]
    trio.run(follow, watch)
    assert watch.undone == 1
    chain.send(chain.token.approve(chain.vault.address, 900 * AIN))
    assert sent == [0]


def test_a_follower_killed_at_any_time_goes_on_where_it_was(
    hostile: Any, devnet: Devnet, make_node: Callable[..., Any], tmp_path: Path
) -> None:
    """kill -9 between two pages: nothing is read twice, nothing is left out."""
    make_node()
    network = hostile.network()
    save_network(tmp_path / "network.json", network)
    path = tmp_path / "events.db"
    child = subprocess.Popen(
        [sys.executable, CHILD, tmp_path / "network.json", path],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert child.stdout is not None
    first = network.deployment_block
    while int(child.stdout.readline()) < first + 6:
        pass
    child.kill()
    child.wait()
    child.stdout.close()

    hostile.does()
    with Chain(network) as chain, EventCache(path, network_key(network)) as cache:
        stood = cache.marks()[0].number
        assert stood >= first + 6
        watch = ChainWatch(AsyncChain(chain), first, 0.01, cache=cache)
        watch._fold_cache()
        trio.run(follow, watch)
    asked = [int(query["fromBlock"], 16) for (query,) in hostile.asked("eth_getLogs")]
    assert min(asked) == stood + 1
    assert same(watch.ledger, fresh(network))

    path.unlink()
    with Chain(network) as chain, EventCache(path, network_key(network)) as cache:
        again = ChainWatch(AsyncChain(chain), first, 0.01, cache=cache)
        again._fold_cache()
        trio.run(follow, again)
    assert same(again.ledger, fresh(network))


def test_an_endpoint_that_lags_hides_no_event(
    hostile: Any, devnet: Devnet, make_node: Callable[..., Any], quiet_chain: None
) -> None:
    """It tells of an old head: the follower waits for it, and then has everything."""
    network = hostile.network()
    with Chain(network) as chain:
        watch = ChainWatch(AsyncChain(chain), network.deployment_block, 0.01)
        trio.run(follow, watch)
        head = watch.ledger.head
        hostile.does({"fault": "stale", "blocks": 3, "method": "eth_getBlockByNumber"})
        node = make_node()
        trio.run(follow, watch)
        assert watch.ledger.head < int(chain.rpc("eth_blockNumber"), 16)
        hostile.does()
        trio.run(follow, watch)
    assert watch.ledger.head > head
    assert watch.undone == 0
    assert bond_of(watch.ledger, node.address) == 500 * AIN
    assert same(watch.ledger, fresh(devnet.network))
