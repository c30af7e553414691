"""When a node asks for no work."""

from types import SimpleNamespace

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
