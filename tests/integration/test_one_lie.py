"""The worker that lies once: exactly one does, whoever dies, and nobody waits for ever."""

import os
from pathlib import Path
from typing import Any, cast

import pytest

from node.worker import Worker
from tests.integration import one_lie
from tests.integration.one_lie import FOLDER_VARIABLE, JUDGE, LIE, LIES_IN, OneLie, wait_for_judge

HONEST, FALSE = cast(Any, "honest"), cast(Any, "false")


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OneLie:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setattr(one_lie, "falsify", lambda _: FALSE)
    monkeypatch.setattr(Worker, "unit", lambda *_: HONEST)
    return OneLie.__new__(OneLie)


def unit(worker: OneLie, slot: int, round: int = LIES_IN, kind: str = "unit") -> Any:
    return worker.unit(kind, cast(Any, None), cast(Any, None), round, slot)


def test_one_unit_of_one_round_is_a_lie(worker: OneLie) -> None:
    """The first that is finished."""
    assert [unit(worker, slot, LIES_IN - 1) for slot in (0, 1)] == [HONEST, HONEST]
    assert [unit(worker, slot) for slot in (1, 0, 1)] == [FALSE, HONEST, HONEST]


def test_worker_that_dies_leaves_the_lie_to_another(
    worker: OneLie, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or nobody would lie."""

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Worker, "unit", dies)
        with pytest.raises(KeyboardInterrupt):
            unit(worker, 0)
    assert unit(worker, 1) is FALSE


def test_whoever_sees_the_lie_sees_its_slot(
    worker: OneLie, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It appears whole: an audit that read nothing would not wait."""
    told, link = list[str](), os.link

    def linked(source: str, target: Path) -> None:
        assert not target.exists()
        told.append(Path(source).read_text())
        link(source, target)

    monkeypatch.setattr(os, "link", linked)
    unit(worker, 12)
    assert told == ["12"]
    assert [path.name for path in tmp_path.iterdir()] == [LIE]


def test_only_the_lie_waits_for_its_judge_and_not_for_ever(
    worker: OneLie, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that its test left behind ends too."""
    monkeypatch.setattr(one_lie, "JUDGE_S", 0.0)
    unit(worker, 1)
    wait_for_judge(tmp_path, 0)
    with pytest.raises(TimeoutError, match="was not made within 0 s"):
        unit(worker, 1, kind="audit")
    (tmp_path / JUDGE).touch()
    assert unit(worker, 1, kind="audit") is HONEST
