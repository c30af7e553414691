"""From a prepared transaction to a mined one.

One sender per account owns its nonces: a lock and a counter, read anew from the chain after any
doubt. A signed transaction has one hash, so offering it again after a lost answer is harmless.
Another process that uses the same account may take a nonce first; then the transaction is signed
again with the next.
"""

import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eth_utils.crypto import keccak

from node.chain.events import Event
from node.chain.handle import Transaction, refusal
from node.chain.rpc import Reverted, Rpc, RpcError
from node.errors import InsufficientFunds, NodeError
from node.wallet import Signer

GAS_MAX = 16_777_216
"""The most gas that a transaction may have since the Osaka upgrade (EIP-7825)."""
GAS_EXTRA = 30_000
_NONCE_ATTEMPTS = 4
_TIP_WEI = 10**9
_TIP_SPREAD_WEI = 10**6
_NONCE_TAKEN = ("nonce too low", "replacement transaction underpriced", "nonce has already")
_KNOWN = ("already known", "known transaction", "already imported")
_POOR = ("insufficient funds", "doesn't have enough funds", "does not have enough funds")


@dataclass(frozen=True, slots=True)
class Receipt:
    """A mined, successful transaction with the events of our contracts that it caused."""

    transaction: bytes
    block: int
    gas_used: int
    events: tuple[Event, ...]


class Sender:
    """Signs and submits transactions of one account."""

    def __init__(self, rpc: Rpc, signer: Signer, chain_id: int) -> None:
        self._rpc = rpc
        self._signer = signer
        self._chain_id = chain_id
        self._lock = threading.Lock()
        self._nonce: int | None = None
        # A tip of its own tells this sender's transactions from those of another program that
        # signs the same call with the same key and nonce: equal hashes are its own.
        self._tip_wei = _TIP_WEI + secrets.randbelow(_TIP_SPREAD_WEI)

    @property
    def address(self) -> str:
        """The account that pays."""
        return self._signer.address

    def submit(self, transaction: Transaction) -> bytes:
        """Sign and submit; returns the hash. What the contract would refuse is refused here.

        Raises Reverted, InsufficientFunds, ChainUnreachable.
        """
        with self._lock:
            gas = self._estimate(transaction)
            for _ in range(_NONCE_ATTEMPTS):
                nonce = self._next_nonce()
                raw = self._signer.sign_transaction(self._fields(transaction, gas, nonce))
                try:
                    digest = self._offer(raw, transaction.what)
                except _NonceTaken:
                    self._nonce = None
                    continue
                except BaseException:
                    # It may or may not have arrived: ask the chain before the next one.
                    self._nonce = None
                    raise
                self._nonce = nonce + 1
                return digest
        raise NodeError(
            f"{transaction.what}: other programs keep using the nonces of {self.address}.",
            "Give each program a wallet of its own.",
        )

    def mined(self, digest: bytes, transaction: Transaction) -> Mapping[str, Any] | None:
        """The raw receipt of a submitted transaction, None while there is none. Reverted if it
        failed.
        """
        receipt = self._rpc.request("eth_getTransactionReceipt", "0x" + digest.hex())
        if receipt is not None and int(receipt["status"], 16) != 1:
            raise self._reason(transaction, int(receipt["blockNumber"], 16))
        return receipt  # type: ignore[no-any-return]

    def _reason(self, transaction: Transaction, block: int) -> Reverted:
        """Why a transaction mined in `block` failed, found by calling it again on that state."""
        call = self._call(transaction)
        try:
            self._rpc.request("eth_call", call, hex(block))
        except RpcError as error:
            found = refusal(transaction.what, error)
            if isinstance(found, Reverted):
                return found
        return Reverted(transaction.what, "", {})

    def _estimate(self, transaction: Transaction) -> int:
        try:
            estimate = int(self._rpc.request("eth_estimateGas", self._call(transaction)), 16)
        except RpcError as error:
            raise self._explain(transaction.what, error) from None
        # The state may change before it is mined: another draw, another entry in a list.
        return min(estimate + estimate // 2 + GAS_EXTRA, GAS_MAX)

    def _next_nonce(self) -> int:
        if self._nonce is None:
            answer = self._rpc.request("eth_getTransactionCount", self.address, "pending")
            self._nonce = int(answer, 16)
        return self._nonce

    def _fields(self, transaction: Transaction, gas: int, nonce: int) -> dict[str, int | str]:
        base = int(self._rpc.request("eth_getBlockByNumber", "latest", False)["baseFeePerGas"], 16)
        fields: dict[str, int | str] = {
            "type": 2,
            "chainId": self._chain_id,
            "nonce": nonce,
            "gas": gas,
            "maxPriorityFeePerGas": self._tip_wei,
            "maxFeePerGas": 2 * base + self._tip_wei,
            "value": transaction.value_wei,
            "data": "0x" + transaction.data.hex(),
        }
        if transaction.to:
            fields["to"] = transaction.to
        return fields

    def _offer(self, raw: bytes, what: str) -> bytes:
        digest = keccak(raw)
        try:
            self._rpc.request("eth_sendRawTransaction", "0x" + raw.hex())
        except RpcError as error:
            reason = error.reason.lower()
            if any(text in reason for text in _NONCE_TAKEN):
                # Taken by this very transaction, if the answer to its first offer was lost.
                if self._rpc.request("eth_getTransactionByHash", "0x" + digest.hex()) is None:
                    raise _NonceTaken from None
            elif not any(text in reason for text in _KNOWN):
                raise self._explain(what, error) from None
        return digest

    def _explain(self, what: str, error: RpcError) -> NodeError:
        if any(text in error.reason.lower() for text in _POOR):
            return InsufficientFunds(
                f"{self.address} cannot pay the gas of {what}.",
                "Send native currency of this chain to it.",
            )
        found = refusal(what, error)
        if isinstance(found, Reverted) and found.name == "ERC20InsufficientBalance":
            have, need = found.arguments["balance"], found.arguments["needed"]
            return InsufficientFunds(
                f"{found.arguments['sender']} has {have} wei of AIN; {what} needs {need}.",
                "Send tokens to it, or ask for less.",
            )
        return found

    def _call(self, transaction: Transaction) -> dict[str, str]:
        call = {
            "from": self.address,
            "data": "0x" + transaction.data.hex(),
            "value": hex(transaction.value_wei),
        }
        if transaction.to:
            call["to"] = transaction.to
        return call


class _NonceTaken(Exception):
    """The nonce was used by someone else in the meantime."""
