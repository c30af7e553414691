"""Fuzzing as in `benchmarks.fuzz`, guided by coverage: `python -m benchmarks.fuzz_guided FOLDER`.

Needs atheris (`pip install '.[fuzz]'`, Linux), which is in no lock file and no test. libFuzzer
keeps the inputs that reach a new branch of the decoder, the validator or the cost in FOLDER,
mutates them as bytes or as a table, and stops at the first that does harm, which it writes to a
file. Its options follow FOLDER: `-max_total_time=600 -timeout=5 -rss_limit_mb=1024 -max_len=4096`.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

import atheris

with atheris.instrument_imports(
    include=["engine.program", "engine.validate", "engine.cost", "engine.dtypes"]
):
    from benchmarks import fuzz
    from engine.errors import ProgramError
    from engine.program import decode, encode

SEED = 1


def mutated(data: bytes, size_max: int, seed: int) -> bytes:
    """Half of what is a Program as a table, everything else as bytes."""
    random = Random(seed)
    if random.random() < 0.5:
        try:
            table = fuzz.mutated_table(random, [decode(data)])
        except ProgramError:
            table = b""
        if 0 < len(table) <= size_max:
            return table
    mutate: Callable[[bytes, int], bytes] = atheris.Mutate
    return mutate(data, size_max)


def main() -> None:
    """Fill the folder with small valid Programs unless something is there, and go on from there."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    if not any(folder.iterdir()):
        for number, program in enumerate(fuzz.corpus(SEED)):
            (folder / f"valid-{number:02}").write_bytes(encode(program))
    atheris.Setup(sys.argv, fuzz.try_input, custom_mutator=mutated)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
