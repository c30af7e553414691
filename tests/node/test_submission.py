"""Submitting: nothing is paid twice, and nothing for what no peer can do."""

from dataclasses import replace
from types import SimpleNamespace
from typing import cast
from unittest.mock import Mock

import pytest

from node.bundle import Bundle
from node.chain import Chain as Chain_
from node.chain import events as e
from node.errors import BadInput, InsufficientFunds
from node.ids import JobId
from node.ledger import Ledger
from node.parameters import ANY_VERSION, Versions
from node.quote import Offer
from node.submission import (
    check_memory,
    check_not_repeated,
    check_versions,
    earlier_job,
    fund_calls,
    require_funds,
    terms_of,
)
from node.tokens import AIN, Token
from tests.node.test_ledger import SUBMITTER, WORKER, Chain

FIRST, SECOND = JobId(b"1" * 32), JobId(b"2" * 32)


def funded(tiny: Bundle, *jobs: JobId) -> Chain:
    """A chain on which the submitter funded these jobs, all of one manifest."""
    chain = Chain()
    for job in jobs:
        chain.happen(e.JobFunded, job, SUBMITTER, terms_of(tiny.manifest, 0), 5, 1, 66)
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


def test_a_wallet_that_has_too_little_of_the_token_is_told(tiny: Bundle) -> None:
    """Before anything is sent, in the token's own units; so is a cost over the budget."""
    usdx = Token("0x" + "5" * 40, "USDX", 6)
    chain = Mock(address="0x1")
    chain.escrow.quote.return_value = 2_500_000
    chain.erc20.return_value.balance_of.return_value = 2_400_000
    terms = terms_of(tiny.manifest, 0, unit_wei=3, token=usdx.address)
    assert (terms.unit_wei, terms.token) == (3, usdx.address)
    with pytest.raises(InsufficientFunds, match=r"holds 2\.4 USDX, the job needs 2\.5 USDX"):
        require_funds(cast(Chain_, chain), terms, 10**7, usdx)
    chain.erc20.assert_called_once_with(usdx.address)
    with pytest.raises(BadInput, match=r"asks for 2\.5 USDX, over the budget of 2\.499999 USDX"):
        require_funds(cast(Chain_, chain), terms, 2_499_999, usdx)


def test_an_allowance_in_a_token_is_changed_by_way_of_nothing(tiny: Bundle) -> None:
    """Some tokens take no other change; AIN is spared the transaction."""
    chain = Mock(address="0x1")
    chain.head.return_value = SimpleNamespace(timestamp=100)
    chain.escrow.quote.return_value = 5
    chain.parameters.all.return_value = {}
    for token, money in (
        (AIN, chain.token),
        (Token("0x" + "5" * 40, "X", 6), chain.erc20.return_value),
    ):
        money.balance_of.return_value = 5
        money.allowance.return_value = 4
        assert len(fund_calls(cast(Chain_, chain), tiny, token)) == (2 if token.is_ain else 3)
        assert [call.args[1] for call in money.approve.call_args_list][-1] == 0 or token.is_ain
        money.allowance.return_value = 5
        assert len(fund_calls(cast(Chain_, chain), tiny, token)) == 1


def test_nothing_is_paid_for_a_job_whose_version_is_not_accepted(tiny: Bundle) -> None:
    """No node would take it; what to do stands beside it."""
    check_versions(ANY_VERSION, tiny.manifest)
    with pytest.raises(
        BadInput, match="arithmetic version is 1, the network accepts 2, 3"
    ) as caught:
        check_versions(Versions(0b1100, 1 << tiny.manifest.version), tiny.manifest)
    assert "Nothing was paid" in caught.value.remedy
