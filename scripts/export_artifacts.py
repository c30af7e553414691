"""Writes node/artifacts/<Name>.json, ABI and creation bytecode, from a Hardhat build.

    .venv/bin/npx hardhat build --no-tests && .venv/bin/python scripts/export_artifacts.py

The wheel carries these files, so that Python deploys and calls the contracts without Node. Keys are
sorted and nothing else is kept, so the same sources and compiler give the same bytes.
"""

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "artifacts"
TARGET = ROOT / "node" / "artifacts"

OWN = (
    "AinurGovernor",
    "AuditCommittee",
    "BondVault",
    "ComputeToken",
    "EmissionController",
    "FirstBonds",
    "JobEscrow",
    "NetworkParameters",
    "RefereeSeat",
    "RewardDistributor",
    "WorkLedger",
)
SOURCES = {name: f"contracts/{name}.sol/{name}.json" for name in OWN} | {
    "TimelockController": "@openzeppelin/contracts/governance/"
    "TimelockController.sol/TimelockController.json"
}


def render(build: Path) -> dict[str, str]:
    """The text of every artifact file by contract name; FileNotFoundError without a build."""
    return {name: _slim(build / source) for name, source in sorted(SOURCES.items())}


def _slim(path: Path) -> str:
    artifact = json.loads(path.read_text(encoding="utf-8"))
    kept = {"abi": artifact["abi"], "bytecode": artifact["bytecode"]}
    return json.dumps(kept, sort_keys=True, separators=(",", ":")) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=BUILD, help="Hardhat's artifacts folder")
    parser.add_argument("--target", type=Path, default=TARGET, help="where the files go")
    arguments = parser.parse_args()
    try:
        files = render(arguments.build)
    except FileNotFoundError as error:
        print(f"no build at {error.filename}: run `npx hardhat build` first", file=sys.stderr)
        return 2
    arguments.target.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (arguments.target / f"{name}.json").write_text(text, encoding="utf-8")
    print(f"wrote {len(files)} artifacts to {arguments.target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
