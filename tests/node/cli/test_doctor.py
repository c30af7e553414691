"""`ainur doctor`: what keeps a machine from taking part, with the remedy and an exit code."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine import tuning
from engine.backend import open_backend
from node import doctor
from node.config import set_value
from node.deployment import AIN
from node.device_fault import write_fault
from node.devnet import Devnet
from node.network_file import save_network


def levels(outcome: Any) -> dict[str, str]:
    return {finding["check"]: finding["level"] for finding in outcome.json}


def test_without_a_home_it_says_so(ainur: Callable[..., Any], tmp_path: Path) -> None:
    """The device is checked first: it needs no home."""
    outcome = ainur("doctor", "--home", tmp_path / "none", "--json")
    assert outcome.code == 2
    assert levels(outcome) == {"device 0": "ok", "bits": "ok", "home": "fail"}
    assert "ainur init" in outcome.json[-1]["remedy"]


def test_a_bonded_home_can_take_part(
    ainur: Callable[..., Any], devnet: Devnet, tmp_path: Path
) -> None:
    """Everything is well but that no peer runs, which keeps nobody from starting."""
    home = devnet.home(tmp_path / "home", bond_wei=200 * AIN)
    outcome = ainur("doctor", "--home", home.path, "--json")
    # Nobody runs this node: on a chain that tests share it must not be drawn as an auditor.
    assert ainur("stake", "remove", "--all", "--home", home.path).code == 0
    found = levels(outcome)
    assert outcome.code == 0, outcome.out
    assert found.pop("peers") == "warn"
    assert found.pop("disk") in ("ok", "warn")
    assert found.pop("clock", "warn") == "warn"
    assert set(found) == {
        "device 0",
        "bits",
        "home",
        "wallet",
        "network",
        "chain",
        "referee",
        "bond",
    }
    assert set(found.values()) == {"ok"}


def test_a_missing_bond_is_a_warning_with_the_remedy(
    ainur: Callable[..., Any], devnet: Devnet, tmp_path: Path
) -> None:
    """A node may start before it is bonded."""
    home = devnet.home(tmp_path / "home")
    outcome = ainur("doctor", "--home", home.path, "--json")
    (bond,) = [f for f in outcome.json if f["check"] == "bond"]
    assert outcome.code == 0
    assert bond["level"] == "warn"
    assert bond["remedy"] == "Bond with `ainur stake add AMOUNT`."


def test_an_empty_wallet_is_told_how_it_gets_money(
    ainur: Callable[..., Any], devnet: Devnet, tmp_path: Path
) -> None:
    """A stranger's home on a network: gas and tokens come before the bond."""
    password = tmp_path / "password"
    password.write_text("secret\n")
    network = tmp_path / "network.json"
    save_network(network, devnet.network)
    home = ("--home", tmp_path / "home")
    ainur("init", *home, "--network", network, "--password-file", password)
    outcome = ainur("doctor", *home, "--json")
    remedies = {finding["check"]: finding["remedy"] for finding in outcome.json}
    assert "ainur wallet send 0x" in remedies["gas"]
    assert "holds 0 AIN: send it more" in remedies["bond"]
    warned = sum(level == "warn" for level in levels(outcome).values())
    assert outcome.err == f"{warned} checks can wait: the node can start, but see the remedies\n"


def test_an_unknown_device_and_a_dead_chain_fail_with_their_codes(
    ainur: Callable[..., Any], devnet: Devnet, tmp_path: Path
) -> None:
    """The first failure gives the exit code; the others are listed too."""
    home = devnet.home(tmp_path / "home")
    save_network(home.network, devnet.network.with_endpoints("http://127.0.0.1:9"))
    outcome = ainur("doctor", "--home", home.path, "--json")
    assert outcome.code == 4
    assert levels(outcome)["chain"] == "fail"
    set_value(home.config, "device", "no such device")
    outcome = ainur("doctor", "--home", home.path, "--json")
    assert outcome.code == 3
    assert levels(outcome)["bits"] == levels(outcome)["chain"] == "fail"


def test_people_get_a_table(ainur: Callable[..., Any], tmp_path: Path) -> None:
    """Data on stdout, the count of failures on stderr."""
    outcome = ainur("doctor", "--home", tmp_path / "none")
    assert outcome.out.splitlines()[0].startswith("check\t")
    assert outcome.err == "1 check failed\n"


def test_a_marked_device_works_again_once_it_passes(
    ainur: Callable[..., Any], devnet: Devnet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It must return the golden vectors' bits many times over; what it did is told once more."""
    home = devnet.home(tmp_path / "home")
    device = open_backend()
    write_fault(home.device_fault, device.name, "computed ADD wrongly")
    wrong = "mul(0x1, 0x3f800000): expected 0x1, got 0x0"
    results = [[], [], [wrong]]
    monkeypatch.setattr(doctor, "check_device", lambda _: results.pop(0) if results else [])
    outcome = ainur("doctor", "--home", home.path, "--json")
    (bits,) = [f for f in outcome.json if f["check"] == "bits"]
    assert (outcome.code, bits["level"], bits["found"]) == (3, "fail", wrong)
    assert home.device_fault.exists()
    outcome = ainur("doctor", "--home", home.path, "--json")
    (fault,) = [f for f in outcome.json if f["check"] == "fault"]
    assert (outcome.code, fault["level"]) == (0, "warn")
    assert "computed ADD wrongly" in fault["found"]
    assert not home.device_fault.exists()


def test_tiles_are_tuned_and_forgotten_on_request(
    ainur: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Progress is for people, on stderr; what was chosen is one more finding."""
    trials = [tuning.Trial((5, 2, 8), 1.25), tuning.Trial((4, 3, 8), refused="wrong bits")]
    monkeypatch.setattr(tuning, "TILES", tuple(trial.tile for trial in trials))
    monkeypatch.setattr(tuning, "_tried", lambda index, tile, clock: trials.pop(0))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    outcome = ainur("doctor", "--home", tmp_path / "none", "--json", "--tune")
    (tiles,) = [f for f in outcome.json if f["check"] == "tiles"]
    assert (outcome.code, tiles["level"]) == (2, "ok")  # there is no home
    assert tiles["found"] == "5x2x8 from the next start on"
    assert "tile 5x2x8: 1.25 times as fast as the default\n" in outcome.err
    assert "tile 4x3x8: wrong bits\n" in outcome.err
    kept = tmp_path / ".cache" / "ainur" / "tiles.json"
    assert "[\n" in kept.read_text()
    outcome = ainur("doctor", "--home", tmp_path / "none", "--json", "--forget-tuning")
    assert "tiles" not in levels(outcome)
    assert not kept.exists()
