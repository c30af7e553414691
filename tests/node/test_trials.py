"""node/trials.py: what was fetched on another's word stays only if somebody vouches for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.commitment import blob_chunk_hashes
from node.blobs import BlobStore
from node.journal import Journal
from node.round_memory import RoundMemory
from node.trials import Trials
from scheduler.blob_ref import BlobRef

JOB, DATA = b"j" * 32, b"said to be a result"
REF = BlobRef.of(DATA)


class Case:
    def __init__(self, folder: Path, journal: Journal) -> None:
        self.store, self.memory = BlobStore(folder / "store"), RoundMemory(journal)
        self.trials = Trials(self.store, self.memory)

    @property
    def noted(self) -> bool:
        return bool(self.memory.rounds(JOB))


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    with Journal(tmp_path / "journal") as journal:
        yield Case(tmp_path, journal)


def test_what_nobody_vouches_for_is_removed(case: Case) -> None:
    """Until then it is noted, for whoever cleans after a crash."""
    with case.trials.of(JOB, 0, REF):
        case.store.put(DATA)
        assert case.noted
    assert not case.store.has(REF)
    assert not case.noted


def test_what_is_vouched_for_stays_and_is_noted(case: Case) -> None:
    """Whoever else wanted it and found fault with it."""
    with case.trials.of(JOB, 0, REF):
        case.store.put(DATA)
        with case.trials.of(JOB, 0, REF):
            case.trials.keep(REF)
    assert case.store.has(REF)
    assert case.noted


def test_a_liar_who_names_an_honest_blob_does_not_have_it_removed(case: Case) -> None:
    """The honest one's trial goes on, and what was here before is not on trial."""
    with case.trials.of(JOB, 0, REF):
        case.store.put(DATA)
        with case.trials.of(JOB, 0, REF):
            pass
        assert case.store.has(REF)
        case.trials.keep(REF)
    with case.trials.of(JOB, 1, REF):
        pass
    assert case.store.has(REF)


def test_what_somebody_else_fetches_at_the_moment_stays(case: Case) -> None:
    """It is theirs by now."""
    with case.trials.of(JOB, 0, REF):
        partial = case.store.begin(REF, blob_chunk_hashes(memoryview(DATA)))
    with partial:
        partial.write_chunk(0, DATA)
        assert partial.finish() == REF
