"""Daemons and commands as their owner meets them: starts, ends, refusals and exit codes."""

import functools
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
from node.network_file import save_network

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
    network: Callable[[int], Any],
    small_job: Any,
    command: Callable[..., subprocess.Popen[str]],
) -> None:
    """It keeps its home to itself, drains in the middle of a job, goes on with it, and stops."""
    running = network(1)
    (home,) = running.homes
    second = command(home, "node", "start")
    status = running.ainur(home, "node", "status", "--json").json
    assert (status["wallet"], status["active"]) == (running.address(home), True)
    assert status["activity"].startswith("idle: no funded job")
    shown = running.ainur(home, "node", "status")
    assert (shown.code, shown.err) == (0, "")
    assert f"wallet\t{running.address(home)}" in shown.out
    check_refusal(second, 1, "Another node is running on this home folder")
    assert len(running.compute_workers(home)) == 1
    job_id = running.submit(small_job.file)
    running.wait("a unit is computed", lambda: running.status(home).units_computed)
    check_end(running, home, lambda: running.swarm.drain(home) == 0)
    for action in ("status", "stop"):
        refused = running.ainur(home, "node", action)
        assert refused.code == 8
        check_line(refused.out, refused.err, "ainur node start")
    running.start()
    pid = running.status(home).pid
    assert running.wait_for_end(job_id).state is JobState.COMPLETED
    stopped = running.ainur(home, "node", "stop")
    assert (stopped.code, stopped.out) == (0, "")
    assert f"process {pid}) has ended" in stopped.err
    check_end(running, home, lambda: running.swarm.drain(home) == 0)


def check_end(running: Any, home: Home, end: Callable[[], bool]) -> None:
    """Exit code 0, no compute worker, no file that tells of a running daemon, no traceback."""
    assert end()
    running.wait("the compute worker ends", lambda: not running.compute_workers(home))
    assert not home.api.exists()
    log = (home.logs / "node.log").read_text()
    assert "draining" in log or "stop" in log
    assert "Traceback" not in log


def test_devices_are_listed(network: Callable[[int], Any]) -> None:
    """As many as the engine finds, in a table and as JSON; no home is needed."""
    running = network(0)
    outcome = running.run("node", "devices", "--json")
    assert outcome.code == 0, outcome.err
    assert [device["index"] for device in outcome.json] == list(range(len(outcome.json)))
    table = running.run("node", "devices").out.splitlines()
    assert table[0].split("\t")[:3] == ["index", "kind", "name"]
    assert len(table) == 1 + len(outcome.json)


def test_job_commands_from_file_to_weights(
    network: Callable[[int], Any],
    small_job: Any,
    tmp_path: Path,
    command: Callable[..., subprocess.Popen[str]],
) -> None:
    """What an owner does, and what is refused: nothing is spent then, and one line tells why."""
    running = network(1)
    owner = running.submitter
    lonely, poor = submitters(running, tmp_path)
    unheard = command(lonely, "job", "submit", str(small_job.file))
    broke = running.ainur(poor, "job", "submit", small_job.file)
    assert broke.code == 5
    check_line(broke.out, broke.err, "0 AIN", "Send tokens")
    job_id = check_submission(running, small_job.file)
    watched = running.ainur(owner, "job", "watch", job_id, "--json")
    assert watched.code == 0, watched.err
    lines = [json.loads(line) for line in watched.out.splitlines()]
    assert (lines[-1]["state"], lines[-1]["round"]) == ("completed", 3)
    assert len(lines) > 3
    told = [row for line in lines for row in line["new_rounds"]]
    assert [row["round"] for row in told] == [1, 2, 3]
    assert told[-1]["loss"] == lines[-1]["metrics"]["loss"]
    check_again(running, small_job.file, job_id)
    check_result(running, job_id, small_job.digest, tmp_path / "weights.safetensors")
    check_refusal(unheard, 7, "bootstrap")
    payers = {job.submitter for job in running.ledger().jobs.values()}
    assert not payers & {running.address(lonely), running.address(poor)}


def submitters(running: Any, folder: Path) -> tuple[Home, Home]:
    """One whose network file names only a peer that is gone, and one without money."""
    lonely = running.devnet.home(folder / "lonely")
    save_network(lonely.network, running.network.with_bootstrap(NOBODY))
    poor = running.devnet.home(folder / "poor", tokens_wei=0)
    save_network(poor.network, running.network)
    return lonely, poor


def check_submission(running: Any, file: Path) -> str:
    """validate, quote, submit, and submit once more; the job's id."""
    owner = running.submitter
    validated = running.run("job", "validate", file, "--json").json
    assert (validated["valid"], validated["manifest"]["rounds"]) == (True, 3)
    quoted = running.ainur(owner, "job", "quote", file, "--json").json
    submitted = running.ainur(owner, "job", "submit", file)
    assert submitted.code == 0, submitted.err
    job_id = str(submitted.out.strip())
    assert "1 peers hold the job; you may go offline" in submitted.err
    once_more = running.ainur(owner, "job", "submit", file)
    assert once_more.out.strip() == job_id
    assert "offered again, not paid again" in once_more.err
    job = running.job(bytes.fromhex(job_id.removeprefix("0x")))
    assert job.deposited_wei == quoted["total_wei_max"]
    return job_id


def check_result(running: Any, job_id: str, digest: bytes, out: Path) -> None:
    """list, show and get: the same digest everywhere."""
    owner = running.submitter
    listed = running.ainur(owner, "job", "list", "--json").json
    (mine,) = (job for job in listed if job["job_id"] == job_id)
    assert mine["checkpoints"][-1] == f"0x{digest.hex()}"
    shown = running.ainur(owner, "job", "show", job_id[:14])
    assert (shown.code, "state\tcompleted" in shown.out) == (0, True)
    got = running.ainur(owner, "job", "get", job_id, "--out", out, "--json")
    assert got.code == 0, got.err
    assert got.json["checkpoint"] == f"0x{digest.hex()}"
    assert state_root(tensors.decode(out.read_bytes())) == digest
    check_units(running, job_id)
    check_metrics(running, job_id, out.with_name("metrics.jsonl"))
    early = running.ainur(owner, "job", "get", job_id, "--out", out, "--round", 9)
    assert early.code == 2
    check_line(early.out, early.err, "Round 9 is not final")


def check_again(running: Any, file: Path, job_id: str) -> None:
    """A completed job is not paid again: the refusal names it, and how to insist."""
    again = running.ainur(running.submitter, "job", "submit", file)
    assert again.code == 2
    check_line(again.out, again.err.splitlines()[-1], job_id, "--again")


def check_units(running: Any, job_id: str) -> None:
    """Every wei belongs to a unit, every unit says how long it took; one of them is recomputed."""
    owner = running.submitter
    shown = running.ainur(owner, "job", "show", job_id, "--json").json
    assert shown["unexplained_wei"] == {}
    assert sum(sum(unit["paid_wei"].values()) for unit in shown["units"]) == shown["paid_wei"]
    assert [(u["round"], u["slot"]) for u in shown["units"]] == [
        (round, slot) for round in (1, 2, 3) for slot in range(4)
    ]
    assert all(unit["computed_s"] > 0 for unit in shown["units"])
    replayed = running.ainur(owner, "job", "replay", job_id, "--round", 3, "--slot", 2)
    assert replayed.code == 0, replayed.err
    assert "round 3/3 slot 2: equal" in replayed.err


def check_metrics(running: Any, job_id: str, file: Path) -> None:
    """Five steps of four slots and an evaluation, three times; told and computed here alike."""
    rows: dict[bool, list[Any]] = {}
    for here in (False, True):
        options = ["--metrics", file, *(["--evaluate"] if here else [])]
        got = running.ainur(running.submitter, "job", "get", job_id, *options)
        assert got.code == 0, got.err
        rows[here] = [json.loads(line) for line in file.read_text().splitlines()]
    told, computed = ([r for r in rows[h] if "evaluation" in r] for h in (False, True))
    assert len(rows[False]) == 3 * (4 * 5 + 1)
    assert [row["evaluation"] for row in (told[0], computed[0])] == ["told", "recomputed"]
    assert [row["loss"] for row in told] == [row["loss"] for row in computed]


def test_bad_arguments_of_job_commands(
    network: Callable[[int], Any], small_job: Any, tmp_path: Path
) -> None:
    """A wrong field, no file, no such job, no job id: exit 2 and one line each."""
    running = network(0)
    folder = tmp_path / "bad"
    shutil.copytree(small_job.file.parent, folder)
    text = small_job.file.read_text()
    (folder / "job.toml").write_text(text.replace("rounds = 3", "rounds = -3"))
    for arguments, told in (
        (("validate", folder / "job.toml"), ("rounds", "-3")),
        (("submit", folder / "job.toml"), ("rounds", "-3")),
        (("quote", tmp_path / "none.toml"), ("none.toml",)),
        (("show", "ab" * 32), ("ainur job list",)),
        (("replay", "ab" * 32), ("ainur job list",)),
        (("get", "ab" * 32), ("--metrics",)),
        (("get", "zz", "--out", tmp_path / "x"), ("'zz' is not a job id",)),
    ):
        no_home = arguments[0] == "validate"
        act = running.run if no_home else functools.partial(running.ainur, running.submitter)
        outcome = act("job", *arguments)
        assert outcome.code == 2
        check_line(outcome.out, outcome.err, *told)
