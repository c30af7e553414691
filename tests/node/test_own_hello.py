"""node/own_hello.py: signed again when there is news, and not before."""

from collections.abc import Sequence
from types import SimpleNamespace

from node.own_hello import RENEW_S, SPEED_AFTER_S, OwnHello


class Facts:
    """What a node would say of itself, and its clock."""

    def __init__(self) -> None:
        self.addresses, self.mflops, self.now_s, self.made = ["/ip4/192.0.2.1"], 0, 0.0, 0
        self.hello = OwnHello(
            self.make, lambda: self.addresses, lambda: self.mflops, lambda: self.now_s
        )

    def make(self, addresses: Sequence[str], mflops: int) -> SimpleNamespace:
        self.made += 1
        return SimpleNamespace(addresses=addresses, mflops=mflops)

    def said_anew(self) -> bool:
        before = self.made
        self.hello()
        return self.made > before


def test_hello_is_kept_while_there_is_nothing_new() -> None:
    """For a quarter of a day."""
    facts = Facts()
    assert facts.said_anew()
    facts.now_s = RENEW_S
    assert not facts.said_anew()
    facts.now_s += 1
    assert facts.said_anew()


def test_addresses_and_the_first_speed_are_told_at_once() -> None:
    """Peers could not dial us; a speed of 0 says that we never worked."""
    facts = Facts()
    facts.hello()
    facts.addresses = ["/ip4/192.0.2.2"]
    assert facts.said_anew()
    facts.mflops = 5
    assert facts.said_anew()


def test_another_speed_is_told_after_a_while_and_only_if_it_differs() -> None:
    """A speed is an average that never stands still."""
    facts = Facts()
    facts.mflops = 1000
    facts.hello()
    facts.mflops = 2000
    facts.now_s = SPEED_AFTER_S
    assert not facts.said_anew()
    facts.now_s += 1
    facts.mflops = 1250
    assert not facts.said_anew()
    facts.mflops = 790
    assert facts.said_anew()
