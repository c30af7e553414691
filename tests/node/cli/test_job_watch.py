"""Watching is only watching: who stops it stops nothing else."""

from typing import Any

import pytest

from node.cli import job_watch
from node.cli.failures import describe


def test_ctrl_c_leaves_the_job_running_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 130, and how to go on watching."""

    async def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(job_watch, "_watch", interrupted)
    nothing: Any = None
    with pytest.raises(BaseExceptionGroup) as caught:
        job_watch.watch_job(nothing, nothing, "abcdef", as_json=False, timeout_s=None)
    assert describe(caught.value).exit_code == 130
    assert "the job goes on without you; `ainur job watch abcdef`" in capsys.readouterr().err
