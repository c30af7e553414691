"""Daemons and commands as their owner meets them: starts, ends, refusals and exit codes."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine import state as tensors
from engine.commitment import state_root
from node.config import set_value
from node.home import Home
from node.ledger import JobState
from node.network_file import load_network, save_network

ROOT = Path(__file__).parents[2]
NOBODY = "/ip4/127.0.0.1/tcp/9/p2p/12D3KooWKBtukagPeA2SoPpCY9dHFWjQk7V5kVmPrhvz7tezwGJQ"
"""The discard port: nobody listens there."""


@pytest.fixture
def command() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start `ainur` with arguments in a process of its own."""
    started: list[subprocess.Popen[str]] = []

    def start(home: Home, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "node.cli.main", *arguments, "--home", str(home.path)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def check_refusal(process: subprocess.Popen[str], code: int, *told: str) -> None:
    """The exit code, and one line on stderr that tells a person what and how to mend it."""
    out, err = process.communicate(timeout=240)
    assert process.returncode == code, err
    check_line(out, err, *told)


def check_line(out: str, err: str, *told: str) -> None:
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("error: ")
    assert all(text in line for text in told), line


def test_node_that_cannot_start_says_why(
    network: Callable[[int], Any], command: Callable[..., subprocess.Popen[str]]
) -> None:
    """Wrong password, no chain, no such device: a code of its own, one line, no process left."""
    running = network(0)
    locked, cut_off, blind = running.add(3)
    (locked.path / "password").write_text("wrong\n")
    set_value(cut_off.config, "rpc_endpoints", "http://127.0.0.1:9")
    set_value(blind.config, "device", "no such device")
    processes = [command(home, "node", "start") for home in (locked, cut_off, blind)]
    check_refusal(processes[0], 6, "password")
    check_refusal(processes[1], 4, "127.0.0.1:9")
    check_refusal(processes[2], 3, "no such device", "ainur node devices")


def test_one_daemon_from_start_to_end(
    network: Callable[[int], Any], command: Callable[..., subprocess.Popen[str]]
) -> None:
    """Status, a second daemon on its home, devices, two ways to end it; a look after each."""
    running = network(1)
    (home,) = running.homes
    check_refusal(command(home, "node", "start"), 1, "Another node is running on this home folder")
    status = running.ainur(home, "node", "status", "--json").json
    assert (status["wallet"], status["active"]) == (running.address(home), True)
    assert status["activity"].startswith("idle: no funded job")
    shown = running.ainur(home, "node", "status")
    assert (shown.code, shown.err) == (0, "")
    assert f"wallet\t{running.address(home)}" in shown.out
    worker = running.compute_workers(home)
    assert len(worker) == 1
    stopped = running.ainur(home, "node", "stop")
    assert (stopped.code, stopped.out) == (0, "")
    assert f"process {status['pid']}) has ended" in stopped.err
    running.wait("the compute worker ends", lambda: not running.compute_workers(home))
    for action in ("status", "stop"):
        refused = running.ainur(home, "node", action)
        assert refused.code == 8
        check_line(refused.out, refused.err, "ainur node start")
    running.start()
    assert running.swarm.drain(home) == 0
    running.wait("the compute worker ends", lambda: not running.compute_workers(home))
    assert not home.api.exists()
    assert "Traceback" not in (home.logs / "node.log").read_text()


def test_devices_are_listed(network: Callable[[int], Any]) -> None:
    """As many as the engine finds, in a table and as JSON; no home is needed."""
    running = network(0)
    outcome = running.run("node", "devices", "--json")
    assert outcome.code == 0, outcome.err
    assert [device["index"] for device in outcome.json] == list(range(len(outcome.json)))
    table = running.run("node", "devices").out.splitlines()
    assert table[0].split("\t")[:3] == ["index", "kind", "name"]
    assert len(table) == 1 + len(outcome.json)


def test_sigterm_finishes_the_unit_under_way(network: Callable[[int], Any], small_job: Any) -> None:
    """A node that drains in the middle of a job ends well, and takes up the job again."""
    running = network(1)
    (home,) = running.homes
    job_id = running.submit(small_job.file)
    running.wait("a unit is computed", lambda: running.status(home).units_computed)
    assert running.swarm.drain(home) == 0
    log = (home.logs / "node.log").read_text()
    assert "signal 15: draining" in log
    assert "Traceback" not in log
    running.start()
    assert running.wait_for_end(job_id).state is JobState.COMPLETED


def test_job_commands_from_file_to_weights(
    network: Callable[[int], Any], small_job: Any, tmp_path: Path
) -> None:
    """validate, quote, submit, list, show, watch, get, as the owner of the job calls them."""
    running = network(1)
    owner = running.submitter
    validated = running.run("job", "validate", small_job.file, "--json").json
    assert (validated["valid"], validated["manifest"]["rounds"]) == (True, 3)
    quoted = running.ainur(owner, "job", "quote", small_job.file, "--json").json
    submitted = running.ainur(owner, "job", "submit", small_job.file)
    assert submitted.code == 0, submitted.err
    job_id = submitted.out.strip()
    assert "1 peers hold the job; you may go offline" in submitted.err
    once_more = running.ainur(owner, "job", "submit", small_job.file)
    assert once_more.out.strip() == job_id
    assert "offered again, not paid again" in once_more.err
    watched = running.ainur(owner, "job", "watch", job_id, "--json")
    assert watched.code == 0, watched.err
    lines = [json.loads(line) for line in watched.out.splitlines()]
    assert (lines[-1]["state"], lines[-1]["round"]) == ("completed", 3)
    assert len(lines) > 3
    listed = running.ainur(owner, "job", "list", "--json").json
    (mine,) = (job for job in listed if job["job_id"] == job_id)
    assert mine["deposited_wei"] == quoted["total_wei_max"]
    assert mine["checkpoints"][-1] == f"0x{small_job.digest.hex()}"
    shown = running.ainur(owner, "job", "show", job_id[:14])
    assert (shown.code, "state\tcompleted" in shown.out) == (0, True)
    out = tmp_path / "weights.safetensors"
    got = running.ainur(owner, "job", "get", job_id, "--out", out, "--json")
    assert got.code == 0, got.err
    assert got.json["checkpoint"] == f"0x{small_job.digest.hex()}"
    assert state_root(tensors.decode(out.read_bytes())) == small_job.digest
    early = running.ainur(owner, "job", "get", job_id, "--out", out, "--round", 9)
    assert early.code == 2
    check_line(early.out, early.err, "Round 9 is not final")


def test_refusals_of_job_commands(
    network: Callable[[int], Any],
    small_job: Any,
    tmp_path: Path,
    command: Callable[..., subprocess.Popen[str]],
) -> None:
    """A bad file, an unknown job, no money, nobody there: nothing is spent, one line each."""
    running = network(0)
    owner = running.submitter
    save_network(owner.network, load_network(owner.network).with_bootstrap(NOBODY))
    lonely = command(owner, "job", "submit", str(small_job.file))
    poor = running.devnet.home(tmp_path / "poor", tokens_wei=0)
    save_network(poor.network, load_network(running.add(1)[0].network))
    folder = tmp_path / "bad"
    shutil.copytree(small_job.file.parent, folder)
    text = small_job.file.read_text()
    (folder / "job.toml").write_text(text.replace("rounds = 3", "rounds = -3"))
    bad = running.run("job", "validate", folder / "job.toml")
    assert bad.code == 2
    check_line(bad.out, bad.err, "rounds", "-3")
    missing = running.run("job", "quote", tmp_path / "none.toml")
    assert missing.code == 2
    check_line(missing.out, missing.err, "none.toml")
    unknown = running.ainur(owner, "job", "show", "ab" * 32)
    assert unknown.code == 2
    check_line(unknown.out, unknown.err, "ainur job list")
    none_final = running.ainur(owner, "job", "get", "zz", "--out", tmp_path / "x")
    assert none_final.code == 2
    check_line(none_final.out, none_final.err, "'zz' is not a job id")
    check_refusal(lonely, 7, "bootstrap")
    assert not [j for j in running.ledger().jobs.values() if j.submitter == running.address(owner)]
    running.start()
    broke = running.ainur(poor, "job", "submit", small_job.file)
    assert broke.code == 5
    check_line(broke.out, broke.err, "0 AIN", "Send tokens")
