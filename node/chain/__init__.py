"""The chain as the node sees it: typed calls, typed events, clear failures.

rpc.py          JSON-RPC over several endpoints; the one module that imports web3
endpoints.py    which of them is asked next
answers.py      what they answer, checked
abi.py          contract interfaces from node/artifacts: how calls, events and errors are coded
types.py        the contracts' structs and enums
events.py       the contracts' events
contracts.py    one class per contract, one method per call
erc20.py        any token by its address, which is believed nothing
sender.py       nonces, gas, signing, replacements, receipts
client.py       Chain: all of it for one network and one account
trio_client.py  AsyncChain: the same from trio
"""

from node.chain.answers import Block
from node.chain.client import Chain
from node.chain.rpc import Reverted
from node.chain.sender import Receipt
from node.chain.trio_client import AsyncChain

__all__ = ["AsyncChain", "Block", "Chain", "Receipt", "Reverted"]
