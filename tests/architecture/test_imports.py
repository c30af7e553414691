"""The invariants of ARCHITECTURE.md that can be read off the imports."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("engine", "scheduler", "node")

FORBIDDEN = {
    "engine": {"scheduler", "node", "trio", "socket", "time", "random", "secrets", "asyncio"},
    "scheduler": {"node", "trio", "socket", "time", "random", "secrets", "asyncio", "numpy", "os"},
    "node": {"examples", "tests", "benchmarks"},
}
"""What no module of a package may import: imports point one way, and purity has no clock."""

SINGLE_IMPORTERS = {
    "pyopencl": "engine/opencl.py",
    "libp2p": "node/transport/",
    "web3": "node/chain/rpc.py",
}
"""Libraries of the outside world, each with the one module, or package, that may import it."""

SCHEDULER_MAY_IMPORT = {"program", "dtypes", "ops", "commitment", "errors"}
"""What of the engine the state machine may know."""
WRITERS = {"diloco.py", "compression.py", "robust.py"}
"""What writes Programs and is not part of the machine."""
WRITERS_MAY_IMPORT = {
    "functional", "methods", "nn", "optim", "sorting", "state", "tensor", "trace",
}  # fmt: skip
"""What of the engine they may know besides."""


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Every module that a file names in an import, with dots."""
    names: set[str] = set()
    for item in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(item, ast.Import):
            names.update(alias.name for alias in item.names)
        elif isinstance(item, ast.ImportFrom) and item.module:
            names.add(item.module)
            names.update(f"{item.module}.{alias.name}" for alias in item.names)
    return names


@pytest.mark.parametrize("package", PACKAGES)
def test_package_imports_only_inwards(package: str) -> None:
    """engine <- scheduler <- node, and nothing pure touches a clock, a socket or chance."""
    for path in modules(package):
        tops = {name.split(".")[0] for name in imported(path)}
        assert not tops & FORBIDDEN[package], f"{path.relative_to(ROOT)}: {tops}"


@pytest.mark.parametrize(("library", "home"), SINGLE_IMPORTERS.items())
def test_library_has_one_importer(library: str, home: str) -> None:
    """Each library that reaches outside is imported in one place."""
    users = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in modules(package)
        if any(name.split(".")[0] == library for name in imported(path))
    }
    assert users
    assert all(user == home or (home.endswith("/") and user.startswith(home)) for user in users)


def test_scheduler_knows_only_program_types() -> None:
    """The scheduler sees what a Program is, never how one is executed; three modules write them."""
    for path in modules("scheduler"):
        engine = {n.split(".")[1] for n in imported(path) if n.startswith("engine.")}
        more = WRITERS_MAY_IMPORT if path.name in WRITERS else set()
        assert engine <= SCHEDULER_MAY_IMPORT | more, f"{path.relative_to(ROOT)}: {engine}"
        if path.name not in WRITERS:
            written = {f"scheduler.{name.removesuffix('.py')}" for name in WRITERS}
            assert not written & imported(path), path.name


def test_scheduler_never_awaits() -> None:
    """A state machine is a function: no coroutine in the scheduler."""
    for path in modules("scheduler"):
        for item in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert not isinstance(item, ast.AsyncFunctionDef | ast.Await), path.name


def test_time_of_day_is_read_in_one_place() -> None:
    """A clock that is wrong, or put right, is wrong for all of a node: see node/clock.py."""
    for path in modules("node"):
        text = path.read_text(encoding="utf-8")
        asks = "time.time" in text or ".now(" in text.replace("self.now(", "").replace(
            "_book.now(", ""
        )
        assert asks == (path.name == "clock.py"), path.name


def test_third_party_imports_are_declared() -> None:
    """Whatever the product imports is a dependency in pyproject.toml."""
    declared = {
        "numpy", "pyopencl", "pydantic", "libp2p", "web3", "trio", "click", "rich", "safetensors",
        "starlette", "hypercorn", "multiaddr", "nacl", "eth_keys", "eth_account", "eth_abi",
        "eth_utils", "eth_typing", "requests", "urllib3",
        "matplotlib",  # of the extra `plot`, imported when a picture is asked for
    }  # fmt: skip
    allowed = declared | set(sys.stdlib_module_names) | set(PACKAGES)
    for package in PACKAGES:
        for path in modules(package):
            tops = {name.split(".")[0] for name in imported(path)}
            assert tops <= allowed | {"examples"}, f"{path.relative_to(ROOT)}: {tops - allowed}"
