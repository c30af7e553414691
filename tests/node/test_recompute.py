"""node/recompute.py: our own unit, and beside it the recheck of what it starts from."""

from collections.abc import Callable
from typing import Any, cast

import pytest
import trio
import trio.testing

from node.checkpoints import Checkpoints
from node.compute import Compute, ComputeCrashed
from node.compute_messages import UnitDone
from node.errors import NodeError, PeerFault
from node.recompute import Recompute
from scheduler.blob_ref import BlobRef
from scheduler.terms import UnitRef

pytestmark = pytest.mark.trio

UNIT = UnitRef(3, 1, 0)
DONE = cast(UnitDone, object())
UNIT_S, RECHECK_S = 60, 5


class Rounds:
    """Checkpoints whose recheck and whose unit take their time, and end as they are told."""

    def __init__(self) -> None:
        self.log: list[tuple[str, float]] = []
        self.refuted = self.audit = False
        self.recheck_fails: NodeError | None = None
        self.unit_fails: NodeError | None = None

    def note(self, what: str) -> None:
        self.log.append((what, trio.current_time()))

    def check_not_refuted(self, _job: object, round: int) -> None:
        assert round == 2
        if self.refuted:
            raise PeerFault("it does not follow")

    async def get(self, _job: object, _manifest: object, round: int) -> BlobRef:
        assert round == 3
        return BlobRef.of(b"start")

    async def check(self, _job: object, _manifest: object, round: int) -> None:
        assert round == 2
        await trio.sleep(RECHECK_S)
        self.note("rechecked")
        if self.recheck_fails is not None:
            raise self.recheck_fails

    async def compute_unit(self, *_: object, audit: bool) -> UnitDone:
        assert audit is self.audit
        await trio.sleep(UNIT_S if self.unit_fails is None else 1)
        self.note("computed")
        if self.unit_fails is not None:
            raise self.unit_fails
        return DONE


async def run(rounds: Rounds) -> None:
    recompute = Recompute(cast(Compute, None), cast(Checkpoints, rounds))

    def keep(done: UnitDone) -> None:
        assert done is DONE
        rounds.note("kept")

    nothing: Any = None
    own: Callable[..., Any] = recompute.run_own
    await own(nothing, nothing, UNIT, keep)


async def test_the_recheck_costs_the_unit_no_time(autojump_clock: trio.testing.MockClock) -> None:
    """Both begin at once."""
    rounds = Rounds()
    await run(rounds)
    assert rounds.log == [("rechecked", RECHECK_S), ("computed", UNIT_S), ("kept", UNIT_S)]


async def test_a_unit_of_a_wrong_checkpoint_is_not_to_be_committed(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """What was computed is kept all the same: a recheck that could not be made may be made up."""
    rounds = Rounds()
    rounds.recheck_fails = PeerFault("it does not follow")
    with pytest.raises(PeerFault, match="does not follow"):
        await run(rounds)
    assert ("kept", UNIT_S) in rounds.log


async def test_nothing_is_computed_from_what_is_known_to_be_wrong() -> None:
    """Not even begun."""
    rounds = Rounds()
    rounds.refuted = True
    with pytest.raises(PeerFault, match="does not follow"):
        await run(rounds)
    assert rounds.log == []


async def test_a_unit_that_fails_ends_the_recheck_too(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """The failure comes out as it went in, and there is nothing to commit."""
    rounds = Rounds()
    rounds.unit_fails = ComputeCrashed("the driver crashed")
    with pytest.raises(ComputeCrashed):
        await run(rounds)
    assert rounds.log == [("computed", 1)]


async def unless_found(rounds: Rounds, search: Callable[[], Any]) -> object:
    recompute, nothing = Recompute(cast(Compute, None), cast(Checkpoints, rounds)), cast(Any, None)
    rounds.audit = True
    return await recompute.run_unless_found(nothing, nothing, UNIT, search)


async def test_search_that_is_dragged_out_holds_up_no_unit(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Whoever lied and trickles would else use up the time for a challenge."""
    rounds = Rounds()
    assert await unless_found(rounds, trio.sleep_forever) is DONE
    assert trio.current_time() == UNIT_S


async def test_unit_whose_result_is_found_is_computed_no_further(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Its holder came back at last."""

    async def search() -> str:
        await trio.sleep(RECHECK_S)
        return "found"

    rounds = Rounds()
    assert await unless_found(rounds, search) == "found"
    assert (rounds.log, trio.current_time()) == ([], RECHECK_S)


@pytest.mark.parametrize("found", [True, False])
async def test_unit_that_cannot_be_computed_may_yet_be_found(
    autojump_clock: trio.testing.MockClock, found: bool
) -> None:
    """The device may fail before the search ends."""

    async def search() -> str:
        await trio.sleep(RECHECK_S)
        if not found:
            raise PeerFault("nobody has it")
        return "found"

    rounds = Rounds()
    rounds.unit_fails = ComputeCrashed("killed")
    if found:
        assert await unless_found(rounds, search) == "found"
    else:
        with pytest.raises(ComputeCrashed):
            await unless_found(rounds, search)
