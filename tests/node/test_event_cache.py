"""node/event_cache.py: whole pages or none, the right network or a new start."""

from pathlib import Path

import pytest

from node.chain.answers import Block, Log
from node.event_cache import MARKS_MAX, EventCache


def entry(block: int, index: int = 0) -> Log:
    return Log("0x" + "1" * 40, (b"t" * 32, b"u" * 32), b"data", block, index, b"h" * 32)


def block(number: int) -> Block:
    return Block(number, number * 10, number.to_bytes(32, "big"))


def test_what_was_added_is_there_after_a_new_start(tmp_path: Path) -> None:
    """Entries in the order of the chain, marks with the newest first."""
    path = tmp_path / "events.db"
    with EventCache(path, b"net") as cache:
        cache.add((entry(3, 1), entry(3, 0), entry(2)), block(4))
        cache.add((), block(7))
    with EventCache(path, b"net") as cache:
        assert list(cache.logs()) == [entry(2), entry(3, 0), entry(3, 1)]
        assert cache.marks() == [block(7), block(4)]
        cache.rewind(block(4))
        assert cache.marks() == [block(4)]
        cache.rewind(None)
        assert (cache.marks(), list(cache.logs())) == ([], [])


@pytest.mark.parametrize("spoil", ["other network", "garbage", "cut"])
def test_a_cache_that_is_of_no_use_is_begun_anew(tmp_path: Path, spoil: str) -> None:
    """Nothing in it is believed; the file works again."""
    path = tmp_path / "events.db"
    with EventCache(path, b"net") as cache:
        cache.add(tuple(entry(n) for n in range(2_000)), block(2_000))
    if spoil == "garbage":
        path.write_bytes(b"no database" * 100)
    elif spoil == "cut":
        path.write_bytes(path.read_bytes()[:20_000])
    with EventCache(path, b"other" if spoil == "other network" else b"net") as cache:
        assert (cache.marks(), list(cache.logs())) == ([], [])
        cache.add((entry(1),), block(1))
    with EventCache(path, b"other" if spoil == "other network" else b"net") as cache:
        assert list(cache.logs()) == [entry(1)]


def test_a_page_is_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    """An entry that is there already: the mark does not move either."""
    with EventCache(tmp_path / "events.db", b"net") as cache:
        cache.add((entry(1),), block(1))
        with pytest.raises(Exception, match="UNIQUE"):
            cache.add((entry(2), entry(1)), block(2))
        assert (cache.marks(), list(cache.logs())) == ([block(1)], [entry(1)])


def test_marks_are_bounded() -> None:
    """The oldest go."""
    with EventCache() as cache:
        for number in range(MARKS_MAX + 5):
            cache.add((), block(number))
        marks = cache.marks()
    assert (len(marks), marks[0].number) == (MARKS_MAX, MARKS_MAX + 4)
