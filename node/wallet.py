"""Wallets: encrypted keys on disk, and the signer that an unlocked one becomes.

Owns the folder `wallets/` with one keystore (version 3, as every Ethereum tool reads it) per
wallet, private to its owner. A key leaves this module only inside a `Signer`, which signs and
never shows it: not in repr, not in a log line, not in a pickle. An existing wallet is never
overwritten.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NoReturn

from eth_account import Account
from eth_account.messages import encode_defunct
from eth_account.signers.local import LocalAccount
from eth_keys.exceptions import BadSignature
from eth_typing import Hash32
from eth_utils.address import to_checksum_address
from eth_utils.exceptions import ValidationError

from node.errors import BadInput, WrongPassword
from node.files import PRIVATE, make_private_folder, read_text, write_new

Kdf = Literal["scrypt", "pbkdf2"]
PASSWORD_VARIABLE = "AINUR_PASSWORD"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_KEYSTORE_BYTES_MAX = 64 * 1024
_PASSWORD_BYTES_MAX = 4096
# A devnet's keys guard nothing: one round of hashing saves 0.2 s to 1 s per account.
_DEVNET_ITERATIONS = 1


@dataclass(frozen=True, slots=True, repr=False)
class Signer:
    """An unlocked account: an address that can sign. Never shows or pickles its key."""

    address: str
    _account: LocalAccount = field(compare=False)

    @classmethod
    def from_key(cls, key: bytes) -> "Signer":
        """The signer of a 32-byte private key; BadInput if the key is out of range."""
        try:
            account = Account.from_key(key)
        except (ValueError, TypeError):
            raise BadInput("The private key is not 32 bytes within the curve's order.") from None
        return cls(str(account.address), account)

    @classmethod
    def random(cls) -> "Signer":
        """A signer with a fresh random key that is stored nowhere."""
        account = Account.create()
        return cls(str(account.address), account)

    def sign_text(self, text: str) -> bytes:
        """The 65-byte personal-message signature (EIP-191) of `text`."""
        return bytes(self._account.sign_message(encode_defunct(text=text)).signature)

    def sign_digest(self, digest: bytes) -> bytes:
        """The 65-byte signature of 32 bytes that our own code derived (EIP-712), never a peer's."""
        return bytes(self._account.unsafe_sign_hash(Hash32(digest)).signature)

    def sign_transaction(self, fields: Mapping[str, Any]) -> bytes:
        """The raw bytes of the signed transaction with these JSON-RPC style fields."""
        return bytes(self._account.sign_transaction(dict(fields)).raw_transaction)

    def __repr__(self) -> str:
        return f"Signer({self.address})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("A signer holds a private key and is never pickled.")


@dataclass(frozen=True, slots=True)
class WalletFile:
    """A locked wallet: its name, public address and keystore file."""

    name: str
    address: str
    path: Path


def recover(text: str, signature: bytes) -> str | None:
    """The checksummed address whose key signed `text`, or None if this is no signature at all."""
    if len(signature) != 65:
        return None
    try:
        return str(Account.recover_message(encode_defunct(text=text), signature=signature))
    except (ValueError, TypeError, BadSignature, ValidationError):
        return None


def recover_digest(digest: bytes, signature: bytes) -> str | None:
    """The checksummed address whose key signed this digest, or None if this is no signature."""
    if len(signature) != 65:
        return None
    try:
        return str(Account._recover_hash(digest, signature=signature))
    except (ValueError, TypeError, BadSignature, ValidationError):
        return None


def new_wallet(
    folder: Path, name: str, password: str, *, kdf: Kdf = "scrypt", devnet: bool = False
) -> WalletFile:
    """Create a wallet with a random key under `folder`; `devnet` weakens the key derivation for
    speed.
    """
    return store_wallet(folder, name, Signer.random(), password, kdf=kdf, devnet=devnet)


def import_wallet(
    folder: Path, name: str, source: str, password: str, *, kdf: Kdf = "scrypt"
) -> WalletFile:
    """Store a private key given as hexadecimal text, re-encrypted under `password`."""
    signer = read_key(source)
    return store_wallet(folder, name, signer, password, kdf=kdf)


def read_key(source: str) -> Signer:
    """The signer of a private key given as hexadecimal text."""
    try:
        key = bytes.fromhex(source.strip().removeprefix("0x"))
    except ValueError:
        raise BadInput(
            "The private key is not hexadecimal.", "Give 64 hexadecimal digits."
        ) from None
    if len(key) != 32:
        raise BadInput(f"The private key has {len(key)} bytes instead of 32.")
    return Signer.from_key(key)


def import_keystore(folder: Path, name: str, source: Path, password: str) -> WalletFile:
    """Copy a keystore file from elsewhere, after checking that `password` opens it."""
    keystore = _read_keystore(source)
    signer = _decrypt(keystore, password, source)
    return _write_keystore(folder, name, keystore, signer.address)


def store_wallet(
    folder: Path,
    name: str,
    signer: Signer,
    password: str,
    *,
    kdf: Kdf = "scrypt",
    devnet: bool = False,
) -> WalletFile:
    """Encrypt `signer` under `password` as wallet `name`; BadInput if that name is taken."""
    if not password:
        raise BadInput("An empty password would leave the key open.", "Choose a password.")
    path = wallet_path(folder, name)
    if path.exists():
        raise _taken(name, path)
    iterations = _DEVNET_ITERATIONS if devnet else None
    derivation: Kdf = "pbkdf2" if devnet else kdf
    keystore = signer._account.encrypt(password, kdf=derivation, iterations=iterations)
    return _write_keystore(folder, name, dict(keystore), signer.address)


def list_wallets(folder: Path) -> list[WalletFile]:
    """Every wallet under `folder`, sorted by name; BadInput if one of the files is no keystore."""
    if not folder.is_dir():
        return []
    paths = sorted(path for path in folder.glob("*.json") if not path.name.startswith("."))
    return [WalletFile(path.stem, _address(_read_keystore(path), path), path) for path in paths]


def find_wallet(folder: Path, name: str) -> WalletFile:
    """The wallet called `name`; BadInput, naming those that exist, if there is none."""
    path = wallet_path(folder, name)
    if not path.exists():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.json"))) or "none"
        raise BadInput(
            f"There is no wallet {name!r} in {folder} (found: {known}).",
            "Create one with `ainur wallet new` or choose one with `ainur config set wallet NAME`.",
        )
    return WalletFile(name, _address(_read_keystore(path), path), path)


def unlock(wallet: WalletFile, password: str) -> Signer:
    """Decrypt `wallet`; WrongPassword if `password` does not open it. Takes up to a second."""
    return _decrypt(_read_keystore(wallet.path), password, wallet.path)


def unlock_file(path: Path, password: str) -> Signer:
    """Decrypt the keystore at `path`, which is no wallet of a home."""
    return _decrypt(_read_keystore(path), password, path)


def wallet_path(folder: Path, name: str) -> Path:
    """Where wallet `name` is kept; BadInput unless the name is a plain, portable file name."""
    if not _NAME.fullmatch(name):
        raise BadInput(
            f"{name!r} is not a wallet name.",
            "Use 1 to 64 letters, digits or ._- and start with a letter or digit.",
        )
    return folder / f"{name}.json"


def read_password_file(path: Path) -> str:
    """The first line of a password file, without its line break."""
    text = read_text(path, "password file")
    if len(text.encode()) > _PASSWORD_BYTES_MAX:
        raise BadInput(f"The password file {path} is larger than {_PASSWORD_BYTES_MAX} bytes.")
    lines = text.splitlines()
    if not lines or not lines[0]:
        raise BadInput(f"The password file {path} has an empty first line.")
    return lines[0]


def password_from_environment() -> str | None:
    """The value of AINUR_PASSWORD, or None if it is unset or empty."""
    return os.environ.get(PASSWORD_VARIABLE) or None


def _write_keystore(
    folder: Path, name: str, keystore: Mapping[str, object], address: str
) -> WalletFile:
    path = wallet_path(folder, name)
    make_private_folder(folder)
    data = json.dumps(keystore, indent=2).encode() + b"\n"
    try:
        write_new(path, data, mode=PRIVATE)
    except FileExistsError:
        raise _taken(name, path) from None
    return WalletFile(name, address, path)


def _taken(name: str, path: Path) -> BadInput:
    return BadInput(
        f"There is a wallet {name!r} at {path} already and it is not overwritten.",
        "Choose another name.",
    )


def _read_keystore(path: Path) -> dict[str, Any]:
    text = read_text(path, "wallet")
    if len(text) > _KEYSTORE_BYTES_MAX:
        raise BadInput(f"The wallet {path} is larger than {_KEYSTORE_BYTES_MAX} bytes.")
    try:
        keystore = json.loads(text)
    except ValueError:
        keystore = None
    if not isinstance(keystore, dict) or keystore.get("version") != 3:
        raise BadInput(f"{path} is not a keystore of version 3.")
    return keystore


def _address(keystore: Mapping[str, Any], path: Path) -> str:
    address = keystore.get("address")
    if not isinstance(address, str) or not re.fullmatch(r"(0x)?[0-9a-fA-F]{40}", address):
        raise BadInput(f"The wallet {path} does not name its address.")
    return str(to_checksum_address("0x" + address.removeprefix("0x")))


def _decrypt(keystore: dict[str, Any], password: str, path: Path) -> Signer:
    try:
        key = bytes(Account.decrypt(keystore, password))
    except (ValueError, KeyError, TypeError, NotImplementedError) as error:
        # eth_keyfile reports a wrong password as a ValueError about the MAC.
        if "MAC" in str(error):
            raise WrongPassword(
                f"The password does not open the wallet {path}.",
                f"Try again, or give it by --password-file or {PASSWORD_VARIABLE}.",
            ) from None
        raise BadInput(f"The wallet {path} is damaged: {error}.", "Restore a backup.") from None
    signer = Signer.from_key(key)
    if "address" in keystore and signer.address != _address(keystore, path):
        raise BadInput(f"The wallet {path} names an address that its key does not have.")
    return signer
