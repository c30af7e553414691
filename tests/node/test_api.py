"""The loopback API: status for whoever has the token, nothing for anybody else."""

import http.client
import json
import stat
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trio

from node.api import serve_api
from node.api_client import ApiClient
from node.errors import NodeNotRunning
from node.status import NodeStatus

STATUS = NodeStatus(
    version="0", peer_id="p", wallet="w", pid=1, uptime_s=0.5, device="d", peers=0, bond_wei=10**21,
    active=True, chain_block=3, units_computed=1, audits_computed=0, units_lost=0, flops=2,
    compute_s=0.1, gflops_per_s=0.0, earned_wei=5, claimed_wei=4, draining=False, activity="idle",
)  # fmt: skip


def while_served(api_file: Path, ask: Callable[[], object], stopped: list[bool]) -> object:
    """What `ask`, a blocking function, returns while the API is up."""

    async def run() -> object:
        serving = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(
                serve_api,
                api_file,
                0,
                lambda: STATUS,
                lambda job_id: {"round": 1} if job_id == "known" else None,
                lambda: stopped.append(True),
                serving,
            )
            await serving.wait()
            answer = await trio.to_thread.run_sync(ask)
            nursery.cancel_scope.cancel()
        return answer

    return trio.run(run)


def test_the_client_reads_what_the_daemon_says(tmp_path: Path) -> None:
    """Status, a known job, an unknown one, and the request to stop."""
    api_file, stopped = tmp_path / "api.json", list[bool]()

    def ask() -> object:
        client = ApiClient(api_file)
        mode = stat.S_IMODE(api_file.stat().st_mode)
        client.stop()
        return client.status(), client.job("known"), client.job("other"), mode

    assert while_served(api_file, ask, stopped) == (STATUS, {"round": 1}, None, 0o600)
    assert stopped == [True]
    assert not api_file.exists()


@pytest.mark.parametrize("header", [None, "Bearer wrong", "Basic x", "Bearer "])
def test_without_the_token_there_is_nothing(tmp_path: Path, header: str | None) -> None:
    """Neither reading nor stopping works for another user of the machine."""
    api_file, stopped = tmp_path / "api.json", list[bool]()

    def ask() -> object:
        url = urlsplit(json.loads(api_file.read_text())["url"])
        answers = []
        for method, path in (("GET", "/status"), ("GET", "/jobs/known"), ("POST", "/stop")):
            connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=10)
            connection.request(method, path, headers={"Authorization": header} if header else {})
            response = connection.getresponse()
            answers.append((response.status, b"round" in response.read()))
            connection.close()
        return answers

    assert while_served(api_file, ask, stopped) == [(401, False)] * 3
    assert stopped == []


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"url": "http://127.0.0.1:9"}'])
def test_a_daemon_that_does_not_run_is_said_so(tmp_path: Path, content: str | None) -> None:
    """No file, half a file, or one left behind: one clear error with the remedy."""
    api_file = tmp_path / "api.json"
    if content is not None:
        api_file.write_text(content)
    with pytest.raises(NodeNotRunning, match="ainur node start"):
        ApiClient(api_file).status()


def test_a_stale_file_is_a_daemon_that_does_not_run(tmp_path: Path) -> None:
    """After kill -9 the file names a port where nobody listens."""
    api_file = tmp_path / "api.json"
    api_file.write_text(json.dumps({"url": "http://127.0.0.1:1", "token": "t"}))
    with pytest.raises(NodeNotRunning):
        ApiClient(api_file).status()
