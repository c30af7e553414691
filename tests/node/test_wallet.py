"""node/wallet.py: keys stay encrypted, private and unseen."""

import json
import pickle
import stat
from pathlib import Path

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct
from hypothesis import given, settings
from hypothesis import strategies as st

from node.errors import BadInput, WrongPassword
from node.wallet import (
    Signer,
    find_wallet,
    import_keystore,
    import_wallet,
    list_wallets,
    new_wallet,
    password_from_environment,
    read_password_file,
    recover,
    store_wallet,
    unlock,
)

KEY = "0x" + "11" * 32
ADDRESS = "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A"
SIGNER = Signer.from_key(bytes.fromhex(KEY[2:]))


def test_new_wallet_opens_with_its_password_only(tmp_path: Path) -> None:
    """The file is private; the right password opens it, another is WrongPassword."""
    wallet = new_wallet(tmp_path / "wallets", "default", "secret", devnet=True)
    assert stat.S_IMODE(wallet.path.stat().st_mode) == 0o600
    assert unlock(wallet, "secret").address == wallet.address
    with pytest.raises(WrongPassword, match=r"default\.json"):
        unlock(wallet, "Secret")


@pytest.mark.parametrize("kdf", ["scrypt", "pbkdf2"])
def test_kdf_is_as_asked_and_strong(tmp_path: Path, kdf: str) -> None:
    """A real wallet hashes its password long enough to hurt a guesser."""
    wallet = new_wallet(tmp_path, "w", "secret", kdf=kdf)  # type: ignore[arg-type]
    crypto = json.loads(wallet.path.read_text())["crypto"]
    assert crypto["kdf"] == kdf
    parameters = crypto["kdfparams"]
    assert parameters.get("n", 0) >= 2**17 or parameters.get("c", 0) >= 100_000


def test_import_of_known_key_gives_known_address(tmp_path: Path) -> None:
    """The address is that of every other Ethereum tool."""
    wallet = import_wallet(tmp_path, "w", KEY + "\n", "secret", kdf="pbkdf2")
    assert wallet.address == ADDRESS
    assert find_wallet(tmp_path, "w") == wallet


def test_foreign_keystore_is_imported_after_a_check(tmp_path: Path) -> None:
    """A keystore of another tool keeps its password; a wrong one is refused at import."""
    source = tmp_path / "foreign.json"
    source.write_text(json.dumps(Account.encrypt(KEY, "theirs", kdf="pbkdf2", iterations=1)))
    with pytest.raises(WrongPassword):
        import_keystore(tmp_path / "wallets", "w", source, "mine")
    wallet = import_keystore(tmp_path / "wallets", "w", source, "theirs")
    assert unlock(wallet, "theirs").address == ADDRESS


def test_wallet_is_never_overwritten(tmp_path: Path) -> None:
    """A second wallet of the same name is refused and the first is intact."""
    first = store_wallet(tmp_path, "w", SIGNER, "secret", devnet=True)
    before = first.path.read_bytes()
    with pytest.raises(BadInput, match="not overwritten"):
        new_wallet(tmp_path, "w", "secret", devnet=True)
    assert first.path.read_bytes() == before


def test_list_is_sorted_and_missing_wallet_names_the_others(tmp_path: Path) -> None:
    """The list is by name; a wrong name is answered with the right ones."""
    for name in ("b", "a"):
        new_wallet(tmp_path, name, "secret", devnet=True)
    assert [wallet.name for wallet in list_wallets(tmp_path)] == ["a", "b"]
    assert list_wallets(tmp_path / "none") == []
    with pytest.raises(BadInput, match="found: a, b"):
        find_wallet(tmp_path, "c")


@pytest.mark.parametrize("name", ["../up", "", ".hidden", "a/b", "a" * 65, "a\n"])
def test_unfit_wallet_names_are_refused(tmp_path: Path, name: str) -> None:
    """A name never leaves the folder."""
    with pytest.raises(BadInput):
        new_wallet(tmp_path, name, "secret", devnet=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("key", ["", "0x12", "zz" * 32, "00" * 32, "ff" * 32])
def test_bad_private_keys_are_refused_unseen(tmp_path: Path, key: str) -> None:
    """Nonsense and keys beyond the curve's order are BadInput; no message shows the key."""
    with pytest.raises(BadInput) as caught:
        import_wallet(tmp_path, "w", key, "secret")
    assert not key or key not in str(caught.value)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"version": 3}', '{"version": 1}', "\x00"])
def test_damaged_keystore_is_refused(tmp_path: Path, content: str) -> None:
    """A file that is no keystore is BadInput with its path."""
    (tmp_path / "w.json").write_text(content)
    with pytest.raises(BadInput, match=r"w\.json"):
        list_wallets(tmp_path)


def test_empty_password_is_refused(tmp_path: Path) -> None:
    """Nobody leaves a key open by accident."""
    with pytest.raises(BadInput, match="empty password"):
        new_wallet(tmp_path, "w", "")


def test_signer_never_shows_its_key() -> None:
    """Not in repr, str, format or a pickle."""
    shown = f"{SIGNER!r} {SIGNER} {[SIGNER]}"
    assert "11" * 8 not in shown
    assert ADDRESS in shown
    with pytest.raises(TypeError, match="never pickled"):
        pickle.dumps(SIGNER)


@settings(max_examples=20)
@given(st.text(max_size=200))
def test_signed_text_recovers_the_signer(text: str) -> None:
    """Our signature is what any Ethereum wallet makes of a personal message."""
    signature = SIGNER.sign_text(text)
    assert len(signature) == 65
    assert recover(text, signature) == ADDRESS
    assert signature == Account.sign_message(encode_defunct(text=text), KEY).signature
    assert recover(text + "x", signature) != ADDRESS


@given(st.binary(max_size=80))
def test_recover_survives_any_bytes(signature: bytes) -> None:
    """A peer's signature is judged, never a crash, and never ours by chance."""
    assert recover("hello", signature) != ADDRESS


def test_passwords_come_from_file_or_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file's first line without its line break; an unset or empty variable is none."""
    path = tmp_path / "password"
    path.write_bytes(b" sp ace \r\nnot this\n")
    assert read_password_file(path) == " sp ace "
    path.write_bytes(b"\nsecond")
    with pytest.raises(BadInput, match="empty first line"):
        read_password_file(path)
    monkeypatch.setenv("AINUR_PASSWORD", "")
    assert password_from_environment() is None
    monkeypatch.setenv("AINUR_PASSWORD", "x")
    assert password_from_environment() == "x"
