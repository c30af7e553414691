"""Appends to a journal until killed, printing every sequence number once it is acknowledged.

Usage: appender.py JOURNAL SEED. Every record carries its sequence number and a checksum; every
third write is a transaction of a record and a key that must agree.
"""

import hashlib
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from node.journal import Journal


def body(sequence: int, size: int) -> bytes:
    """A record that shows whether it is whole."""
    content = sequence.to_bytes(8, "big") + bytes([sequence % 251]) * size
    return content + hashlib.sha256(content).digest()


def main(path: str, seed: str) -> None:
    chance = random.Random(seed)
    with Journal(path) as journal:
        while True:
            sequence = journal.last("work") + 1
            record = body(sequence, chance.randrange(20_000))
            if sequence % 3 == 0:
                with journal.transaction():
                    journal.set("third", sequence.to_bytes(8, "big"))
                    journal.append("work", record)
            else:
                journal.append("work", record)
            print(sequence, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
