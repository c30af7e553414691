"""`ainur init`, `wallet` and `config` through the entry point, without a chain."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from node.cli.session import open_signer
from node.errors import WrongPassword
from node.home import Home
from node.network_file import Contracts

Ainur = Callable[..., Any]
KEY = "11" * 32
ADDRESS = "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A"


@pytest.fixture
def password(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text("secret\n")
    return path


@pytest.fixture
def network(tmp_path: Path) -> Path:
    path = tmp_path / "given.json"
    document = {
        "name": "test",
        "chain_id": 31337,
        "rpc_endpoints": ["http://127.0.0.1:1"],
        "contracts": dict.fromkeys(Contracts.model_fields, ADDRESS),
        "deployment_block": 0,
    }
    path.write_text(json.dumps(document))
    return path


def test_init_makes_a_complete_home(
    ainur: Ainur, tmp_path: Path, network: Path, password: Path
) -> None:
    """Settings, identity, wallet, network; secrets private; the next steps on stderr."""
    home = Home.find(tmp_path / "home")
    outcome = ainur(
        "init", "--home", home.path, "--network", network, "--password-file", password, "--json"
    )
    assert outcome.code == 0, outcome.err
    document = outcome.json
    assert document["network"] == "test"
    assert document["peer_id"].startswith("12D3KooW")
    assert document["address"].startswith("0x")
    for secret in (home.peer_key, home.wallets / "default.json"):
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert home.config.exists()
    assert home.network.exists()
    assert not list(home.path.rglob("*.tmp"))


def test_init_again_keeps_keys_and_changes_network(
    ainur: Ainur, tmp_path: Path, network: Path, password: Path
) -> None:
    """Safe to repeat: the same identity and address, no password asked for."""
    home = tmp_path / "home"
    first = ainur("init", "--home", home, "--password-file", password, "--json").json
    assert first["network"] is None
    before = (home / "peer.key").read_bytes(), (home / "wallets/default.json").read_bytes()
    again = ainur("init", "--home", home, "--network", network)
    assert again.code == 0
    assert f"peer_id\t{first['peer_id']}" in again.out
    assert "stake add" in again.err
    assert (
        (home / "peer.key").read_bytes(),
        (home / "wallets/default.json").read_bytes(),
    ) == before


def test_init_with_bad_network_makes_nothing(ainur: Ainur, tmp_path: Path, network: Path) -> None:
    """The file is checked before anything is written."""
    network.write_text(network.read_text().replace("31337", "-1"))
    outcome = ainur("init", "--home", tmp_path / "home", "--network", network)
    assert outcome.code == 2
    assert "chain_id = -1" in outcome.err
    assert not (tmp_path / "home").exists()
    missing = ainur("init", "--home", tmp_path / "home", "--network", tmp_path / "none")
    assert (missing.code, "none" in missing.err, "ainur devnet" in missing.err) == (2, True, True)


def test_init_imports_a_key_but_never_over_another(
    ainur: Ainur, tmp_path: Path, password: Path
) -> None:
    """A hexadecimal key becomes the wallet; a second import needs another name."""
    key = tmp_path / "key"
    key.write_text("0x" + KEY)
    home = tmp_path / "home"
    arguments = ("init", "--home", home, "--import-key", key, "--password-file", password)
    assert ainur(*arguments, "--json").json["address"] == ADDRESS
    again = ainur(*arguments)
    assert again.code == 2
    assert "not overwritten" in again.err
    other = ainur(*arguments, "--wallet", "second", "--json").json
    assert (other["wallet"], other["address"]) == ("second", ADDRESS)
    assert ainur("config", "get", "wallet", "--home", home).out == "second\n"


def test_init_without_password_or_terminal_says_how(ainur: Ainur, tmp_path: Path) -> None:
    """No prompt in a script: the two ways to give a password."""
    outcome = ainur("init", "--home", tmp_path / "home")
    assert outcome.code == 2
    assert "--password-file or AINUR_PASSWORD" in outcome.err


def test_home_comes_from_environment(
    ainur: Ainur, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AINUR_HOME names the folder, --home wins over it."""
    monkeypatch.setenv("AINUR_HOME", str(tmp_path / "a"))
    assert ainur("config", "path").out == f"{tmp_path / 'a' / 'config.toml'}\n"
    assert ainur("config", "path", "--home", tmp_path / "b").out == f"{tmp_path}/b/config.toml\n"
    monkeypatch.delenv("AINUR_HOME")
    assert ainur("config", "path").out == f"{tmp_path}/.ainur/config.toml\n"


def test_wallet_new_and_list(ainur: Ainur, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """New wallets appear in the list; a star marks the one that signs."""
    monkeypatch.setenv("AINUR_PASSWORD", "secret")
    home = tmp_path / "home"
    empty = ainur("wallet", "list", "--home", home)
    assert (empty.code, empty.out) == (0, "")
    assert "wallet new" in empty.err
    made = ainur("wallet", "new", "--home", home, "--kdf", "pbkdf2", "--json")
    assert made.code == 0
    ainur("wallet", "new", "spare", "--home", home, "--kdf", "pbkdf2")
    rows = [line.split("\t") for line in ainur("wallet", "list", "--home", home).out.splitlines()]
    assert [row[:2] for row in rows] == [["", "name"], ["*", "default"], ["", "spare"]]
    listed = ainur("wallet", "list", "--home", home, "--json").json
    assert listed[0]["address"] == made.json["address"]
    assert [wallet["selected"] for wallet in listed] == [True, False]
    taken = ainur("wallet", "new", "spare", "--home", home)
    assert (taken.code, "not overwritten" in taken.err) == (2, True)


def test_wallet_import_of_key_and_keystore(ainur: Ainur, tmp_path: Path, password: Path) -> None:
    """Both forms give the same address; a keystore with another password is exit 6."""
    (tmp_path / "key").write_text(KEY)
    keystore = Account.encrypt("0x" + KEY, "secret", kdf="pbkdf2", iterations=1)
    (tmp_path / "store").write_text(json.dumps(keystore))
    options = ("--home", tmp_path / "home", "--password-file", password, "--json")
    for name in ("key", "store"):
        outcome = ainur("wallet", "import", tmp_path / name, name, *options)
        assert outcome.json["address"] == ADDRESS, outcome.err
    password.write_text("other\n")
    wrong = ainur("wallet", "import", tmp_path / "store", "third", *options)
    assert (wrong.code, wrong.out) == (6, "")
    assert "does not open" in wrong.err


def test_password_is_asked_for_on_a_terminal(tmp_path: Path) -> None:
    """Twice, unseen, on stderr; stdout carries data only."""
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "node.cli.main", "wallet", "new", "--kdf", "pbkdf2", "--json"],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, "AINUR_HOME": str(tmp_path / "home")},
    )
    os.close(theirs)
    assert process.stderr is not None
    asked = b""
    for _ in range(2):
        # The answer must follow the question: what is typed before it is thrown away.
        while not asked.endswith(b": "):
            asked += os.read(process.stderr.fileno(), 1)
        asked += b"\n"
        os.write(ours, b"secret\n")
    out, err = process.communicate(timeout=60)
    os.close(ours)
    assert process.returncode == 0, err
    assert json.loads(out)["name"] == "default"
    assert asked.startswith(b"Password for the new wallet: ")
    assert b"secret" not in out + err + asked


def test_config_get_set(ainur: Ainur, tmp_path: Path) -> None:
    """What was set is what is read; the confirmation is no data."""
    home = tmp_path / "home"
    done = ainur(
        "config", "set", "announce", "/ip4/1.2.3.4/tcp/1,/ip4/1.2.3.4/tcp/2", "--home", home
    )
    assert (done.code, done.out) == (0, "")
    read = ainur("config", "get", "announce", "--home", home)
    assert read.out == "/ip4/1.2.3.4/tcp/1,/ip4/1.2.3.4/tcp/2\n"
    document = ainur("config", "get", "announce", "--json", "--home", home).json
    assert document == {"announce": ["/ip4/1.2.3.4/tcp/1", "/ip4/1.2.3.4/tcp/2"]}
    table = ainur("config", "get", "--home", home).out.splitlines()
    assert table[0] == "setting\tvalue\tmeaning"
    assert any(line.startswith("chain_poll_s\t2.0\t") for line in table)


def test_config_refuses_bad_values(ainur: Ainur, tmp_path: Path) -> None:
    """Exit 2 with the field, the value and the rule."""
    outcome = ainur("config", "set", "listen_port", "99999", "--home", tmp_path)
    assert outcome.code == 2
    assert "listen_port = 99999" in outcome.err
    assert "65535" in outcome.err
    unknown = ainur("config", "get", "nope", "--home", tmp_path)
    assert (unknown.code, "Settings: wallet" in unknown.err) == (2, True)


def test_a_wrong_password_says_where_it_is_from(
    ainur: Ainur, tmp_path: Path, password: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable comes before the file that the home's settings name."""
    home = Home.find(tmp_path / "home")
    assert ainur("init", "--home", home.path, "--password-file", password).code == 0
    assert ainur("config", "set", "password_file", password, "--home", home.path).code == 0
    open_signer(home)
    monkeypatch.setenv("AINUR_PASSWORD", "other")
    with pytest.raises(WrongPassword, match=r"It came from AINUR_PASSWORD\. Unset it"):
        open_signer(home)
    wrong = tmp_path / "wrong"
    wrong.write_text("other\n")
    with pytest.raises(WrongPassword, match=f"It came from {wrong}"):
        open_signer(home, password_file=wrong)
