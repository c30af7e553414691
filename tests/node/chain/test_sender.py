"""node/chain/sender.py: what errors about transactions mean; test_client.py has the sending."""

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from node.chain.rpc import Reverted, RpcError
from node.chain.sender import explain
from node.errors import InsufficientFunds

SENDER, OTHER = "0x" + "11" * 20, "0x" + "22" * 20


def lacking(account: str) -> RpcError:
    selector = keccak(text="ERC20InsufficientBalance(address,uint256,uint256)")[:4]
    data = selector + encode(("address", "uint256", "uint256"), (account, 1, 2))
    return RpcError(3, "execution reverted", data)


def test_gas_money_is_the_endpoints_word_alone() -> None:
    """A contract that refuses with the same words says nothing about the sender's money."""
    poor = RpcError(-32000, "insufficient funds for gas * price + value", None)
    words = RpcError(3, "execution reverted: insufficient funds", b"")
    assert isinstance(explain("Escrow.fund", SENDER, poor), InsufficientFunds)
    assert isinstance(explain("Escrow.fund", SENDER, words), Reverted)


def test_too_few_tokens_are_the_senders_alone() -> None:
    """What the distributor has too little of is not what the claimer lacks."""
    own = explain("Escrow.fund", SENDER, lacking(SENDER))
    others = explain("Rewards.claim", SENDER, lacking(OTHER))
    assert isinstance(own, InsufficientFunds)
    assert isinstance(others, Reverted)
    assert others.name == "ERC20InsufficientBalance"
