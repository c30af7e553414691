"""From a prepared transaction to a mined one.

One sender per account owns its nonces: a lock and a counter, read anew from the chain after any
doubt. A signed transaction has one hash, so offering it again after a lost answer is harmless.
Another process that uses the same account may take a nonce first; then the transaction is signed
again with the next.

What is sent is remembered until it is mined. A transaction that no block takes for STUCK_S is
offered again with the same nonce and a higher fee, as pools want it for a replacement; nonces below
it that nobody seems to use (an endpoint told too high a one, or a pool lost a transaction) are
filled with payments of nothing to ourselves. Only one transaction of a nonce is ever mined, so that
no call is carried out twice.
"""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from eth_utils.crypto import keccak

from node.chain import answers
from node.chain.answers import Mined
from node.chain.events import Event
from node.chain.handle import Transaction, refusal
from node.chain.rpc import Call, Reverted, Rpc, RpcError
from node.errors import InsufficientFunds, NodeError, TransactionFailed
from node.wallet import Signer

log = logging.getLogger(__name__)

GAS_MAX = 16_777_216
"""The most gas that a transaction may have since the Osaka upgrade (EIP-7825)."""
GAS_EXTRA = 30_000
FOLLOWING_GAS = 1_000_000
"""For a transaction that is signed before the one that it needs is mined."""
GAS_PRICE_MAX_WEI = 500 * 10**9
"""More than this for a unit of gas is not offered, unless the settings say so."""
STUCK_S = 30.0
"""How long a transaction may wait for a block before it is offered at a higher fee."""
FLIGHTS_MAX = 256
"""Transactions remembered while they wait; older ones are offered no more."""
REPLACEMENTS_MAX = 16
GAP_MAX = 16
_PAYMENT_GAS = 21_000
_DISPLACED_LOOKS = 3
_NONCE_ATTEMPTS = 6
TIP_WEI = 10**9
_TIP_SPREAD_WEI = 10**6
_NONCE_TAKEN = ("nonce too low", "underpriced", "nonce has already", "replacement")
_NONCE_AHEAD = ("nonce too high", "nonce is too high", "nonce gap")
_KNOWN = ("already known", "known transaction", "already imported")
_POOR = ("insufficient funds", "doesn't have enough funds", "does not have enough funds")


@dataclass(frozen=True, slots=True)
class Receipt:
    """A mined, successful transaction with the events of our contracts that it caused."""

    transaction: bytes
    block: int
    gas_used: int
    events: tuple[Event, ...]
    gas_price_wei: int = 0


@dataclass(frozen=True, slots=True)
class Fees:
    """What a unit of gas may cost (EIP-1559), in wei: at most `cap_wei`, of it `tip_wei` as tip."""

    base_wei: int
    tip_wei: int
    cap_wei: int

    def raised(self, now: "Fees", limit_wei: int) -> "Fees | None":
        """Fees for a replacement: an eighth more, or what is due now; None above the limit."""
        tip_wei = max(self.tip_wei + self.tip_wei // 8 + 1, now.tip_wei)
        cap_wei = max(self.cap_wei + self.cap_wei // 8 + 1, now.cap_wei)
        return Fees(now.base_wei, tip_wei, cap_wei) if cap_wei <= limit_wei else None


@dataclass(frozen=True, slots=True)
class Draft:
    """A transaction with everything that is signed: what `--dry-run` shows.

    `estimate` is 0 where it can only be told once the transactions before it are mined.
    """

    transaction: Transaction
    sender: str
    chain_id: int
    nonce: int
    gas: int
    estimate: int
    fees: Fees

    @property
    def likely_wei(self) -> int:
        """What it costs if it uses the gas estimated, at the price of now."""
        return self.estimate * (self.fees.base_wei + self.fees.tip_wei)

    @property
    def most_wei(self) -> int:
        """What it costs at the very most."""
        return self.gas * self.fees.cap_wei

    def fields(self) -> dict[str, int | str]:
        """What is signed, in the names of JSON-RPC."""
        found: dict[str, int | str] = {
            "type": 2,
            "chainId": self.chain_id,
            "nonce": self.nonce,
            "gas": self.gas,
            "maxPriorityFeePerGas": self.fees.tip_wei,
            "maxFeePerGas": self.fees.cap_wei,
            "value": self.transaction.value_wei,
            "data": "0x" + self.transaction.data.hex(),
        }
        if self.transaction.to:
            found["to"] = self.transaction.to
        return found


@dataclass(slots=True)
class _Flight:
    """A transaction that is on its way, under every hash that it was offered with."""

    draft: Draft
    since_s: float
    digests: list[bytes] = field(default_factory=list)
    displaced: int = 0


class Sender:
    """Signs and submits transactions of one account."""

    def __init__(
        self,
        rpc: Rpc,
        signer: Signer,
        chain_id: int,
        gas_price_max_wei: int = GAS_PRICE_MAX_WEI,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rpc = rpc
        self._signer = signer
        self._chain_id = chain_id
        self._gas_price_max_wei = gas_price_max_wei
        self._now_s = now_s
        self._lock = threading.RLock()
        self._nonce: int | None = None
        self._flights: dict[bytes, _Flight] = {}
        # A tip of its own tells this sender's transactions from those of another program that
        # signs the same call with the same key and nonce: equal hashes are its own.
        self._tip_wei = TIP_WEI + secrets.randbelow(_TIP_SPREAD_WEI)

    @property
    def address(self) -> str:
        """The account that pays."""
        return self._signer.address

    def draft(self, transaction: Transaction) -> Draft:
        """The transaction as it would be signed now. What the contract would refuse is refused."""
        with self._lock:
            nonces = self._nonces()
            return draft(
                self._rpc,
                transaction,
                self.address,
                self._chain_id,
                nonces[0],
                self._tip_wei,
                self._gas_price_max_wei,
            )

    def submit(
        self, transaction: Transaction, announce: Callable[[Draft], None] | None = None
    ) -> bytes:
        """Sign and submit; returns the hash. What the contract would refuse is refused here.

        `announce` is told of it before. Raises Reverted, InsufficientFunds, ChainUnreachable.
        """
        with self._lock:
            made = self.draft(transaction)
            if announce is not None:
                announce(made)
            tried = made.nonce - 1
            for _ in range(_NONCE_ATTEMPTS):
                later = [nonce for nonce in self._nonces() if nonce > tried]
                tried = later[0] if later else tried + 1
                try:
                    return self._launch(replace(made, nonce=tried))
                except _NonceTaken:
                    self._nonce = None
                except _NonceAhead:
                    # The pool has lost what we sent before: its count is the one that holds.
                    self._nonce, tried = None, -1
                    self._flights.clear()
                except BaseException:
                    # It may or may not have arrived: ask the chain before the next one.
                    self._nonce = None
                    raise
        raise NodeError(
            f"{transaction.what}: other programs keep using the nonces of {self.address}.",
            "Give each program a wallet of its own.",
        )

    def mined(self, digest: bytes, transaction: Transaction) -> Mined | None:
        """The receipt of a submitted transaction, or of what replaced it; None while there is none.

        Reverted if it failed; TransactionFailed if another transaction took its nonce.
        """
        flight = self._flights.get(digest)
        for each in tuple(flight.digests) if flight else (digest,):
            found: Mined | None = self._rpc.request(
                "eth_getTransactionReceipt", "0x" + each.hex(), read=answers.mined(each)
            )
            if found is not None:
                self._flights.pop(digest, None)
                if not found.succeeded:
                    raise self._reason(transaction, found.block)
                return found
        if flight is not None and self._now_s() - flight.since_s >= STUCK_S:
            self._hasten(flight)
        return None

    def doubt(self) -> None:
        """Ask the chain for the next nonce again, and hurry what waits: blocks were replaced, and
        with them transactions that we counted may be gone.
        """
        with self._lock:
            self._nonce = None
            for flight in self._flights.values():
                flight.since_s = self._now_s() - STUCK_S

    # --- Sending

    def _launch(self, made: Draft) -> bytes:
        raw = self._signer.sign_transaction(made.fields())
        digest = self._offer(raw, made.transaction.what)
        self._nonce = made.nonce + 1
        while len(self._flights) >= FLIGHTS_MAX:
            del self._flights[next(iter(self._flights))]
        self._flights[digest] = _Flight(made, self._now_s(), [digest])
        return digest

    def _nonces(self) -> list[int]:
        """Nonces that may be the next, the least first.

        Endpoints may lag or lie. One that is too low is refused at once, one that is too high
        leaves a gap that nobody notices: so the least that can be true is tried first.
        """
        if self._nonce is None:
            call = Call("eth_getTransactionCount", (self.address, "pending"), answers.quantity)
            told = self._rpc.everywhere(call) or [self._rpc.together(call)[0]]
            ours = [flight.draft.nonce for flight in self._flights.values()]
            least = max(ours, default=-1) + 1
            return sorted({max(nonce, least) for nonce in told})
        return [self._nonce]

    def _offer(self, raw: bytes, what: str) -> bytes:
        digest = keccak(raw)
        try:
            self._rpc.request("eth_sendRawTransaction", "0x" + raw.hex())
        except RpcError as error:
            reason = error.reason.lower()
            if any(text in reason for text in _NONCE_AHEAD):
                raise _NonceAhead from None
            if any(text in reason for text in _NONCE_TAKEN):
                # Taken by this very transaction, if the answer to its first offer was lost.
                if not self._is_known(digest):
                    raise _NonceTaken from None
            elif not any(text in reason for text in _KNOWN):
                raise explain(what, self.address, error) from None
        return digest

    def _is_known(self, digest: bytes) -> bool:
        return bool(
            self._rpc.request(
                "eth_getTransactionByHash", "0x" + digest.hex(), read=answers.is_there
            )
        )

    # --- Waiting

    def _hasten(self, flight: _Flight) -> None:
        """Do what can be done for a transaction that no block takes."""
        with self._lock:
            flight.since_s = self._now_s()
            call = Call("eth_getTransactionCount", (self.address, "latest"), answers.quantity)
            told = self._rpc.everywhere(call) or [self._rpc.together(call)[0]]
            nonce = flight.draft.nonce
            if min(told) > nonce:
                self._note_displaced(flight)
                return
            flight.displaced = 0
            self._replace(flight)
            for gap in range(min(told), min(nonce, min(told) + GAP_MAX)):
                self._fill(gap, flight.draft.fees)

    def _note_displaced(self, flight: _Flight) -> None:
        """All endpoints say that its nonce is used, and it is not mined: it may just be new."""
        flight.displaced += 1
        if flight.displaced < _DISPLACED_LOOKS:
            return
        self._flights.pop(flight.digests[0], None)
        what, nonce = flight.draft.transaction.what, flight.draft.nonce
        raise TransactionFailed(
            f"{what}: another transaction of {self.address} took its nonce, {nonce}.",
            "Look at what it did, then repeat this if it is still wanted.",
        )

    def _replace(self, flight: _Flight) -> None:
        raised = flight.draft.fees.raised(self._fees(), self._gas_price_max_wei)
        if raised is None or len(flight.digests) >= REPLACEMENTS_MAX:
            log.warning("%s waits for cheaper gas", flight.draft.transaction.what)
            return
        flight.draft = replace(flight.draft, fees=raised)
        raw = self._signer.sign_transaction(flight.draft.fields())
        # Remembered before it is offered: an answer may be lost.
        flight.digests.append(keccak(raw))
        log.info("%s is offered again, for more gas money", flight.draft.transaction.what)
        self._offer_softly(raw)

    def _fill(self, nonce: int, fees: Fees) -> None:
        """Use up a nonce that nobody uses; if it was one of ours, by what it was used for."""
        for flight in self._flights.values():
            if flight.draft.nonce == nonce:
                self._replace(flight)
                return
        nothing = Transaction(self.address, b"", "a payment of nothing")
        made = Draft(nothing, self.address, self._chain_id, nonce, _PAYMENT_GAS, _PAYMENT_GAS, fees)
        log.warning(
            "nonce %d of %s is not used: a payment of nothing takes it", nonce, self.address
        )
        self._offer_softly(self._signer.sign_transaction(made.fields()))

    def _offer_softly(self, raw: bytes) -> None:
        """Offer what another transaction of the same nonce may have overtaken."""
        try:
            self._rpc.request("eth_sendRawTransaction", "0x" + raw.hex())
        except RpcError as error:
            log.info("not taken: %s", error.reason)

    def _fees(self) -> Fees:
        return fees(self._rpc, self._tip_wei, self._gas_price_max_wei)

    def _reason(self, transaction: Transaction, block: int) -> Reverted:
        """Why a transaction mined in `block` failed, found by calling it again on that state."""
        try:
            self._rpc.request("eth_call", as_call(transaction, self.address), hex(block))
        except RpcError as error:
            found = refusal(transaction.what, error)
            if isinstance(found, Reverted):
                return found
        return Reverted(transaction.what, "", {})


class _NonceTaken(Exception):
    """The nonce was used by someone else in the meantime."""


class _NonceAhead(Exception):
    """The pool wants a lower nonce first."""


def draft(
    rpc: Rpc,
    transaction: Transaction,
    sender: str,
    chain_id: int,
    nonce: int,
    tip_wei: int = TIP_WEI,
    gas_price_max_wei: int = GAS_PRICE_MAX_WEI,
) -> Draft:
    """A transaction with gas and fees as they are now; Reverted if the contract would refuse it."""
    estimate = estimate_gas(rpc, transaction, sender)
    # The state may change before it is mined: another draw, another entry in a list.
    gas = min(estimate + estimate // 2 + GAS_EXTRA, GAS_MAX)
    price = fees(rpc, tip_wei, gas_price_max_wei)
    return Draft(transaction, sender, chain_id, nonce, gas, estimate, price)


def drafts(
    rpc: Rpc,
    transactions: Sequence[Transaction],
    sender: str,
    chain_id: int,
    nonce: int,
    gas_price_max_wei: int,
) -> list[Draft]:
    """Transactions to be signed together, with nonces from `nonce` on.

    One after the first may need what those before it do: where it would be refused now it gets
    FOLLOWING_GAS, and no estimate.
    """
    made: list[Draft] = []
    for place, transaction in enumerate(transactions):
        try:
            each = draft(
                rpc, transaction, sender, chain_id, nonce + place, TIP_WEI, gas_price_max_wei
            )
        except Reverted:
            if not made:
                raise
            each = replace(
                made[0], transaction=transaction, nonce=nonce + place, gas=FOLLOWING_GAS, estimate=0
            )
        made.append(each)
    return made


def estimate_gas(rpc: Rpc, transaction: Transaction, sender: str) -> int:
    """The gas that it would use now; the error that it would end with."""
    call = as_call(transaction, sender)
    try:
        return int(rpc.request("eth_estimateGas", call, read=answers.quantity))
    except RpcError as error:
        raise explain(transaction.what, sender, error) from None


def fees(rpc: Rpc, tip_wei: int, limit_wei: int) -> Fees:
    """What gas costs now, with room for six full blocks; NodeError above the limit."""
    head = rpc.request("eth_getBlockByNumber", "latest", False, read=answers.block)
    base_wei = head.base_fee_wei
    if base_wei + tip_wei > limit_wei:
        raise NodeError(
            f"Gas costs {base_wei / 10**9:.9g} gwei now, more than the "
            f"{limit_wei / 10**9:.9g} that the settings allow.",
            "Wait, or raise it: `ainur config set gas_price_max_gwei N`.",
        )
    return Fees(base_wei, tip_wei, min(2 * base_wei + tip_wei, limit_wei))


def as_call(transaction: Transaction, sender: str) -> dict[str, str]:
    """The transaction as eth_call and eth_estimateGas want it."""
    call = {
        "from": sender,
        "data": "0x" + transaction.data.hex(),
        "value": hex(transaction.value_wei),
    }
    if transaction.to:
        call["to"] = transaction.to
    return call


def explain(what: str, sender: str, error: RpcError) -> NodeError:
    """What an endpoint's error about a transaction of `sender` means to people."""
    found = refusal(what, error)
    # The words of a refusal are the contract's.
    if not isinstance(found, Reverted) and any(text in error.reason.lower() for text in _POOR):
        return InsufficientFunds(
            f"{sender} cannot pay the gas of {what}.",
            "Send native currency of this chain to it.",
        )
    if not isinstance(found, Reverted) or found.name != "ERC20InsufficientBalance":
        return found
    # Of another account, it is what the contracts hold of a token that has shrunk.
    if found.arguments["sender"] == sender:
        have, need = found.arguments["balance"], found.arguments["needed"]
        return InsufficientFunds(
            f"{sender} has {have} of a token's smallest units; {what} needs {need}.",
            "Send tokens to it, or ask for less.",
        )
    return found
