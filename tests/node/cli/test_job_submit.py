"""`ainur job submit`: what of its options reaches the chain."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import AsyncMock, Mock

import pytest

from node.bundle import Bundle
from node.chain import Chain, Receipt
from node.chain import events as e
from node.chain.events import Place
from node.cli import job, job_submit
from node.cli.desk import How
from node.client import Client
from node.ids import JobId
from node.quote import Offer
from node.submission import fund_calls, funded_by
from node.tokens import AIN, Token

Ainur = Callable[..., Any]
JOB = JobId(b"j" * 32)
USDX = Token("0x" + "5" * 40, "USDX", 6)


@pytest.mark.parametrize(("option", "placed"), [((), 0), (("--rounds-ahead", 3), 3)])
def test_rounds_ahead_are_handed_on(
    option: tuple[object, ...],
    placed: int,
    ainur: Ainur,
    tiny_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """None unless they are asked for."""
    place = Mock(return_value=(JOB, ["0x1"]))
    monkeypatch.setattr(job_submit, "place_job", place)
    monkeypatch.setattr(job_submit, "price_job", lambda *_: SimpleNamespace(total_wei_max=0))
    desk = Mock(how=How())
    monkeypatch.setattr(job, "transacting", lambda *_: nullcontext(desk))
    outcome = ainur("job", "submit", tiny_file, *option)
    assert (outcome.code, outcome.out) == (0, f"0x{JOB.hex()}\n")
    assert place.call_args.kwargs["rounds_ahead"] == placed


@pytest.mark.parametrize("rounds", ["9", "-1", "many"])
def test_rounds_ahead_have_bounds(rounds: str, ainur: Ainur, tiny_file: Path) -> None:
    """As the escrow has them: nothing is read or paid."""
    outcome = ainur("job", "submit", tiny_file, "--rounds-ahead", rounds)
    assert outcome.code == 2
    assert "--rounds-ahead" in outcome.err


def test_rounds_ahead_are_a_term_of_the_job_that_is_funded(tiny: Bundle) -> None:
    """It is the submitter's money that is held for them."""
    chain = Mock(address="0x1")
    chain.head.return_value = SimpleNamespace(timestamp=100)
    chain.escrow.quote.return_value = chain.token.allowance.return_value = 5
    chain.token.balance_of.return_value = 5
    chain.parameters.all.return_value = {}
    (call,) = fund_calls(cast(Chain, chain), tiny, AIN, 3)
    assert call is chain.escrow.fund.return_value
    funded = e.JobFunded(Place(1, 0, b""), JOB, "0x1", Mock(), 5, 5, 5)
    assert funded_by([cast(Receipt, SimpleNamespace(events=(funded,)))]).job_id == JOB
    (terms,) = chain.escrow.fund.call_args.args
    assert terms.rounds_ahead == 3


@pytest.mark.trio
@pytest.mark.parametrize(
    ("token", "named", "looks", "found"),
    [(AIN, (), 0, 2), (USDX, ("", USDX.address), 0, 1), (USDX, (), 1, 0)],
)
async def test_peers_that_work_for_the_token_are_looked_for(
    token: Token,
    named: tuple[str, ...],
    looks: int,
    found: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Once more, farther away, if nobody does; then that is said, and the job is funded."""
    tokens = [(name,) for name in named] or [(), ()]
    offers = [Offer(str(i), 1, 1, tokens=each) for i, each in enumerate(tokens)]
    monkeypatch.setattr(job_submit, "_offers", lambda *_: offers)
    client = Mock(find_peers=AsyncMock())
    wanted = await job_submit._offers_for(cast(Client, client), cast(Chain, None), token)
    assert (len(wanted), client.find_peers.await_count) == (found, looks)
    told = f"none of the 2 peers that work and answered does so for {token.name}"
    assert (told in capsys.readouterr().err) == (found == 0)
