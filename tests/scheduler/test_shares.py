"""Which job is asked next: the bound on unfairness, and what nobody may do to another."""

from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler import shares
from scheduler.shares import CREDIT_UNITS, Offer, Shares

OFFERS = st.lists(
    st.builds(
        Offer,
        st.integers(0, 10**6).map(lambda i: i.to_bytes(32, "big")),
        st.integers(1, 10**15),
        st.integers(1, 10**18),
    ),
    min_size=2,
    max_size=6,
    unique_by=lambda offer: offer.job_id,
)


def job(name: str, flops: int = 1_000, price: int = 1, priority: int = 0) -> Offer:
    return Offer(name.encode(), flops, price, priority)


def served(of: Shares, offers: list[Offer], units: int) -> Counter[bytes]:
    """Units that each job gets when all of them always have work."""
    got: Counter[bytes] = Counter()
    for _ in range(units):
        chosen = of.choose(offers)
        assert chosen is not None
        of.charge(chosen)
        got[chosen.job_id] += 1
    return got


@given(OFFERS, st.integers(1, 200))
def test_work_per_price_differs_by_at_most_one_unit(offers: list[Offer], units: int) -> None:
    """After every unit, for every two jobs: exactly the bound that the module promises."""
    of, got = Shares(), Counter[bytes]()
    for _ in range(units):
        got += served(of, offers, 1)
        passes = {o.job_id: got[o.job_id] * o.stride for o in offers}
        for one in offers:
            for other in offers:
                apart = passes[one.job_id] - passes[other.job_id]
                assert apart <= max(one.stride, other.stride)


def test_work_is_in_proportion_to_prices() -> None:
    """However large the units are: work is shared, not turns."""
    offers = [job("a", 500, 3), job("b", 4_000, 1), job("c", 1_000, 6)]
    got = served(Shares(), offers, 10_000)
    work = {offer.job_id: got[offer.job_id] * offer.unit_flops for offer in offers}
    whole = sum(work.values())
    for offer in offers:
        share = Fraction(work[offer.job_id], whole)
        assert abs(share - Fraction(offer.price_wei, 10)) < Fraction(1, 500)


def test_higher_priority_goes_first_and_prices_count_within_it() -> None:
    """The owner's word; a job that waits for it is not forgotten."""
    of = Shares()
    low, high = job("a", price=1_000), job("b", priority=1)
    assert served(of, [low, high], 50) == {b"b": 50}
    assert served(of, [low], 1) == {b"a": 1}


def test_job_that_had_no_work_does_not_save_it_up() -> None:
    """It may catch up by a few units, and then shares as before."""
    of, a, b = Shares(), job("a"), job("b")
    served(of, [a, b], 2)
    served(of, [a], 1_000)
    back = [of_b := served(of, [a, b], 1)[b"b"] for _ in range(20)]
    assert of_b in (0, 1)
    assert back[: CREDIT_UNITS + 1] == [1] * (CREDIT_UNITS + 1)
    assert sum(back) <= 10 + CREDIT_UNITS


def test_new_job_begins_where_the_others_are() -> None:
    """Being late gives no claim to what was computed before."""
    of = Shares()
    served(of, [job("a")], 1_000)
    assert served(of, [job("a"), job("b")], 100)[b"b"] in (50, 51)


def test_equal_offers_alternate_whatever_their_order() -> None:
    """Nothing depends on the order in which a node lists its jobs."""
    one, other = [job("a"), job("b")], [job("b"), job("a")]
    assert [*served(Shares(), one, 9)] == [*served(Shares(), other, 9)] == [b"a", b"b"]


def test_no_offers_no_choice() -> None:
    """And a job without a price is served, last of all."""
    assert Shares().choose([]) is None
    assert served(Shares(), [job("free", price=0)], 1) == {b"free": 1}


def test_table_of_passes_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The job that was charged longest ago is forgotten first."""
    monkeypatch.setattr(shares, "JOBS_MAX", 2)
    of = Shares()
    for name in "abc":
        of.charge(job(name))
    assert sorted(of._passes) == [b"b", b"c"]
