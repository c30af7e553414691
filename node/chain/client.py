"""Chain: one network seen through one account, or read-only without one. Blocking.

    receipt = chain.send(chain.token.approve(chain.vault.address, amount))
    for event in chain.events(start, chain.head().number): ...

From trio use AsyncChain, which runs these calls in threads.
"""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from eth_abi.exceptions import DecodingError
from eth_utils.crypto import keccak

from node.chain import answers, bonds, money, votes, work
from node.chain.abi import interface
from node.chain.answers import Block, Log, Mined
from node.chain.describe import CONTRACT_NAMES, in_words, names_of
from node.chain.endpoints import EndpointHealth
from node.chain.erc20 import Erc20
from node.chain.event_table import EVENTS, build_event
from node.chain.events import Event, Place
from node.chain.handle import Handle, Transaction, refusal
from node.chain.rpc import AnswerTooLarge, Call, Reverted, Rpc, RpcError
from node.chain.sender import GAS_PRICE_MAX_WEI, Draft, Receipt, Sender, drafts
from node.errors import BadInput, ChainUnreachable, NodeError
from node.network_file import NetworkFile
from node.wallet import Signer

RECEIPT_TIMEOUT_S = 120.0
LOG_BLOCKS_MAX = 2_000
"""Blocks in one request for logs; public endpoints refuse more."""


@dataclass(frozen=True, slots=True)
class Page:
    """The log of our contracts in the blocks up to `last`, as one endpoint has it."""

    last: Block
    logs: tuple[Log, ...]


class Chain:
    """Typed, blocking access to the contracts of `network`, sending as `signer` if there is one.

    `account` is whom drafts are made for where the key is elsewhere.
    """

    def __init__(
        self,
        network: NetworkFile,
        signer: Signer | None = None,
        *,
        poll_s: float = 1.0,
        gas_price_max_wei: int = GAS_PRICE_MAX_WEI,
        account: str = "",
    ) -> None:
        self.network = network
        self._account = signer.address if signer else account
        self._gas_price_max_wei = gas_price_max_wei
        self.poll_s = poll_s
        self._rpc = Rpc(network.rpc_endpoints, network.chain_id)
        self._sender = (
            Sender(self._rpc, signer, network.chain_id, gas_price_max_wei) if signer else None
        )
        handles = {
            field: Handle(self._rpc, CONTRACT_NAMES[field], address)
            for field, address in network.contracts.model_dump().items()
        }
        self.token = money.Token(handles["token"])
        self.parameters = votes.Parameters(handles["parameters"])
        self.vault = bonds.Vault(handles["vault"])
        self.escrow = money.Escrow(handles["escrow"])
        self.ledger = work.Ledger(handles["ledger"])
        self.seat = work.Seat(handles["seat"])
        self.committee = work.Committee(handles["committee"])
        self.rewards = money.Rewards(handles["rewards"])
        self.emission = money.Emission(handles["emission"])
        self.first_bonds = bonds.FirstBonds(handles["first_bonds"])
        self.governor = votes.Governor(handles["governor"])
        self._sources = _sources(handles)
        self._names = names_of(network.contracts.model_dump())

    @property
    def address(self) -> str:
        """The account that sends, or would; BadInput if this chain was opened without one."""
        return self._account or self._require_sender().address

    def balance(self, account: str) -> int:
        """The account's native currency, in wei: what pays for gas."""
        balance = self._rpc.request("eth_getBalance", account, "latest", read=answers.quantity)
        return int(balance)

    def erc20(self, address: str) -> Erc20:
        """Any token, whether the network knows it or not."""
        return Erc20(self._rpc, address)

    def payment(self, to: str, amount_wei: int) -> Transaction:
        """The transaction that sends native currency, not yet sent."""
        return Transaction(to, b"", "the payment", amount_wei)

    def head(self) -> Block:
        """The latest block."""
        found: Block = self._rpc.request(
            "eth_getBlockByNumber", "latest", False, read=answers.block
        )
        return found

    def block(self, number: int) -> Block | None:
        """The block with this number, or None if there is none yet."""
        found: Block | None = self._rpc.request(
            "eth_getBlockByNumber", hex(number), False, read=answers.block_if_any
        )
        return found

    def endpoints(self) -> tuple[EndpointHealth, ...]:
        """How each endpoint does, for people."""
        return self._rpc.health()

    def events(
        self, from_block: int, to_block: int, kinds: Collection[type[Event]] = ()
    ) -> list[Event]:
        """Our contracts' events in the blocks from..to, both included, in chain order.

        `kinds` asks for some classes of events only. Long ranges are asked for in pieces.
        """
        found: list[Event] = []
        start = from_block
        while start <= to_block:
            page = self.page(start, to_block, kinds=kinds)
            found += self.decode(page.logs)
            start = page.last.number + 1
        return found

    def page(
        self,
        from_block: int,
        to_block: int,
        *,
        parent: Block | None = None,
        kinds: Collection[type[Event]] = (),
    ) -> Page:
        """The log from `from_block` on, up to `to_block` or less if an endpoint cannot give it all.

        All of it comes from one endpoint that has the last of these blocks and, if `parent` is
        given, has that very block before them; ChainReplaced if none has it any more.
        """
        span = min(LOG_BLOCKS_MAX, to_block - from_block + 1)
        while True:
            try:
                return self._page(from_block, from_block + span - 1, parent, kinds)
            except (RpcError, AnswerTooLarge):
                if span == 1:
                    raise
                # "Too many results" has no common code: ask for less and see.
                span = max(1, span // 4)

    def decode(self, logs: Sequence[Log]) -> list[Event]:
        """The events of our contracts among these entries, in the order given."""
        return [event for log in logs if (event := self._decode_log(log)) is not None]

    def drafts(self, transactions: Sequence[Transaction]) -> list[Draft]:
        """What would be signed for these transactions, one after the other, if it were now."""
        call = ("eth_getTransactionCount", self.address, "pending")
        nonce = int(self._rpc.request(*call, read=answers.quantity))
        return drafts(
            self._rpc,
            transactions,
            self.address,
            self.network.chain_id,
            nonce,
            self._gas_price_max_wei,
        )

    def in_words(self, transaction: Transaction) -> str:
        """What a transaction does, decoded from its bytes, for people."""
        return self.words(transaction.to, transaction.data, transaction.value_wei)

    def words(self, to: str, data: bytes, value_wei: int = 0) -> str:
        """The same of a call that is no transaction yet."""
        return in_words(self._names, to, data, value_wei)

    def broadcast(self, raw: bytes, what: str) -> Receipt:
        """Offer what was signed elsewhere, again if it was before, and wait until it is mined."""
        digest = keccak(raw)
        try:
            self._rpc.request("eth_sendRawTransaction", "0x" + raw.hex())
        except RpcError as error:
            known = ("eth_getTransactionByHash", "0x" + digest.hex())
            if not self._rpc.request(*known, read=answers.is_there):
                raise refusal(what, error) from None
        give_up = time.monotonic() + RECEIPT_TIMEOUT_S
        while True:
            found: Mined | None = self._rpc.request(
                "eth_getTransactionReceipt", "0x" + digest.hex(), read=answers.mined(digest)
            )
            if found is not None:
                break
            if time.monotonic() > give_up:
                raise not_mined(what, digest, RECEIPT_TIMEOUT_S)
            time.sleep(self.poll_s)
        if not found.succeeded:
            raise Reverted(what, "", {})
        return self._receipt_of(found)

    def send(
        self,
        transaction: Transaction,
        *,
        timeout_s: float = RECEIPT_TIMEOUT_S,
        announce: Callable[[Draft], None] | None = None,
    ) -> Receipt:
        """Submit and wait until it is mined. Raises Reverted if the contract refuses.

        `announce` is told what will be signed, with gas and cost, before it is.
        """
        digest = self._require_sender().submit(transaction, announce)
        give_up = time.monotonic() + timeout_s
        while (receipt := self.receipt(digest, transaction)) is None:
            if time.monotonic() > give_up:
                raise not_mined(transaction.what, digest, timeout_s)
            time.sleep(self.poll_s)
        return receipt

    def submit(self, transaction: Transaction) -> bytes:
        """Sign and submit without waiting; returns the transaction's hash."""
        return self._require_sender().submit(transaction)

    def receipt(self, digest: bytes, transaction: Transaction) -> Receipt | None:
        """The receipt of a submitted transaction, None while it is not mined. Reverted if it
        failed.
        """
        mined = self._require_sender().mined(digest, transaction)
        if mined is None:
            return None
        return self._receipt_of(mined)

    def _receipt_of(self, mined: Mined) -> Receipt:
        return Receipt(
            mined.transaction,
            mined.block,
            mined.gas_used,
            tuple(self.decode(mined.logs)),
            mined.gas_price_wei,
        )

    def simulate(self, transaction: Transaction, sender: str) -> None:
        """Try `transaction` as if `sender` sent it now; Reverted if it would be refused."""
        call = {
            "from": sender,
            "to": transaction.to,
            "data": "0x" + transaction.data.hex(),
            "value": hex(transaction.value_wei),
        }
        try:
            self._rpc.request("eth_call", call, "latest")
        except RpcError as error:
            raise refusal(transaction.what, error) from None

    def rpc(self, method: str, *parameters: object) -> Any:
        """Any JSON-RPC method of the endpoint, such as a devnet's time travel."""
        return self._rpc.request(method, *parameters)

    def close(self) -> None:
        """Close the connections."""
        self._rpc.close()

    def __enter__(self) -> "Chain":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def doubt_nonces(self) -> None:
        """The chain has replaced blocks: what was sent may be in none of them any more."""
        if self._sender is not None:
            self._sender.doubt()

    def _require_sender(self) -> Sender:
        if self._sender is None:
            raise BadInput("This needs a wallet, and the chain was opened without one.")
        return self._sender

    def _page(
        self, start: int, stop: int, parent: Block | None, kinds: Collection[type[Event]]
    ) -> Page:
        sources = {
            address: {t: kind for t, kind in topics.items() if not kinds or kind in kinds}
            for address, topics in self._sources.items()
        }
        query = {
            "fromBlock": hex(start),
            "toBlock": hex(stop),
            "address": [address for address, topics in sources.items() if topics],
            "topics": [sorted({"0x" + t.hex() for topics in sources.values() for t in topics})],
        }
        # The blocks are asked for before the log: if the chain is replaced in between, their
        # hashes are the old ones, and the next page finds out.
        calls = [_block_call(stop)]
        if parent is not None:
            calls.append(_block_call(parent.number, parent.hash))
        calls.append(Call("eth_getLogs", (query,), answers.logs_between(start, stop)))
        last, *_, logs = self._rpc.together(*calls)
        return Page(last, logs)

    def _decode_log(self, log: Log) -> Event | None:
        known = self._sources.get(log.address)
        kind = known.get(log.topics[0]) if known and log.topics else None
        if kind is None:
            return None
        contract = _CONTRACT_OF[kind]
        try:
            decoded = interface(contract).decode_event(log.topics, log.data)
        except (DecodingError, ValueError):
            raise NodeError(f"The event {kind.__name__} of {contract} is malformed.") from None
        assert decoded is not None
        return build_event(kind, Place(log.block, log.index, log.transaction), decoded[1])


def _block_call(number: int, hash: bytes = b"") -> Call:
    parameters = (hex(number), False)
    return Call("eth_getBlockByNumber", parameters, answers.block_numbered(number, hash))


def not_mined(what: str, digest: bytes, timeout_s: float) -> ChainUnreachable:
    """The error for a transaction that no block has taken in time."""
    return ChainUnreachable(
        f"{what} (0x{digest.hex()}) was not mined within {timeout_s:.0f} s.",
        "It may still be mined: look it up before you repeat it.",
    )


_CONTRACT_OF = {kind: CONTRACT_NAMES[field] for field, kinds in EVENTS.items() for kind in kinds}


def _sources(handles: dict[str, Handle]) -> dict[str, dict[bytes, type[Event]]]:
    """By address and first topic: the class of every event that we follow."""
    return {
        handles[field].address: {
            interface(CONTRACT_NAMES[field]).topic(kind.__name__): kind for kind in kinds
        }
        for field, kinds in EVENTS.items()
    }
