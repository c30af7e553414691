"""Fuzzing the decoder and validator of Programs: `python -m benchmarks.fuzz --inputs 10000000`.

Inputs are random bytes, valid Programs with bytes changed, cut, repeated or joined from two, and
valid Programs with numbers of their table changed before they are encoded. Each is decoded: it must
be refused with a ProgramError, or be the one encoding of what was decoded, whose cost is then
computed and, where that is small, generated as OpenCL C that holds nothing but known words. Workers
run under RLIMIT_AS; an input that takes longer than a second of processor time is a hang. With
--state a run that was stopped goes on; input i of a seed is always the same.
"""

import argparse
import json
import multiprocessing
import resource
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from time import perf_counter
from zlib import crc32

from engine.cost import cost
from engine.dtypes import DType
from engine.emit import Target
from engine.errors import ProgramError
from engine.kernels import generate
from engine.ops import Op
from engine.program import Program, decode, encode
from engine.schedule import schedule
from engine.validate import validate
from tests.engine.kernel_words import unknown_words
from tests.engine.random_functions import random_step
from tests.engine.random_programs import random_program

CHUNK = 5000
CORPUS = 60
HANG_S = 1
MEMORY_BYTES = 1 << 30
GENERATED_ELEMENTS_MAX = 10**6
NUMBERS = (0, 1, 2, 3, 31, 32, 127, 128, 255, 256, 2**15, 2**31 - 1, 2**31, 2**32, 2**62, 2**63 - 1)
TARGETS = (Target(is_gpu=False, compute_units=2), Target(is_gpu=True, compute_units=8))


class Hang(BaseException):
    """An input took too long."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """What came of the inputs of one chunk."""

    number: int
    accepted: int
    generated: int
    peak_kib: int
    findings: tuple[tuple[str, str], ...]  # (input in hexadecimal, what happened)


def corpus(seed: int) -> list[Program]:
    """Small valid Programs of every op."""
    random = Random(f"corpus {seed}")
    programs = [random_program(random, random.randint(1, 5)) for _ in range(CORPUS)]
    programs += [random_step(random, 1) for _ in range(2)]
    return [program for program in programs if len(program.nodes) <= 80]


def mutated_bytes(random: Random, programs: list[bytes]) -> bytes:
    """A valid Program's bytes with a few changes, anywhere or in the header."""
    data = bytearray(random.choice(programs))
    for _ in range(random.choice((1, 1, 2, 4))):
        at = random.randrange(len(data)) if data else 0
        kind = random.randrange(6)
        if kind == 0 and data:
            data[at] ^= 1 << random.randrange(8)
        elif kind == 1 and data:
            data[at] = random.choice((0, 1, 0x7F, 0x80, 0xFF, random.randrange(256)))
        elif kind == 2:
            data[at:at] = random.randbytes(random.choice((1, 1, 2, 9)))
        elif kind == 3:
            del data[at : at + random.choice((1, 1, 2, 9))]
        elif kind == 4:
            length = random.randrange(1, 40)
            data[at:at] = data[at : at + length]
        else:
            other = random.choice(programs)
            data[at:] = other[random.randrange(len(other)) :]
    return bytes(data)


def mutated_table(random: Random, programs: list[Program]) -> bytes:
    """A valid Program with an op, dtype, dimension, input, attribute or index changed, encoded."""
    program = random.choice(programs)
    nodes = list(program.nodes)
    for _ in range(random.choice((1, 1, 2))):
        at = random.randrange(len(nodes))
        node = nodes[at]
        kind = random.randrange(6)
        if kind == 0:
            node = replace(node, op=random.choice(list(Op)))
        elif kind == 1:
            node = replace(node, dtype=random.choice(list(DType)))
        elif kind == 2:
            node = replace(node, shape=_changed(random, node.shape, 0))
        elif kind == 3 and node.inputs:
            inputs = tuple(random.randrange(len(nodes)) for _ in node.inputs)
            node = replace(node, inputs=inputs)
        else:
            node = replace(node, attributes=_changed(random, node.attributes, -(2**62)))
        nodes[at] = node
    outputs = program.outputs
    if random.random() < 0.1:
        outputs = ((outputs[0][0], random.choice(NUMBERS)),)
    try:
        return encode(Program(tuple(nodes), program.inputs, outputs))
    except ProgramError:  # a number that no bytes can say
        return b""


def _changed(random: Random, numbers: tuple[int, ...], least: int) -> tuple[int, ...]:
    changed = list(numbers)
    kind = random.randrange(4)
    if kind == 0 or not changed:
        changed.insert(random.randint(0, len(changed)), random.choice(NUMBERS[:9]))
    elif kind == 1:
        del changed[random.randrange(len(changed))]
    else:
        at = random.randrange(len(changed))
        step = random.choice((-1, 1))
        number = random.choice((random.choice(NUMBERS), changed[at] * 2, changed[at] + step))
        changed[at] = min(max(number * random.choice((1, 1, step)), least), 2**63 - 1)
    return tuple(changed)


def inputs(seed: int, chunk: int, programs: list[Program]) -> Iterator[bytes]:
    """The inputs of a chunk, always the same."""
    random = Random(f"{seed}/{chunk}")
    encoded = [encode(program) for program in programs]
    for _ in range(CHUNK):
        kind = random.random()
        if kind < 0.15:
            yield random.randbytes(random.randrange(60))
        elif kind < 0.3:
            head = random.choice(encoded)[: random.randrange(6, 40)]
            yield head + random.randbytes(random.randrange(80))
        elif kind < 0.65:
            yield mutated_bytes(random, encoded)
        else:
            yield mutated_table(random, programs)


def try_input(data: bytes) -> tuple[bool, bool]:
    """(accepted, generated); anything but a refusal or a sound Program raises."""
    try:
        program = decode(data)
    except ProgramError:
        return False, False
    if encode(program) != data:
        raise AssertionError("accepted, but it is not the one encoding")
    validate(program)
    spent = cost(program)
    sizes = (spent.flops, spent.bytes_moved, spent.peak_bytes)
    if any(type(n) is not int or n < 0 for n in sizes):
        raise AssertionError(f"cost {sizes}")
    if sum(node.size for node in program.nodes) > GENERATED_ELEMENTS_MAX or crc32(data) % 8:
        return True, False
    plan = schedule(program)
    for target in TARGETS:
        for source in generate(program, plan, target):
            words = unknown_words(source.text)
            if words:
                raise AssertionError(f"generated {words}")
    return True, True


def run_chunk(seed: int, number: int) -> Chunk:
    """Try every input of a chunk under the limits of this process."""
    accepted = generated = 0
    findings: list[tuple[str, str]] = []
    signal.signal(signal.SIGVTALRM, _hang)  # its default is to end the process
    for data in inputs(seed, number, _programs(seed)):
        signal.setitimer(signal.ITIMER_VIRTUAL, HANG_S)
        try:
            was_accepted, was_generated = try_input(data)
            accepted, generated = accepted + was_accepted, generated + was_generated
        except (Exception, Hang) as error:  # noqa: BLE001 - whatever it is, it is a finding
            findings.append((data.hex(), f"{type(error).__name__}: {error}"[:500]))
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Chunk(number, accepted, generated, peak, tuple(findings))


_corpora: dict[int, list[Program]] = {}


def _programs(seed: int) -> list[Program]:
    if seed not in _corpora:
        _corpora[seed] = corpus(seed)
    return _corpora[seed]


def _hang(*_: object) -> None:
    raise Hang


def _limit() -> None:
    """Bound this worker's memory."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


def main() -> None:
    """Spread chunks over processes and add up what comes back."""
    parser = argparse.ArgumentParser(prog="benchmarks.fuzz")
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--state", type=Path, help="where to go on from and to")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the workers end too
    total = {"seed": options.seed, "chunks": 0, "accepted": 0, "generated": 0, "peak_kib": 0,
             "seconds": 0.0, "findings": 0}  # fmt: skip
    if options.state is not None and options.state.exists():
        total = json.loads(options.state.read_text())
    if total["seed"] != options.seed:
        sys.exit(f"{options.state} is of seed {total['seed']}")
    chunks = range(int(total["chunks"]), -(-options.inputs // CHUNK))
    before, started = total["seconds"], perf_counter()
    with multiprocessing.get_context("spawn").Pool(options.processes, _limit) as pool:
        jobs = ((options.seed, number) for number in chunks)
        for done in pool.imap(_run_chunk, jobs):
            for data, what in done.findings[:20]:
                print(f"FOUND {what}\n  {data}", flush=True)
            total["chunks"] = done.number + 1
            total["accepted"] += done.accepted
            total["generated"] += done.generated
            total["findings"] += len(done.findings)
            total["peak_kib"] = max(total["peak_kib"], done.peak_kib)
            total["seconds"] = before + perf_counter() - started
            if options.state is not None:
                options.state.write_text(json.dumps(total))
            if total["chunks"] % 20 == 0 or done.number == chunks.stop - 1:
                print(_summary(total), flush=True)
    sys.exit(1 if total["findings"] else 0)


def _run_chunk(job: tuple[int, int]) -> Chunk:
    return run_chunk(*job)


def _summary(total: dict[str, float]) -> str:
    count = int(total["chunks"]) * CHUNK
    return (
        f"{count} inputs, {total['accepted']} accepted, {total['generated']} made OpenCL C, "
        f"{total['findings']} crashes and hangs, {count / total['seconds']:.0f} inputs/s, "
        f"peak {total['peak_kib'] / 1024:.0f} MiB of {MEMORY_BYTES >> 20}"
    )


if __name__ == "__main__":
    main()
