"""Puts blobs into a store until killed, printing each address once it is acknowledged.

Usage: putter.py STORE SEED. The blobs are those of `blob(SEED, 0)`, `blob(SEED, 1)`, ...
"""

import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from node.blobs import BlobStore


def blob(seed: str, index: int) -> bytes:
    """The same bytes for the same arguments, of very different sizes."""
    chance = random.Random(f"{seed}/{index}")
    return chance.randbytes(chance.choice((0, 10, 300_000, 2_000_000)))


def main(path: str, seed: str) -> None:
    store = BlobStore(path)
    for index in range(10_000):
        ref = store.put(blob(seed, index))
        print(ref.root, ref.size, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
