"""When a node asks for no work."""

from itertools import pairwise
from types import SimpleNamespace

import pytest
import trio
import trio.testing

from node.contributor import Contributor
from node.errors import PeerUnreachable
from node.messages import PULL_WAIT_MS_MAX, PullUnit, UnitDeclined
from scheduler.terms import Policy


def contributor(fault: str = "", busy: bool = False, active: bool = True) -> Contributor:
    """A contributor whose surroundings are as said; it holds no job."""
    ledger = SimpleNamespace(is_active=lambda address: active)
    duties = SimpleNamespace(busy=busy, recompute=SimpleNamespace(fault=fault))
    return Contributor(
        SimpleNamespace(address="0x1"),
        SimpleNamespace(ledger=ledger),
        SimpleNamespace(workable=list, why_idle=lambda: "idle: no funded job is held here"),
        duties,
        1 << 30,
        None,
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
    return SimpleNamespace(
        job_id=name * 32,
        unit_value_wei=unit_wei,
        holder="0x2",
        open_round=0,
        head_round=0,
        start_of=lambda _round: bytes(32),
        lease_epoch=1,
        settled=False,
    )


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


class Coordinator:
    """Answers requests for work, after a while to those that wait for it."""

    def __init__(self, answer_after_s: float = 0.0) -> None:
        self.waits: list[int] = []
        self.combined: int | None = None
        self.known: list[int | None] = []
        self.answer_after_s = answer_after_s

    async def ask(self, job: SimpleNamespace, pull: PullUnit) -> UnitDeclined:
        self.waits.append(pull.wait_ms)
        self.known.append(pull.combined)
        if pull.wait_ms:
            await trio.sleep(self.answer_after_s)
        return UnitDeclined(reason="nothing", retry_after_ms=1000, combined=self.combined)


def asking(coordinator: Coordinator, *, alone: bool = True) -> Contributor:
    of = contributor()

    async def changed(timeout_s: float) -> None:
        await trio.sleep(timeout_s)

    of._watch.changed = changed
    of._receipts = SimpleNamespace(examine=lambda _job: None)
    of._own = SimpleNamespace(forget_before=lambda *_: None, units=lambda *_: [])
    of._ask, of._alone = coordinator.ask, alone
    return of


@pytest.mark.trio
async def test_only_after_a_refusal_a_node_waits_for_a_unit(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """So its status has a reason; and not where another job may have a unit meanwhile."""
    one = job(b"a", 1)
    coordinator = Coordinator()
    of = asking(coordinator)
    for rests_s in (0, 1, 1):
        before = trio.current_time()
        await of._work_on(one)
        # It waits with the coordinator instead of by itself.
        assert trio.current_time() - before == rests_s
    assert coordinator.waits == [0, PULL_WAIT_MS_MAX, PULL_WAIT_MS_MAX]
    assert of.counts.activity == "waiting: nothing"
    of._alone = False
    await of._work_on(one)
    assert coordinator.waits[-1] == 0


@pytest.mark.trio
@pytest.mark.parametrize("interruption", ["duty", "drain"])
async def test_waiting_for_a_unit_ends_for_what_goes_first(
    interruption: str, autojump_clock: trio.testing.MockClock
) -> None:
    """An audit has a deadline on chain."""
    of = asking(Coordinator(answer_after_s=20))
    of._declined.add(b"a" * 32)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(of._work_on, job(b"a", 1))
        await trio.sleep(5)
        if interruption == "duty":
            of._duties.busy = True
        else:
            of.drain()
    assert trio.current_time() < 7


@pytest.mark.trio
async def test_silent_coordinator_is_reported_as_such() -> None:
    """The failure comes out of the wait as it went in."""
    of = asking(Coordinator())

    async def ask(_job: object, _pull: object) -> UnitDeclined:
        raise PeerUnreachable("gone")

    of._ask = ask
    with pytest.raises(PeerUnreachable, match="gone"):
        await of._work_on(job(b"a", 1))


@pytest.mark.trio
async def test_a_finished_unit_does_not_wait_for_a_coordinator_that_lost_the_lease(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """The next one is asked for the unit instead: it has not assigned it to anybody yet."""
    of, one, asked = asking(Coordinator()), job(b"a", 1), list[int]()

    async def ask(led: SimpleNamespace, _commit: object) -> UnitDeclined:
        asked.append(led.lease_epoch)
        if len(asked) == 3:
            led.lease_epoch += 1
        raise PeerUnreachable("gone")

    of._ask, of._signed = ask, lambda *_: None
    result = SimpleNamespace(unit=SimpleNamespace(round=0), parent=bytes(32))
    await of._commit(one, result)
    assert (asked, of.counts.lost) == ([1, 1, 1], 0)


@pytest.mark.trio
async def test_a_finished_unit_is_offered_again_within_the_grace_of_a_restart(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """However long the coordinator was away: it waits no longer for those that were working."""
    of, one, asked = asking(Coordinator()), job(b"a", 1), list[float]()

    async def ask(led: SimpleNamespace, _commit: object) -> UnitDeclined:
        asked.append(trio.current_time())
        led.settled = asked[-1] > asked[0] + 60
        raise PeerUnreachable("gone")

    of._ask, of._signed = ask, lambda *_: None
    await of._commit(one, SimpleNamespace(unit=SimpleNamespace(round=0), parent=bytes(32)))
    pauses = [after - before for before, after in pairwise(asked)]
    assert max(pauses) * 1000 <= Policy().reconnect_grace_ms / 2


@pytest.mark.trio
async def test_a_new_coordinator_is_asked_at_once(autojump_clock: trio.testing.MockClock) -> None:
    """However long the pauses had grown that the silence of the last one cost; once."""
    of, one = contributor(), job(b"a", 1)
    of._jobs = SimpleNamespace(
        workable=lambda: [one], held={one.job_id: SimpleNamespace(unit_flops=10**6)}
    )
    for _ in range(8):
        of._pause(one)
    await trio.sleep(1)
    assert of._next_job() is None
    one.lease_epoch = 2
    assert of._next_job() is one
    of._pause(one)
    assert of._next_job() is None
    await trio.sleep(1)
    assert of._next_job() is one


@pytest.mark.trio
async def test_a_combined_round_is_prepared_for_once(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Of the open round alone, and whatever the coordinator then fails to tell."""
    one, coordinator, prepared = job(b"a", 1), Coordinator(), list[int]()
    of = asking(coordinator)

    async def prepare(_job: object, _manifest: object, round: int) -> None:
        prepared.append(round)
        raise PeerUnreachable("it does not tell")

    of._duties.recompute.checkpoints = SimpleNamespace(prepare=prepare)
    of._jobs = SimpleNamespace(held={one.job_id: None})
    await of._work_on(one)
    for coordinator.combined in (0, 0, 7):
        await of._work_on(one)
    assert prepared == [0]
    assert coordinator.known == [None, None, 0, 0]
