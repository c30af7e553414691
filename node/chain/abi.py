"""Contract interfaces: how calls, return values, events and errors are coded as bytes.

Owns the files node/artifacts/*.json (abi and bytecode, built from contracts/). Values go in and
come out as plain Python: ints, checksummed address strings, bytes, tuples. Structs and events
become typed in types.py and events.py.
"""

import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError
from eth_utils.abi import collapse_if_tuple, event_abi_to_log_topic, function_abi_to_4byte_selector
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

SELECTOR_BYTES = 4
_ERROR_TEXT = bytes.fromhex("08c379a0")  # Error(string)
_PANIC = bytes.fromhex("4e487b71")  # Panic(uint256)
_PANICS = {0x01: "assertion", 0x11: "overflow", 0x12: "division by zero", 0x32: "index"}

Entry = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Artifact:
    """A compiled contract: its interface and the code that creates it."""

    name: str
    abi: tuple[Entry, ...]
    bytecode: bytes


@dataclass(frozen=True, slots=True)
class Interface:
    """The calls and events of one contract."""

    name: str
    functions: Mapping[tuple[str, int], Entry]
    events: Mapping[bytes, Entry]
    constructor: tuple[str, ...]

    def encode_call(self, function: str, arguments: Sequence[object]) -> bytes:
        """The calldata of `function(*arguments)`."""
        entry = self.functions[function, len(arguments)]
        return function_abi_to_4byte_selector(_abi(entry)) + encode(
            _types(entry["inputs"]), arguments
        )

    def decode_result(self, function: str, count: int, data: bytes) -> tuple[Any, ...]:
        """The values that `function` (with `count` arguments) returned."""
        outputs = self.functions[function, count]["outputs"]
        values = decode(_types(outputs), data)
        return tuple(_normal(o, value) for o, value in zip(outputs, values, strict=True))

    def decode_call(self, data: bytes) -> tuple[str, dict[str, Any]] | None:
        """Name and arguments of a call from its calldata; None if it is not one of ours."""
        for entry in self.functions.values():
            if function_abi_to_4byte_selector(_abi(entry)) == data[:SELECTOR_BYTES]:
                inputs = entry["inputs"]
                try:
                    values = decode(_types(inputs), data[SELECTOR_BYTES:])
                except (DecodingError, OverflowError, ValueError):
                    return None
                pairs = enumerate(zip(inputs, values, strict=True))
                return entry["name"], {
                    i["name"] or str(place): _normal(i, value) for place, (i, value) in pairs
                }
        return None

    def encode_constructor(self, arguments: Sequence[object]) -> bytes:
        """The constructor's arguments, to be appended to the bytecode."""
        return encode(self.constructor, arguments)

    def decode_event(
        self, topics: Sequence[bytes], data: bytes
    ) -> tuple[str, tuple[Any, ...]] | None:
        """An event's name and values in the order of its declaration; None if it is unknown."""
        entry = self.events.get(topics[0]) if topics else None
        if entry is None:
            return None
        inputs = entry["inputs"]
        plain = [i for i in inputs if not i["indexed"]]
        indexed = [i for i in inputs if i["indexed"]]
        from_data = iter(decode(_types(plain), data))
        from_topics = iter(
            decode((i["type"],), topic)[0] for i, topic in zip(indexed, topics[1:], strict=True)
        )
        values = ((i, next(from_topics if i["indexed"] else from_data)) for i in inputs)
        return entry["name"], tuple(_normal(i, value) for i, value in values)

    def topic(self, event: str) -> bytes:
        """The first topic of the event called `event`."""
        return next(t for t, entry in self.events.items() if entry["name"] == event)


@functools.cache
def artifact(name: str) -> Artifact:
    """The compiled contract called `name`, from the files that travel with the package."""
    text = files("node").joinpath("artifacts", f"{name}.json").read_text(encoding="utf-8")
    document = json.loads(text)
    code = bytes.fromhex(document["bytecode"].removeprefix("0x"))
    return Artifact(name, tuple(document["abi"]), code)


@functools.cache
def interface(name: str) -> Interface:
    """The interface of the contract called `name`."""
    abi = artifact(name).abi
    functions = {(e["name"], len(e["inputs"])): e for e in abi if e["type"] == "function"}
    events = {bytes(event_abi_to_log_topic(_abi(e))): e for e in abi if e["type"] == "event"}
    built = next((_types(e["inputs"]) for e in abi if e["type"] == "constructor"), ())
    return Interface(name, functions, events, built)


def decode_error(data: bytes | None) -> tuple[str, dict[str, Any]]:
    """Name and arguments of the error in a revert's bytes; the name is empty if there is none.

    Any contract may have written them, a job's token too: what cannot be read is the selector.
    """
    if not data or len(data) < SELECTOR_BYTES:
        return "", {}
    selector, body = data[:SELECTOR_BYTES], data[SELECTOR_BYTES:]
    try:
        if selector == _ERROR_TEXT:
            return "Error", {"reason": decode(("string",), body)[0]}
        if selector == _PANIC:
            code = decode(("uint256",), body)[0]
            return "Panic", {"code": _PANICS.get(code, code)}
        entry = _errors().get(selector)
        if entry is None:
            return f"0x{selector.hex()}", {}
        inputs = entry["inputs"]
        values = decode(_types(inputs), body)
    except (DecodingError, OverflowError, ValueError):
        return f"0x{selector.hex()}", {}
    return entry["name"], {
        i["name"]: _normal(i, value) for i, value in zip(inputs, values, strict=True)
    }


@functools.cache
def _errors() -> Mapping[bytes, Entry]:
    # Errors cross contracts (a token's error reaches a caller of the escrow), so all are known.
    found: dict[bytes, Entry] = {}
    for file in files("node").joinpath("artifacts").iterdir():
        if file.name.endswith(".json"):
            for entry in artifact(file.name.removesuffix(".json")).abi:
                if entry["type"] == "error":
                    signature = f"{entry['name']}({','.join(_types(entry['inputs']))})"
                    found[keccak(text=signature)[:SELECTOR_BYTES]] = entry
    return found


def _types(parameters: Iterable[Entry]) -> tuple[str, ...]:
    return tuple(collapse_if_tuple(_abi(p)) for p in parameters)


def _abi(entry: Entry) -> Any:
    # eth_utils types its ABI entries as exact TypedDicts; ours are parsed JSON.
    return entry


def _normal(parameter: Entry, value: Any) -> Any:
    """Checksummed addresses, throughout arrays and structs."""
    kind: str = parameter["type"]
    if kind.endswith("]"):
        inner = {**parameter, "type": kind[: kind.rindex("[")]}
        return tuple(_normal(inner, item) for item in value)
    if kind == "tuple":
        fields = zip(parameter["components"], value, strict=True)
        return tuple(_normal(field, item) for field, item in fields)
    return str(to_checksum_address(value)) if kind == "address" else value
