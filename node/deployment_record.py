"""A deployment that can be interrupted anywhere: every transaction is on record before it is sent.

The record is one file, replaced as a whole. It holds the signed transactions themselves, so that
after kill -9 the same ones are offered again: each has one nonce and is mined once. What is found
on the chain is taken over only if it was made by just the bytes that this release would send.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from eth_utils.crypto import keccak
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from node.chain import answers
from node.chain.abi import artifact, interface
from node.chain.answers import Mined
from node.chain.client import RECEIPT_TIMEOUT_S, not_mined
from node.chain.handle import Handle, Transaction
from node.chain.rpc import Call, Reverted, Rpc, RpcError
from node.chain.sender import GAS_PRICE_MAX_WEI, STUCK_S, TIP_WEI, Draft, draft, explain, fees
from node.chain.types import to_abi
from node.errors import BadInput, NodeError
from node.files import read_text, write_atomic
from node.network_file import Address
from node.wallet import Signer

RECORD_BYTES_MAX = 8 << 20
STEPS_MAX = 64
OFFERS_MAX = 16
_Raw = Annotated[str, Field(pattern=r"^0x02([0-9a-f]{2})+$", max_length=1 << 17)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Step(_Strict):
    """One transaction: its nonce, and every signed form in which it was offered."""

    nonce: Annotated[int, Field(ge=0, lt=2**63)]
    offers: Annotated[tuple[_Raw, ...], Field(min_length=1, max_length=OFFERS_MAX)]


class Record(_Strict):
    """What was begun of one deployment. `plan` is the digest of all that it depends on."""

    kind: Literal["deployment-1"] = "deployment-1"
    plan: str
    deployer: Address
    chain_id: int
    start_block: int
    steps: Annotated[dict[str, Step], Field(max_length=STEPS_MAX)] = {}


def read_record(path: Path) -> Record | None:
    """The record at `path`, None if there is none yet; BadInput if the file is no record."""
    if not path.exists():
        return None
    text = read_text(path, "deployment record")
    if len(text) > RECORD_BYTES_MAX:
        raise BadInput(f"The deployment record {path} is larger than {RECORD_BYTES_MAX} bytes.")
    try:
        return Record.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "file"
        raise BadInput(f"{path} is no deployment record: {where}: {first['msg']}.") from None


@dataclass(frozen=True, slots=True)
class Place:
    """Where and as whom to deploy. Without a path the record is kept in memory only."""

    rpc: Rpc
    signer: Signer
    chain_id: int
    poll_s: float
    path: Path | None = None
    gas_price_max_wei: int = GAS_PRICE_MAX_WEI


class Site:
    """Carries out the transactions of a deployment one after the other, or finds them done."""

    def __init__(
        self, place: Place, plan: str, told: Callable[[str], None] = lambda _line: None
    ) -> None:
        self._place, self._rpc, self._told = place, place.rpc, told
        self._record = self._open(plan)
        self._done = 0

    @property
    def start_block(self) -> int:
        """The block before the first transaction."""
        return self._record.start_block

    def create(self, name: str, *arguments: object) -> Handle:
        """Create the contract `name`."""
        encoded = interface(name).encode_constructor([to_abi(a) for a in arguments])
        code = artifact(name).bytecode + encoded
        mined = self._carry_out(Transaction("", code, f"new {name}"))
        if not self._rpc.request("eth_getCode", mined.created, "latest", read=answers.data):
            raise NodeError(f"There is no code at {mined.created}, where {name} should be.")
        return Handle(self._rpc, name, mined.created)

    def call(self, contract: Handle, function: str, *arguments: object) -> None:
        """Call a contract that was created here."""
        self._carry_out(contract.write(function, *arguments))

    # --- The record

    def _open(self, plan: str) -> Record:
        place = self._place
        found = read_record(place.path) if place.path else None
        if found is None:
            start = int(self._rpc.request("eth_blockNumber", read=answers.quantity))
            found = Record(
                plan=plan, deployer=place.signer.address, chain_id=place.chain_id, start_block=start
            )
        if (found.plan, found.chain_id) != (plan, place.chain_id):
            raise BadInput(
                f"The record {place.path} is of a deployment with another configuration, or of "
                "another release.",
                "Undo the change, or name a new record.",
            )
        if found.deployer != place.signer.address:
            raise BadInput(
                f"The record {place.path} is of deployer {found.deployer}, the key is that of "
                f"{place.signer.address}."
            )
        return found

    def _note(self, name: str, step: Step | None) -> None:
        """Make it durable before anything is done about it."""
        steps = {**self._record.steps}
        steps.pop(name, None)
        if step is not None:
            steps[name] = step
        self._record = self._record.model_copy(update={"steps": steps})
        if self._place.path is not None:
            write_atomic(self._place.path, self._record.model_dump_json(indent=1).encode() + b"\n")

    # --- One step

    def _carry_out(self, transaction: Transaction) -> Mined:
        self._done += 1
        name = f"{self._done:02d} {transaction.what}"
        step = self._record.steps.get(name)
        # On record, but its nonce was taken by another transaction: it can never be mined.
        if step is None or self._is_void(step):
            step = self._sign(name, transaction)
        mined = self._find(step) or self._wait(name, step, transaction)
        if not mined.succeeded:
            self._note(name, None)
            raise Reverted(transaction.what, "", {})
        self._require_ours(mined, transaction)
        where = f" at {mined.created}" if mined.created else ""
        self._told(f"{name}{where}, block {mined.block}, gas {mined.gas_used:,}")
        return mined

    def _sign(self, name: str, transaction: Transaction) -> Step:
        sender = self._place.signer.address
        nonce = self._count("pending")
        made = draft(
            self._rpc,
            transaction,
            sender,
            self._place.chain_id,
            nonce,
            TIP_WEI,
            self._place.gas_price_max_wei,
        )
        step = Step(nonce=nonce, offers=(self._raw(made),))
        self._note(name, step)
        return step

    def _wait(self, name: str, step: Step, transaction: Transaction) -> Mined:
        """Offer it, at a higher fee where no block takes it, until it is mined."""
        began_s = offered_s = time.monotonic()
        self._offer(step, transaction)
        while (mined := self._find(step)) is None:
            now_s = time.monotonic()
            if now_s - began_s > RECEIPT_TIMEOUT_S:
                raise not_mined(transaction.what, _digest(step.offers[-1]), RECEIPT_TIMEOUT_S)
            if now_s - offered_s > STUCK_S and len(step.offers) < OFFERS_MAX:
                step, offered_s = self._raise_fee(name, step, transaction), now_s
                self._offer(step, transaction)
            time.sleep(self._place.poll_s)
        return mined

    def _raise_fee(self, name: str, step: Step, transaction: Transaction) -> Step:
        limit_wei = self._place.gas_price_max_wei
        price = fees(self._rpc, TIP_WEI, limit_wei)
        for _ in step.offers:
            price = price.raised(price, limit_wei) or price
        made = draft(
            self._rpc,
            transaction,
            self._place.signer.address,
            self._place.chain_id,
            step.nonce,
            TIP_WEI,
            limit_wei,
        )
        raw = self._raw(replace(made, fees=price))
        raised = Step(nonce=step.nonce, offers=(*step.offers, raw))
        self._note(name, raised)
        return raised

    def _offer(self, step: Step, transaction: Transaction) -> None:
        raw = step.offers[-1]
        try:
            self._rpc.request("eth_sendRawTransaction", raw)
        except RpcError as error:
            known = ("eth_getTransactionByHash", "0x" + _digest(raw).hex())
            if not self._rpc.request(*known, read=answers.is_there):
                raise explain(transaction.what, self._place.signer.address, error) from None

    def _find(self, step: Step) -> Mined | None:
        for raw in step.offers:
            digest = _digest(raw)
            found: Mined | None = self._rpc.request(
                "eth_getTransactionReceipt", "0x" + digest.hex(), read=answers.mined(digest)
            )
            if found is not None:
                return found
        return None

    def _is_void(self, step: Step) -> bool:
        # From one endpoint, so that a count is not believed without the receipts that go with it.
        asked = (self._place.signer.address, "latest")
        calls = [Call("eth_getTransactionCount", asked, answers.quantity)]
        for raw in step.offers:
            digest = _digest(raw)
            shown = ("0x" + digest.hex(),)
            calls.append(Call("eth_getTransactionReceipt", shown, answers.mined(digest)))
        count, *receipts = self._rpc.together(*calls)
        return bool(count > step.nonce) and not any(receipts)

    def _count(self, at: str) -> int:
        asked = ("eth_getTransactionCount", self._place.signer.address, at)
        return int(self._rpc.request(*asked, read=answers.quantity))

    def _raw(self, made: Draft) -> str:
        return "0x" + self._place.signer.sign_transaction(made.fields()).hex()

    def _require_ours(self, mined: Mined, transaction: Transaction) -> None:
        """NodeError unless the chain's transaction is the one that this release would send."""
        found = self._rpc.request(
            "eth_getTransactionByHash", "0x" + mined.transaction.hex(), read=_sent
        )
        if found != (self._place.signer.address, transaction.to, transaction.data):
            raise NodeError(
                f"{transaction.what}: 0x{mined.transaction.hex()} on the chain is another "
                "transaction than this release would send.",
                "The record is of other contracts: name a new one.",
            )


def _digest(raw: str) -> bytes:
    return keccak(bytes.fromhex(raw[2:]))


def _sent(value: Any) -> tuple[str, str, bytes]:
    """Reads sender, receiver (empty for a creation) and data of a transaction."""
    if not isinstance(value, dict):
        raise answers.Behind("it does not have the transaction")
    to = value.get("to")
    return (
        answers.address(value.get("from")),
        answers.address(to) if to else "",
        answers.data(value.get("input")),
    )
