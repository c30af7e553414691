"""Submitting: nothing is paid twice, and nothing for what no peer can do."""

from dataclasses import replace

import pytest

from node.bundle import Bundle
from node.chain import events as e
from node.errors import BadInput
from node.ids import JobId
from node.ledger import Ledger
from node.parameters import ANY_VERSION, Versions
from node.quote import Offer
from node.submission import (
    check_memory,
    check_not_repeated,
    check_versions,
    earlier_job,
    terms_of,
)
from tests.node.test_ledger import SUBMITTER, WORKER, Chain

FIRST, SECOND = JobId(b"1" * 32), JobId(b"2" * 32)


def funded(tiny: Bundle, *jobs: JobId) -> Chain:
    """A chain on which the submitter funded these jobs, all of one manifest."""
    chain = Chain()
    for job in jobs:
        chain.happen(e.JobFunded, job, SUBMITTER, terms_of(tiny.manifest, 0), 5, 10, 66)
    return chain


def known(ledger: Ledger, tiny: Bundle, submitter: str = SUBMITTER) -> bytes | None:
    job = earlier_job(ledger, submitter, tiny.manifest)
    return None if job is None else job.job_id


def test_an_open_job_is_offered_again(tiny: Bundle) -> None:
    """Of this wallet, with this very manifest, before its deadline."""
    ledger = funded(tiny, FIRST).ledger
    assert known(ledger, tiny) == FIRST
    check_not_repeated(ledger.jobs[FIRST])
    assert known(ledger, tiny, WORKER) is None
    other = replace(tiny.job, manifest=tiny.manifest.model_copy(update={"name": "other"}))
    assert known(ledger, replace(tiny, job=other)) is None
    ledger.head_time_s = tiny.manifest.deadline_s
    assert known(ledger, tiny) is None


def test_a_completed_job_is_named_and_not_paid_again(tiny: Bundle) -> None:
    """Unless there is an open one; a cancelled one is no reason."""
    chain = funded(tiny, FIRST)
    chain.happen(e.JobCompleted, FIRST)
    assert known(chain.ledger, tiny) == FIRST
    with pytest.raises(BadInput, match=rf"0x{FIRST.hex()} .* is completed") as caught:
        check_not_repeated(chain.ledger.jobs[FIRST])
    assert f"ainur job get {FIRST.hex()[:12]}" in caught.value.remedy
    assert "--again" in caught.value.remedy
    chain = funded(tiny, FIRST, SECOND)
    chain.happen(e.JobCompleted, FIRST)
    assert known(chain.ledger, tiny) == SECOND
    chain.happen(e.JobCancelled, SECOND)
    assert known(chain.ledger, tiny) == FIRST
    cancelled = funded(tiny, FIRST)
    cancelled.happen(e.JobCancelled, FIRST)
    assert known(cancelled.ledger, tiny) is None


def test_a_job_over_every_peers_memory_is_refused_before_it_is_paid(tiny: Bundle) -> None:
    """With what it needs and what there is; one peer that can is enough."""
    needed = tiny.manifest.memory_bytes
    small, large = Offer(WORKER, needed - 1, 0), Offer(SUBMITTER, needed, 0)
    with pytest.raises(BadInput, match=rf"{needed:,} bytes .* 1 .* gives {needed - 1:,}\."):
        check_memory(tiny.manifest, [small])
    check_memory(tiny.manifest, [small, large])
    check_memory(tiny.manifest, [])


def test_nothing_is_paid_for_a_job_whose_version_is_not_accepted(tiny: Bundle) -> None:
    """No node would take it; what to do stands beside it."""
    check_versions(ANY_VERSION, tiny.manifest)
    with pytest.raises(
        BadInput, match="arithmetic version is 1, the network accepts 2, 3"
    ) as caught:
        check_versions(Versions(0b1100, 1 << tiny.manifest.version), tiny.manifest)
    assert "Nothing was paid" in caught.value.remedy
