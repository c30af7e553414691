"""A compute worker that cheats: the honest one, with one bit flipped in half of its own units.

Which units, which tensor and which bit is random, and nothing is recorded, so that nobody but this
process knows; it audits honestly, for money is to be had there too. It shows that verification
finds what no tolerance would: any single bit. A node whose environment says
`AINUR_WORKER_MODULE=examples.cheating_worker` uses it; only do so on a network of your own.
"""

import secrets
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from engine.commitment import state_root
from node.bundle import State
from node.execution import LoadedJob, UnitOutput
from node.worker import Worker, main


class CheatingWorker(Worker):
    """Answers like the honest worker, except for half of its own units."""

    def unit(
        self, kind: str, loaded: LoadedJob, checkpoint: State, round: int, slot: int
    ) -> UnitOutput:
        """An honest audit; an honest or a falsified unit, by the toss of a coin."""
        output = super().unit(kind, loaded, checkpoint, round, slot)
        return falsify(output) if kind == "unit" and secrets.randbits(1) else output


def falsify(output: UnitOutput) -> UnitOutput:
    """The same output with one random bit of one random result tensor flipped."""
    name = secrets.choice(sorted(name for name, array in output.result.items() if array.size))
    result = output.result | {name: flip_random_bit(output.result[name])}
    return replace(output, result=result, result_root=state_root(result))


def flip_random_bit(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """A copy of a tensor with one random bit flipped."""
    data = bytearray(np.ascontiguousarray(array).tobytes())
    data[secrets.randbelow(len(data))] ^= 1 << secrets.randbelow(8)
    return np.frombuffer(bytes(data), array.dtype).reshape(array.shape)


if __name__ == "__main__":
    main(CheatingWorker)
