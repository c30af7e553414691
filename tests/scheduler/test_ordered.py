"""The index: always what sorting everything would give."""

from hypothesis import given
from hypothesis import strategies as st

from scheduler.ordered import Ordered

RANKS = st.none() | st.integers(0, 5)


@given(st.lists(st.tuples(st.integers(0, 9), RANKS), max_size=60), st.integers(-1, 6))
def test_index_equals_a_sorted_table(puts: list[tuple[int, int | None]], rank: int) -> None:
    """After any sequence of changes, for every question that can be asked."""
    order: Ordered[int] = Ordered()
    table: dict[int, int] = {}
    for key, put in puts:
        order.put(key, put)
        table.pop(key, None)
        if put is not None:
            table[key] = put
    pairs = sorted((put, key) for key, put in table.items())
    assert list(order) == [key for _, key in pairs]
    assert len(order) == len(table)
    assert order.first() == (pairs[0][1] if pairs else None)
    assert order.due(rank) == (pairs[0][1] if pairs and pairs[0][0] <= rank else None)
    assert order.below(rank) == sum(put < rank for put, _ in pairs)
    assert list(order.up_to(rank)) == [key for put, key in pairs if put <= rank]
    assert all((key in order) == (key in table) for key in range(10))
