"""When a node asks for no work."""

from types import SimpleNamespace

import pytest

from node.contributor import Contributor


def contributor(fault: str = "", busy: bool = False, active: bool = True) -> Contributor:
    """A contributor whose surroundings are as said; it holds no job."""
    ledger = SimpleNamespace(is_active=lambda address: active)
    duties = SimpleNamespace(busy=busy, recompute=SimpleNamespace(fault=fault))
    return Contributor(
        SimpleNamespace(address="0x1"),
        SimpleNamespace(ledger=ledger),
        SimpleNamespace(workable=list),
        duties,
        1 << 30,
        None,
        None,
        None,
        None,
        None,
    )


def activity(**state: object) -> str:
    """What it says when it looks for a job."""
    made = contributor(**state)
    assert made._next_job() is None
    return made.counts.activity


def test_marked_device_takes_no_unit() -> None:
    """Whatever else there is to do; the reason is the activity that `ainur status` shows."""
    assert activity(fault="computed ADD wrongly", busy=True) == "stopped: computed ADD wrongly"
    assert activity(busy=True) == "auditing"
    assert activity() == "idle: no funded job is held here"
    assert activity(active=False).startswith("idle: the bond is below")


def job(name: bytes, unit_wei: int) -> SimpleNamespace:
    return SimpleNamespace(job_id=name * 32, unit_wei=unit_wei, holder="0x2", open_round=0)


@pytest.mark.trio
async def test_jobs_share_the_node_by_price_and_preferred_ones_go_first() -> None:
    """Asked once for every unit of work that its price buys."""
    cheap, dear, mine = job(b"a", 10), job(b"b", 30), job(b"c", 1)
    of = contributor()
    of._jobs = SimpleNamespace(
        workable=lambda: [cheap, dear],
        held={each.job_id: SimpleNamespace(unit_flops=10**6) for each in (cheap, dear, mine)},
    )
    chosen = []
    for _ in range(40):
        chosen.append(of._next_job())
        of._shares.charge(of._offer(chosen[-1]))
    assert (chosen.count(cheap), chosen.count(dear)) == (10, 30)
    of._jobs.workable = lambda: [cheap, dear, mine]
    of._preferred = (mine.job_id.hex(),)
    assert of._next_job() is mine
