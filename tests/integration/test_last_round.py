"""The weights outlive the coordinator: others keep the last checkpoint and its evaluation."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine import state as tensors
from engine.commitment import state_root
from node.config import set_value
from node.ledger import JobState


def test_weights_can_be_had_after_the_coordinator_is_gone(
    network: Callable[[int], Any], small_job: Any, tmp_path: Path
) -> None:
    """A worker steps to the final checkpoint; alone, it gives the submitter all there is."""
    running = network(0)
    worker, coordinator = running.add(2)
    set_value(worker.config, "roles", "work")
    set_value(coordinator.config, "roles", "coordinate")
    running.start()
    job_id = running.submit(small_job.file)
    job = running.wait_for_end(job_id)
    assert job.state is JobState.COMPLETED
    log = worker.logs / "node.log"
    running.wait("the worker keeps it", lambda: "last checkpoint is kept" in log.read_text())
    running.swarm.kill(coordinator)
    weights, metrics = tmp_path / "weights.safetensors", tmp_path / "metrics.jsonl"
    got = running.ainur(
        running.submitter, "job", "get", job_id.hex(), "--out", weights, "--metrics", metrics
    )
    assert got.code == 0, got.err
    assert state_root(tensors.decode(weights.read_bytes())) == small_job.digest
    rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    told = [row for row in rows if "evaluation" in row]
    assert [row["round"] for row in told] == list(range(1, job.rounds + 1))
    assert all(row["loss"] > 0 for row in told)
