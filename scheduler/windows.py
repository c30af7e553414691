"""Which rows of the training data a step reads: static addressing.

The owner shuffled the data once; from then on a row's turn follows from round, slot and step alone
(docs/spec/protocol.md, section 3), so a peer can fetch just what it needs and anyone can check it.
"""

from scheduler.manifest import Manifest


def window(manifest: Manifest, round: int, slot: int, step: int) -> tuple[int, int]:
    """The rows [start, stop) that `step` of `slot` in `round` reads; all counted from 0.

    Windows follow each other in the order round, slot, step, and start again after the last whole
    batch, so that no window wraps around. Raises ValueError outside the job.
    """
    for name, value, count in (
        ("round", round, manifest.rounds),
        ("slot", slot, manifest.slots),
        ("step", step, manifest.steps),
    ):
        if not 0 <= value < count:
            raise ValueError(f"{name} {value} is not in 0..{count - 1}")
    batch = manifest.batch_rows
    turn = (round * manifest.slots + slot) * manifest.steps + step
    start = turn % (manifest.rows // batch) * batch
    return start, start + batch


def unit_rows(manifest: Manifest, round: int, slot: int) -> tuple[tuple[int, int], ...]:
    """The rows that all steps of a unit read, as at most two ranges [start, stop) in order.

    Raises ValueError outside the job.
    """
    start, _ = window(manifest, round, slot, 0)
    batch, whole = manifest.batch_rows, manifest.rows // manifest.batch_rows * manifest.batch_rows
    count = manifest.steps * batch
    if count >= whole:
        return ((0, whole),)
    stop = start + count
    return ((start, stop),) if stop <= whole else ((0, stop - whole), (start, whole))
