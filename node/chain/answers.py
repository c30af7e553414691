"""What endpoints answer, checked before it is used: pure readers of JSON-RPC values.

An endpoint is a stranger. Each reader takes a decoded JSON value and gives a typed one, or raises
`Nonsense` with a reason that people can read: the request then goes to the next endpoint.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from eth_utils.address import to_checksum_address

LOGS_MAX = 100_000
LOG_TOPICS_MAX = 4
_QUANTITY = re.compile(r"0x[0-9a-fA-F]{1,64}")
_DATA = re.compile(r"0x([0-9a-fA-F]{2})*")

Reader = Callable[[Any], Any]


class Nonsense(ValueError):
    """An endpoint's answer is not what was asked for."""


class OtherFork(Nonsense):
    """The endpoint's chain does not have a block that was seen before."""


class Behind(Nonsense):
    """The endpoint does not have a block yet, or no more, that the chain has."""


@dataclass(frozen=True, slots=True)
class Block:
    """A block's number, time (Unix seconds), hash, and price of gas in wei."""

    number: int
    timestamp: int
    hash: bytes = b""
    base_fee_wei: int = 0


@dataclass(frozen=True, slots=True)
class Log:
    """One entry of the chain's log, not decoded."""

    address: str
    topics: tuple[bytes, ...]
    data: bytes
    block: int
    index: int
    transaction: bytes


@dataclass(frozen=True, slots=True)
class Mined:
    """What an endpoint says of a mined transaction."""

    transaction: bytes
    succeeded: bool
    block: int
    gas_used: int
    gas_price_wei: int
    created: str
    """The address of the contract that it created, empty if it created none."""
    logs: tuple[Log, ...]


def quantity(value: Any) -> int:
    """A number: 0x and at most 64 hexadecimal digits."""
    if not isinstance(value, str) or not _QUANTITY.fullmatch(value):
        raise Nonsense(f"its answer {_short(value)} is no number")
    return int(value, 16)


def data(value: Any) -> bytes:
    """Bytes: 0x and an even number of hexadecimal digits."""
    if not isinstance(value, str) or not _DATA.fullmatch(value):
        raise Nonsense(f"its answer {_short(value)} is no bytes")
    return bytes.fromhex(value[2:])


def hash_(value: Any) -> bytes:
    """32 bytes."""
    found = data(value)
    if len(found) != 32:
        raise Nonsense(f"its answer {_short(value)} is no hash")
    return found


def address(value: Any) -> str:
    """A checksummed address."""
    found = data(value)
    if len(found) != 20:
        raise Nonsense(f"its answer {_short(value)} is no address")
    return str(to_checksum_address(found))


def block(value: Any) -> Block:
    """A block's header; Behind if there is none."""
    if value is None:
        raise Behind("it does not have the block")
    fields = _fields(value, "a block")
    return Block(
        quantity(fields.get("number")),
        quantity(fields.get("timestamp")),
        hash_(fields.get("hash")),
        quantity(fields.get("baseFeePerGas", "0x0")),
    )


def block_if_any(value: Any) -> Block | None:
    """A block's header, None if there is none."""
    return None if value is None else block(value)


def is_there(value: Any) -> bool:
    """Whether the endpoint has what was asked for."""
    return value is not None


def block_numbered(number: int, hash: bytes = b"") -> Callable[[Any], Block]:
    """Reads the block with this number; OtherFork if it has not the hash given."""

    def read(value: Any) -> Block:
        found = block(value)
        if found.number != number:
            raise Nonsense(f"it gave block {found.number} for block {number}")
        if hash and found.hash != hash:
            raise OtherFork(f"its block {number} is another one")
        return found

    return read


def mined(digest: bytes) -> Callable[[Any], Mined | None]:
    """Reads the receipt of the transaction `digest`, None while it is not mined."""

    def read(value: Any) -> Mined | None:
        if value is None:
            return None
        fields = _fields(value, "a receipt")
        if hash_(fields.get("transactionHash")) != digest:
            raise Nonsense("it gave the receipt of another transaction")
        created = fields.get("contractAddress")
        return Mined(
            digest,
            quantity(fields.get("status")) == 1,
            quantity(fields.get("blockNumber")),
            quantity(fields.get("gasUsed")),
            quantity(fields.get("effectiveGasPrice", "0x0")),
            address(created) if created else "",
            _logs(fields.get("logs")),
        )

    return read


def logs_between(start: int, stop: int) -> Callable[[Any], tuple[Log, ...]]:
    """Reads the log of the blocks start..stop, in the order of the chain."""

    def read(value: Any) -> tuple[Log, ...]:
        found = sorted(_logs(value), key=lambda log: (log.block, log.index))
        if found and not (start <= found[0].block and found[-1].block <= stop):
            raise Nonsense(f"its log of blocks {start} to {stop} has others")
        places = [(log.block, log.index) for log in found]
        if len(set(places)) != len(places):
            raise Nonsense(f"its log of blocks {start} to {stop} has two entries in one place")
        return tuple(found)

    return read


def _logs(value: Any) -> tuple[Log, ...]:
    if not isinstance(value, list) or len(value) > LOGS_MAX:
        raise Nonsense("its answer is no list of log entries")
    fields = (_fields(entry, "a log entry") for entry in value)
    return tuple(_log(each) for each in fields if not each.get("removed"))


def _log(fields: dict[str, Any]) -> Log:
    topics = fields.get("topics")
    if not isinstance(topics, list) or len(topics) > LOG_TOPICS_MAX:
        raise Nonsense(f"its answer {_short(topics)} is no list of topics")
    return Log(
        address(fields.get("address")),
        tuple(hash_(topic) for topic in topics),
        data(fields.get("data")),
        quantity(fields.get("blockNumber")),
        quantity(fields.get("logIndex")),
        hash_(fields.get("transactionHash")),
    )


def _fields(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Nonsense(f"its answer {_short(value)} is not {what}")
    return value


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
