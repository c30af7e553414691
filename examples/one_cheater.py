"""One of several nodes cheats, and nobody is told which.

    python -m examples.one_cheater draw --seal FILE HOME HOME ...
    python -m examples.one_cheater --seal FILE node start --home HOME

`draw` picks one of the homes at random and writes the choice to FILE, readable by its owner alone.
The second form is `ainur` for all homes alike, except that the drawn one gets the cheating worker
(examples/cheating_worker.py). A demonstration draws, starts every node through this launcher, and
opens the seal only at its end, to compare it with whom the audits found.
"""

import argparse
import json
import os
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

from node.cli.main import run
from node.errors import BadInput
from node.files import PRIVATE, read_text, write_atomic
from node.home import Home

WORKER_VARIABLE = "AINUR_WORKER_MODULE"
CHEATING_WORKER = "examples.cheating_worker"


def draw(seal: Path, homes: Sequence[Path]) -> None:
    """Choose one home and write it to `seal`, replacing an older choice."""
    chosen = secrets.choice([str(Home.find(home).path) for home in homes])
    write_atomic(seal, json.dumps({"cheater": chosen}).encode(), mode=PRIVATE)


def open_seal(seal: Path) -> Path:
    """The home that was drawn; BadInput where the file holds no draw."""
    text = read_text(seal, "sealed draw", remedy="Draw first: python -m examples.one_cheater draw.")
    try:
        return Path(json.loads(text)["cheater"])
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{seal} does not hold a sealed draw.") from error


def home_of(arguments: Sequence[str]) -> Path:
    """The home that a command line of `ainur` is about: `--home H`, `--home=H` or the default."""
    chosen = None
    for argument, following in zip(arguments, [*arguments[1:], None], strict=True):
        if argument == "--home":
            chosen = following
        elif argument.startswith("--home="):
            chosen = argument.removeprefix("--home=")
    return Home.find(chosen).path


def launch(seal: Path, arguments: Sequence[str]) -> int:
    """Run `ainur` with these arguments, with the cheating worker in the drawn home; exit code."""
    if home_of(arguments) == open_seal(seal):
        os.environ[WORKER_VARIABLE] = CHEATING_WORKER
    return run(arguments)


def main(arguments: Sequence[str]) -> int:
    """Draw or launch, as the arguments say; the exit code."""
    parser = argparse.ArgumentParser(prog="examples.one_cheater", add_help=False)
    parser.add_argument("--seal", type=Path, required=True)
    if arguments[:1] == ["draw"]:
        parser.add_argument("homes", type=Path, nargs="+")
        options = parser.parse_args(arguments[1:])
        draw(options.seal, options.homes)
        return 0
    options, rest = parser.parse_known_args(arguments)
    try:
        return launch(options.seal, rest)
    except BadInput as error:
        print(error, file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
