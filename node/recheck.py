"""Recomputing what the chain says of a job: the auditor's tool behind `ainur job replay`.

Units run from the checkpoint of their round and their roots are compared with the claims; a round's
results are combined and compared with the anchored checkpoint. What came out equal is kept in a
folder under its root, so a run that was killed goes on where it stopped, and a file that was
changed there counts for nothing: its root tells. The first difference ends the run.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine import state as tensors
from engine.commitment import state_root, unit_root
from engine.errors import EngineError
from node.bundle import State
from node.errors import BadInput, ReplayDiffers
from node.execution import LoadedJob, combine, evaluate, run_unit
from node.files import write_atomic
from node.unit_history import UnitHistory

SUFFIX = ".safetensors"


@dataclass(frozen=True, slots=True)
class UnitEqual:
    """A unit has the claimed root; `kept`: it was recomputed by an earlier run."""

    unit: UnitHistory
    kept: bool


@dataclass(frozen=True, slots=True)
class RoundEqual:
    """A round leads to the anchored checkpoint, whose evaluation is `metrics`."""

    round: int
    checkpoint: bytes
    metrics: dict[str, float]


Told = Callable[[UnitEqual | RoundEqual], None]


class Kept:
    """States in a folder, each under its root."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder

    def get(self, root: bytes) -> State | None:
        """The state with this root; None where there is none, or none that has this root."""
        with contextlib.suppress(OSError, EngineError):
            state = tensors.decode(self._path(root).read_bytes())
            if state_root(state) == root:
                return state
        return None

    def put(self, state: State, root: bytes) -> None:
        """Keep a state, durably."""
        write_atomic(self._path(root), tensors.encode(state))

    def only(self, root: bytes) -> None:
        """Forget all but one."""
        for path in self._folder.glob(f"*{SUFFIX}"):
            if path != self._path(root):
                path.unlink()

    def _path(self, root: bytes) -> Path:
        return self._folder / f"{root.hex()}{SUFFIX}"


@dataclass(frozen=True, slots=True)
class Recheck:
    """What is compared: `claims` by (round, slot), `checkpoints` by round, all counted from 0."""

    loaded: LoadedJob
    claims: Mapping[tuple[int, int], UnitHistory]
    checkpoints: Sequence[bytes]
    kept: Kept
    told: Told

    def unit(self, start: State, round: int, slot: int) -> State:
        """The result of a unit that is the claimed one; ReplayDiffers where it is not."""
        claim = self.claims.get((round, slot))
        if claim is None:
            raise BadInput(f"No unit of slot {slot} in round {round + 1} was accepted on chain.")
        before = self.kept.get(claim.result_root)
        if before is not None:
            self.told(UnitEqual(claim, kept=True))
            return before
        done = run_unit(self.loaded, start, round, slot)
        _compare(claim, "result root", claim.result_root, done.result_root)
        if claim.unit_root:
            whole = unit_root(done.result_root, done.trace_root)
            _compare(claim, "unit root", claim.unit_root, whole)
        self.kept.put(done.result, done.result_root)
        self.told(UnitEqual(claim, kept=False))
        return done.result

    def round(self, start: State, round: int) -> State:
        """The checkpoint after a round that is the anchored one; ReplayDiffers where it is not."""
        results = [self.unit(start, round, s) for s in range(self.loaded.job.manifest.slots)]
        after = combine(self.loaded, start, results)
        root, anchored = state_root(after), self.checkpoints[round]
        if root != anchored:
            raise ReplayDiffers(
                f"The results of round {round + 1} are as claimed, but lead to checkpoint "
                f"{root.hex()}; its coordinator anchored {anchored.hex()}."
            )
        self.kept.put(after, root)
        self.kept.only(root)
        self.told(RoundEqual(round, root, evaluate(self.loaded, after)))
        return after

    def rounds(self, stop: int) -> State:
        """The state before round `stop`, from the first round or the last one that is kept."""
        state, first = self.loaded.job.state, 0
        for round in reversed(range(stop)):
            known = self.kept.get(self.checkpoints[round])
            if known is not None:
                state, first = known, round + 1
                break
        for round in range(first, stop):
            state = self.round(state, round)
        return state


def _compare(claim: UnitHistory, what: str, expected: bytes, actual: bytes) -> None:
    if expected != actual:
        raise ReplayDiffers(
            f"Round {claim.round + 1}, slot {claim.slot}, attempt {claim.attempt + 1} (unit "
            f"0x{claim.unit_id.hex()} of {claim.worker}): the chain has {what} {expected.hex()}, "
            f"the replay gives {actual.hex()}."
        )
