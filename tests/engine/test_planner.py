"""Memory plans never overlap what is alive at once, and waste little."""

from hypothesis import given
from hypothesis import strategies as st

from engine.planner import PORTION, Lifetime, lifetimes, live_bytes_max, plan

TENSORS = st.dictionaries(
    st.integers(0, 200),
    st.builds(
        lambda first, length, size: Lifetime(first, first + length, size),
        st.integers(0, 40),
        st.integers(0, 15),
        st.integers(1, 5000),
    ),
    max_size=60,
)


def check(tensors, alignment, limit):
    """The plan, after looking at every pair."""
    made = plan(tensors, alignment, limit)
    assert made.places.keys() == tensors.keys()
    for i, (arena, offset) in made.places.items():
        assert offset % alignment == 0
        assert offset + tensors[i].size <= made.arenas[arena]
        for j, (other_arena, other) in made.places.items():
            a, b = tensors[i], tensors[j]
            if i < j and arena == other_arena and a.first <= b.last and b.first <= a.last:
                assert offset + a.size <= other or other + b.size <= offset
    return made


@given(TENSORS, st.sampled_from([1, 16, 128]))
def test_tensors_alive_at_once_never_overlap(tensors, alignment):
    """And a plan is never smaller than what is alive, nor larger than everything side by side."""
    made = check(tensors, alignment, 1 << 40)
    everything = sum(-(-t.size // alignment) * alignment for t in tensors.values())
    assert live_bytes_max(tensors) <= sum(made.arenas) <= everything


@given(TENSORS)
def test_arenas_respect_the_largest_allocation(tensors):
    """Only a tensor that is larger itself has an arena above the limit, alone."""
    made = check(tensors, 16, 8192)
    assert all(size <= 8192 for size in made.arenas)
    alone = check(tensors, 16, 1)
    assert len(alone.arenas) == len(tensors)


def test_a_chain_needs_two_places():
    """Each kernel reads the last one's result."""
    found = lifetimes([[0], *([i, i - 1] for i in range(1, 9))], dict.fromkeys(range(9), 128))
    assert found[3] == Lifetime(3, 4, 128)
    assert plan(found, 128, 1 << 30).arenas == (256,)
    assert live_bytes_max(found) == 256


def test_more_tensors_than_a_portion_are_planned():
    """In several arenas, each reused."""
    tensors = {i: Lifetime(i, i + 1, 64) for i in range(PORTION + 10)}
    assert plan(tensors, 64, 1 << 30).arenas == (128, 128)
