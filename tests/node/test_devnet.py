"""node/devnet.py: a chain that is funded, bonded, travels in time and can be kept."""

import time
from pathlib import Path

import pytest

from node.devnet import PASSWORD, Devnet
from node.errors import NodeError
from node.identity import load_seed, peer_id_bytes
from node.network_file import load_network
from node.wallet import find_wallet, unlock


def test_home_is_funded_bonded_and_ready(devnet: Devnet, tmp_path: Path) -> None:
    """A home made for the devnet has everything that a daemon needs."""
    home = devnet.home(tmp_path / "n1", bond_wei=150 * 10**18, tokens_wei=200 * 10**18)
    account = find_wallet(home.wallets, "default").address
    assert load_network(home.network) == devnet.network
    with devnet.chain() as chain:
        assert chain.token.balance_of(account) == 50 * 10**18
        assert chain.vault.peer_id_of(account) == peer_id_bytes(load_seed(home.peer_key))
        assert chain.vault.is_active(account)
    with devnet.chain(unlock(find_wallet(home.wallets, "default"), PASSWORD)) as mine:
        # Nobody runs this node: leave the list that auditors of other tests are drawn from.
        mine.send(mine.vault.request_unbond(150 * 10**18))


def test_time_travel_moves_the_clock(devnet: Devnet) -> None:
    """The next block is that much later; nothing waited."""
    with devnet.chain() as chain:
        before = chain.head().timestamp
        started = time.monotonic()
        assert devnet.travel(3600).timestamp >= before + 3600
        assert time.monotonic() - started < 10


def test_dead_chain_is_reported(devnet: Devnet) -> None:
    """A chain that ended is an error with its last words, not a hang."""
    with pytest.raises(NodeError, match="ended at once"):
        Devnet(port=int(devnet.endpoint.rsplit(":", 1)[1]))
