"""An endpoint that misbehaves on demand, before the real one."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from node.chain import rpc
from node.devnet import Devnet
from node.network_file import NetworkFile

ALWAYS = 10**9


class Hostile:
    """A process of hostile.py."""

    def __init__(self, devnet: Devnet) -> None:
        script = Path(__file__).with_name("hostile.py")
        self.process = subprocess.Popen(
            [sys.executable, "-S", str(script), devnet.endpoint],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        self._network = devnet.network

    def network(self, *others: str) -> NetworkFile:
        """The devnet, reached through this endpoint first."""
        return self._network.with_endpoints(self.url, *others)

    def does(self, *faults: dict[str, Any]) -> None:
        """What goes wrong from now on; forgets what was asked."""
        made = [{"times": ALWAYS, **fault} for fault in faults]
        with urllib.request.urlopen(f"{self.url}/faults", json.dumps(made).encode()):
            pass

    def asked(self, method: str) -> list[Any]:
        """The parameters of each request for a method."""
        with urllib.request.urlopen(f"{self.url}/asked") as response:
            return [parameters for name, parameters in json.load(response) if name == method]

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


@pytest.fixture(scope="session")
def hostile_process(devnet: Devnet) -> Iterator[Hostile]:
    endpoint = Hostile(devnet)
    yield endpoint
    endpoint.close()


@pytest.fixture
def hostile(hostile_process: Hostile, monkeypatch: pytest.MonkeyPatch) -> Hostile:
    """The endpoint without faults, and a client that asks again at once."""
    monkeypatch.setattr(rpc, "BACKOFF_S", 0.01)
    monkeypatch.setattr(rpc, "ANSWER_BYTES_MAX", 1 << 20)
    hostile_process.does()
    return hostile_process
