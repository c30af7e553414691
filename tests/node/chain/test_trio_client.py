"""node/chain/trio_client.py: the chain from trio."""

from collections.abc import Callable
from typing import Any

import pytest
import trio

from node.chain import AsyncChain, Reverted
from node.chain.events import Bonded
from node.devnet import Devnet
from node.errors import ChainUnreachable
from node.wallet import Signer

MakeNode = Callable[..., Any]


def test_reads_sends_and_events(make_node: MakeNode) -> None:
    """Twenty tasks share an account and a chain; every transfer arrives once."""
    node = make_node()
    targets = [Signer.random().address for _ in range(20)]

    async def main() -> None:
        chain = AsyncChain(node.chain)
        start = (await chain.head()).number
        async with trio.open_nursery() as nursery:
            for to in targets:
                nursery.start_soon(chain.send, node.chain.token.transfer(to, 3))
        balances = [await chain.read(node.chain.token.balance_of, to) for to in targets]
        assert balances == [3] * 20
        assert await chain.events(0, start, (Bonded,))
        with pytest.raises(Reverted):
            await chain.send(node.chain.vault.withdraw())

    trio.run(main)


def test_waiting_for_a_block_can_be_cancelled(devnet: Devnet, make_node: MakeNode) -> None:
    """A transaction that no block takes pins no thread: cancel and timeout both end the wait."""
    node = make_node(bond_wei=0)

    async def main() -> None:
        chain = AsyncChain(node.chain)
        transaction = node.chain.token.delegate(node.address)
        with trio.move_on_after(0.5) as scope:
            await chain.send(transaction)
        assert scope.cancelled_caught
        with pytest.raises(ChainUnreachable, match="not mined"):
            await chain.send(transaction, timeout_s=0.2)

    devnet._rpc.request("evm_setIntervalMining", 0)
    devnet._rpc.request("evm_setAutomine", False)
    try:
        trio.run(main)
    finally:
        devnet._rpc.request("evm_setAutomine", True)
        devnet._rpc.request("evm_setIntervalMining", 250)
        devnet._rpc.request("evm_mine")
