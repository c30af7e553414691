"""Events and states as canonical JSON: the journal's records and the digest's preimage.

One encoding per value: sorted keys, no spaces, hashes in lower-case hex, floats as their shortest
decimal text, a table as its rows in the order of their keys, a dataclass as an object with exactly
its facts (fields that do not compare are not facts). Decoding is strict (types, keys,
bounds, size) and checks that encoding again gives the same bytes, so that a damaged record never
passes for another. A record truncated anywhere is not valid JSON, hence a JournalError.
"""

import json
import types
from collections.abc import Callable, Hashable
from dataclasses import dataclass, fields, is_dataclass
from enum import StrEnum
from functools import cache
from typing import Final, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import JsonValue, TypeAdapter, ValidationError

from scheduler.blob_ref import BlobRef
from scheduler.errors import JournalError
from scheduler.events import Event
from scheduler.state import State

JOURNAL_VERSION = 6
RECORD_BYTES_MAX = 4 << 20
STATE_BYTES_MAX = 64 << 20
INTEGER_MAX = (1 << 64) - 1
TEXT_CHARACTERS_MAX = 1024
ITEMS_MAX = 32_768

EVENTS: Final = {kind.__name__: kind for kind in get_args(Event)}

Plain = JsonValue
_OBJECT: Final[TypeAdapter[dict[str, Plain]]] = TypeAdapter(dict[str, Plain])
_JSON: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Entry:
    """One journal record: an event, when it was handled, and the seed it was handled with."""

    now_ms: int
    seed: int
    event: Event


def encode(entry: Entry) -> bytes:
    """The record of an entry; ValueError where a value is over a bound."""
    return _dump(
        {
            "version": JOURNAL_VERSION,
            "now_ms": _integer_out(entry.now_ms),
            "seed": _integer_out(entry.seed),
            "type": type(entry.event).__name__,
            "event": _out(entry.event),
        }
    )


def decode(record: bytes) -> Entry:
    """The entry of a record; JournalError unless `encode` could have written it."""
    plain = _load(record)
    if set(plain) != {"version", "now_ms", "seed", "type", "event"}:
        raise JournalError(f"a journal record has the keys {sorted(plain)}")
    if plain["version"] != JOURNAL_VERSION:
        raise JournalError(
            f"a journal record of version {plain['version']!r}, this is {JOURNAL_VERSION}: "
            "finish the job with the release that began it"
        )
    kind = EVENTS.get(str(plain["type"]))
    if kind is None:
        raise JournalError(f"a journal record of the unknown type {plain['type']!r:.80}")
    event = _in(kind, plain["event"])
    entry = Entry(_in(int, plain["now_ms"]), _in(int, plain["seed"]), event)
    if encode(entry) != record:
        raise JournalError(f"a journal record of type {kind.__name__} is not in canonical form")
    return entry


def encode_state(state: State) -> bytes:
    """The canonical bytes of a state."""
    return _dump(_out(state), STATE_BYTES_MAX)


def decode_state(data: bytes) -> State:
    """The state of canonical bytes; JournalError unless `encode_state` could have written them."""
    state = _in(State, _load(data, STATE_BYTES_MAX))
    if encode_state(state) != data:
        raise JournalError("a state is not in canonical form")
    return state


def document(value: object) -> str:
    """Any value of this package (a progress, say) as the same kind of JSON, for other programs."""
    return _dump(_out(value)).decode()


# --- Bytes ---


def _dump(plain: Plain, bytes_max: int = RECORD_BYTES_MAX) -> bytes:
    text = _JSON.encode(plain)
    if len(text) > bytes_max:
        raise ValueError(f"a record of {len(text)} bytes is over the limit of {bytes_max}")
    return text.encode()


def _load(data: bytes, bytes_max: int = RECORD_BYTES_MAX) -> dict[str, Plain]:
    if len(data) > bytes_max:
        raise JournalError(f"a record of {len(data)} bytes is over the limit {bytes_max}")
    try:
        # Not json.loads: nested deeply enough, a damaged record would overflow the stack.
        return _OBJECT.validate_json(data)
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise JournalError(f"a record of {len(data)} bytes is no JSON object: {reason}") from None


@cache
def _facts(kind: Hashable) -> tuple[str, ...]:
    """The names of a dataclass's fields that are facts."""
    assert isinstance(kind, type) and is_dataclass(kind)  # noqa: PT018
    return tuple(item.name for item in fields(kind) if item.compare)


# --- Out ---


def _out(value: object) -> Plain:
    match value:
        case None | bool():
            return value
        case int():
            return _integer_out(value)
        case StrEnum():
            return value.value
        case str():
            return _text_out(value)
        case bytes():
            return value.hex()
        case float():
            return repr(value)
        case tuple() | list():
            if len(value) > ITEMS_MAX:
                raise ValueError(f"{len(value)} items are over the limit of {ITEMS_MAX}")
            return [_out(item) for item in value]
        case dict():
            return _out(tuple(sorted(value.items())))
        case BlobRef():
            return {"root": value.root, "size": value.size}
        case _ if is_dataclass(value):
            return {name: _out(getattr(value, name)) for name in _facts(value.__class__)}
    raise TypeError(f"{type(value).__name__} has no place in a journal")


def _integer_out(value: int) -> int:
    if not -1 <= value <= INTEGER_MAX:
        raise ValueError(f"the integer {value} is not in -1..2^64-1")
    return value


def _text_out(value: str) -> str:
    if len(value) > TEXT_CHARACTERS_MAX:
        raise ValueError(f"a text of {len(value)} characters is over {TEXT_CHARACTERS_MAX}")
    return value


# --- In ---


def _in(kind: type[T], plain: Plain) -> T:
    value = _decoder(kind)(plain)
    assert isinstance(value, kind)
    return value


def _decoder(kind: object) -> Callable[[Plain], object]:
    """The strict decoder of a type, built once."""
    if kind not in _DECODERS:
        _DECODERS[kind] = _build(kind)
    return _DECODERS[kind]


def _build(kind: object) -> Callable[[Plain], object]:
    """The decoder of a type, found by its shape."""
    if (supertype := getattr(kind, "__supertype__", None)) is not None:
        return _decoder(supertype)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is tuple:
        return _tuple_decoder(arguments)
    if origin is list:
        item = _decoder(arguments[0])
        return lambda plain: [item(each) for each in _list_in(plain)]
    if origin is dict:
        pair = _tuple_decoder(arguments)
        return lambda plain: {row[0]: row[1] for row in map(pair, _list_in(plain))}
    if origin in (Union, types.UnionType) and types.NoneType in arguments:
        inner = next(item for item in arguments if item is not types.NoneType)
        some = _decoder(inner)
        return lambda plain: None if plain is None else some(plain)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return lambda plain: _enum_in(kind, plain)
    if isinstance(kind, type) and is_dataclass(kind):
        return _dataclass_decoder(kind)
    raise TypeError(f"{kind!r} has no place in a journal")


def _tuple_decoder(arguments: tuple[object, ...]) -> Callable[[Plain], tuple[object, ...]]:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        item = _decoder(arguments[0])
        return lambda plain: tuple(item(each) for each in _list_in(plain))
    items = [_decoder(argument) for argument in arguments]

    def decode_row(plain: Plain) -> tuple[object, ...]:
        row = _list_in(plain)
        if len(row) != len(items):
            raise JournalError(f"a list of {len(row)} items, must have {len(items)}")
        return tuple(item(each) for item, each in zip(items, row, strict=True))

    return decode_row


def _dataclass_decoder(kind: type) -> Callable[[Plain], object]:
    hints = get_type_hints(kind)
    decoders = {name: _decoder(hints[name]) for name in _facts(kind)}

    def decode_object(plain: Plain) -> object:
        if not isinstance(plain, dict) or set(plain) != set(decoders):
            found = sorted(plain) if isinstance(plain, dict) else type(plain).__name__
            raise JournalError(f"{kind.__name__} has the fields {sorted(decoders)}, not {found}")
        try:
            return kind(**{name: decode(plain[name]) for name, decode in decoders.items()})
        except ValueError as error:
            raise JournalError(f"{kind.__name__}: {error}") from None

    return decode_object


def _list_in(plain: Plain) -> list[Plain]:
    if not isinstance(plain, list) or len(plain) > ITEMS_MAX:
        raise JournalError(f"a list of at most {ITEMS_MAX} items was due")
    return plain


def _enum_in(kind: type[StrEnum], plain: Plain) -> StrEnum:
    try:
        return kind(_text_in(plain))
    except ValueError:
        raise JournalError(f"{plain!r:.80} is no {kind.__name__}") from None


def _bool_in(plain: Plain) -> bool:
    if not isinstance(plain, bool):
        raise JournalError(f"{plain!r:.80} is neither true nor false")
    return plain


def _integer_in(plain: Plain) -> int:
    if type(plain) is not int or not -1 <= plain <= INTEGER_MAX:
        raise JournalError(f"{plain!r:.80} is no integer from -1 to 2^64-1")
    return plain


def _text_in(plain: Plain) -> str:
    if not isinstance(plain, str) or len(plain) > TEXT_CHARACTERS_MAX:
        raise JournalError(f"{plain!r:.80} is no text of at most {TEXT_CHARACTERS_MAX} characters")
    return plain


def _bytes_in(plain: Plain) -> bytes:
    try:
        return bytes.fromhex(_text_in(plain))
    except ValueError:
        raise JournalError(f"{plain!r:.80} is not hexadecimal") from None


def _float_in(plain: Plain) -> float:
    try:
        return float(_text_in(plain))
    except ValueError:
        raise JournalError(f"{plain!r:.80} is no number") from None


def _blob_in(plain: Plain) -> BlobRef:
    try:
        return BlobRef.model_validate(plain)
    except ValidationError:
        raise JournalError(f"{plain!r:.200} is no blob") from None


_DECODERS: Final[dict[object, Callable[[Plain], object]]] = {
    bool: _bool_in,
    int: _integer_in,
    str: _text_in,
    bytes: _bytes_in,
    float: _float_in,
    BlobRef: _blob_in,
}
