"""A node's libp2p identity: the Ed25519 seed on disk and the peer id that follows from it.

Owns the file `peer.key` (32 raw bytes, private to its owner) and the text and byte forms of a peer
id. Imports no libp2p, so that commands which only need the id start at once. The forms are those
of the libp2p specification (peer-ids): the protobuf `PublicKey {Type: Ed25519, Data: key}` is 36
bytes, short enough to be embedded by the "identity" multihash; the text form is its base58
(Bitcoin alphabet).
"""

import secrets
from pathlib import Path

from nacl.signing import SigningKey

from node.errors import BadInput
from node.files import PRIVATE, write_new

SEED_BYTES = 32
# protobuf: field 1 varint 1 (Ed25519), field 2 of 32 bytes
_PUBLIC_KEY_PREFIX = bytes((0x08, 0x01, 0x12, 0x20))
# multihash: code 0 (identity), length 36
_MULTIHASH_PREFIX = bytes((0x00, 0x24))
_ID_BYTES = len(_MULTIHASH_PREFIX) + len(_PUBLIC_KEY_PREFIX) + 32
_ID_TEXT_MAX = 64
_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def create_seed(path: Path) -> bytes:
    """Draw a new seed, store it at `path`, return it. FileExistsError if there is one already."""
    seed = secrets.token_bytes(SEED_BYTES)
    write_new(path, seed, mode=PRIVATE)
    return seed


def load_seed(path: Path) -> bytes:
    """Return the seed stored at `path`; BadInput if it is missing or not 32 bytes."""
    try:
        seed = path.read_bytes()
    except FileNotFoundError:
        raise BadInput(f"There is no peer key at {path}.", "Run `ainur init` first.") from None
    except OSError as error:
        raise BadInput(f"The peer key {path} cannot be read: {error.strerror}.") from None
    if len(seed) != SEED_BYTES:
        raise BadInput(
            f"The peer key {path} has {len(seed)} bytes instead of {SEED_BYTES}.",
            "Restore it from a backup, or move it away and run `ainur init` for a new identity.",
        )
    return seed


def peer_id_bytes(seed: bytes) -> bytes:
    """The 38 bytes of the peer id of the key with this seed: what the bond vault stores."""
    if len(seed) != SEED_BYTES:
        raise BadInput(f"An Ed25519 seed has {SEED_BYTES} bytes, not {len(seed)}.")
    public = bytes(SigningKey(seed).verify_key)
    return _MULTIHASH_PREFIX + _PUBLIC_KEY_PREFIX + public


def peer_id_from_key(seed: bytes) -> str:
    """The text form (`12D3KooW...`) of the peer id of the key with this seed."""
    return peer_id_text(peer_id_bytes(seed))


def peer_id_text(data: bytes) -> str:
    """The base58 text of a peer id's bytes."""
    return _base58_encode(data)


def peer_id_decode(text: str) -> bytes:
    """The bytes of an Ed25519 peer id in text form; BadInput for anything else."""
    remedy = "An Ed25519 peer id starts with 12D3KooW."
    if len(text) > _ID_TEXT_MAX:
        raise BadInput(f"A peer id has at most {_ID_TEXT_MAX} characters, not {len(text)}.", remedy)
    data = _base58_decode(text)
    if len(data) != _ID_BYTES or not data.startswith(_MULTIHASH_PREFIX + _PUBLIC_KEY_PREFIX):
        raise BadInput(f"{text!r} is not the id of an Ed25519 peer.", remedy)
    return data


def _base58_encode(data: bytes) -> str:
    number = int.from_bytes(data, "big")
    digits = []
    while number:
        number, digit = divmod(number, 58)
        digits.append(_ALPHABET[digit])
    zeros = len(data) - len(data.lstrip(b"\0"))
    return _ALPHABET[0] * zeros + "".join(reversed(digits))


def _base58_decode(text: str) -> bytes:
    number = 0
    for character in text:
        digit = _ALPHABET.find(character)
        if digit < 0:
            raise BadInput(f"{text!r} is not base58: unexpected {character!r}.")
        number = number * 58 + digit
    zeros = len(text) - len(text.lstrip(_ALPHABET[0]))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
