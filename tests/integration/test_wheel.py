"""The built wheel, away from the repository: what a stranger installs is complete."""

import json
import os
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest

from node.devnet import Devnet

ROOT = Path(__file__).parents[2]
PATIENCE_S = 240.0


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`ainur` in a virtual environment that has the wheel and, of ours, nothing else.

    The dependencies are those of the environment that runs the tests; the wheel's own metadata
    names them, which is compared below.
    """
    folder = tmp_path_factory.mktemp("wheel")
    run = subprocess.run
    run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=ROOT,
        check=True, capture_output=True)  # fmt: skip
    (wheel,) = folder.glob("*.whl")
    base = Path(sys.base_prefix) / "bin" / "python3"
    run([base, "-m", "venv", folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    install = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    run([python, *install, "--disable-pip-version-check", wheel], check=True)
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return folder / "venv" / "bin" / "ainur"


def ainur(program: Path, home: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the installed command in an empty folder, without any of the tester's settings."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(home.parent), "AINUR_PASSWORD": "secret"}
    return subprocess.run(
        [str(part) for part in (program, *arguments, "--home", home)],
        cwd=home.parent,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_wheel_joins_a_network(installed: Path, devnet: Devnet, tmp_path: Path) -> None:
    """`init`, `doctor` and `node start` against nothing but a network file."""
    network, home = tmp_path / "network.json", tmp_path / "home"
    network.write_bytes(devnet.network.to_bytes())
    made = ainur(installed, home, "init", "--network", network)
    assert made.returncode == 0, made.stderr
    checked = ainur(installed, home, "doctor", "--json")
    assert checked.returncode == 0, checked.stderr
    found = {finding["check"]: finding["level"] for finding in json.loads(checked.stdout)}
    assert found["bits"] == found["chain"] == "ok"
    for setting, value in (("listen_host", "127.0.0.1"), ("chain_poll_s", "0.2")):
        assert ainur(installed, home, "config", "set", setting, value).returncode == 0
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "AINUR_PASSWORD": "secret"}
    with (tmp_path / "log").open("wb") as log:
        node = subprocess.Popen(
            [installed, "node", "start", "--home", home], cwd=tmp_path, env=environment,
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        give_up = time.monotonic() + PATIENCE_S
        while (status := ainur(installed, home, "node", "status", "--json")).returncode:
            assert node.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < give_up, status.stderr
        said = json.loads(status.stdout)
        assert "bond is below the minimum" in said["activity"]
        assert ainur(installed, home, "node", "stop").returncode == 0
        assert node.wait(30) == 0
    finally:
        node.kill()
        node.wait()


def test_the_wheel_says_what_needs_a_checkout(installed: Path, tmp_path: Path) -> None:
    """`demo` and `devnet` are of no use outside the repository and say so."""
    done = subprocess.run(
        [installed, "demo"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "needs a source checkout" in done.stderr
    assert not (tmp_path / ".demo").exists()
