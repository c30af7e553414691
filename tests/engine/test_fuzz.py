"""The fuzzer of `benchmarks.fuzz` on a few inputs, and that it would notice."""

from random import Random

import pytest

from benchmarks import fuzz
from engine.errors import ProgramError
from engine.program import decode, encode
from engine.validate import validate
from tests.engine.kernel_words import unknown_words


def test_a_thousand_inputs_do_no_harm(monkeypatch):
    """Refused, or sound: one encoding, a cost, and where it is small kernels of known words."""
    monkeypatch.setattr(fuzz, "CHUNK", 1000)
    monkeypatch.setattr(fuzz, "HANG_S", 60.0)  # a test run's garbage is collected in this time, too
    chunk = fuzz.run_chunk(3, 0)
    assert chunk.findings == ()
    assert chunk.accepted > 10
    assert chunk.generated > 0


def test_the_corpus_is_valid_and_has_every_op():
    """Otherwise no mutant would come far."""
    programs = fuzz.corpus(1)
    ops = {node.op for program in programs for node in program.nodes}
    for program in programs:
        validate(program)
    assert len(ops) >= 22


def test_inputs_are_always_the_same():
    """A finding can be repeated from seed and chunk alone."""
    programs = fuzz.corpus(1)
    first, second = (list(fuzz.inputs(5, 7, programs)) for _ in range(2))
    assert first == second
    assert first != list(fuzz.inputs(5, 8, programs))


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (lambda data: 1 / 0, "ZeroDivisionError"),
        (lambda data: decode(encode(fuzz.corpus(1)[0])), "AssertionError: accepted, but"),
    ],
)
def test_a_broken_decoder_is_found(monkeypatch, spoil, what):
    """A crash, and a second encoding."""
    monkeypatch.setattr(fuzz, "CHUNK", 3)
    monkeypatch.setattr(fuzz, "decode", spoil)
    assert [w[: len(what)] for _, w in fuzz.run_chunk(1, 0).findings] == [what] * 3


def test_a_hang_is_found(monkeypatch):
    """It does not end the process."""

    def spin(_data):
        while True:
            pass

    monkeypatch.setattr(fuzz, "CHUNK", 2)
    monkeypatch.setattr(fuzz, "HANG_S", 0.05)
    monkeypatch.setattr(fuzz, "decode", spin)
    assert [what for _, what in fuzz.run_chunk(1, 0).findings] == ["Hang: "] * 2


def test_known_words_are_told_from_others():
    """Anything that no generator writes is found: calls, the preprocessor, quotes, comments."""
    assert unknown_words("for (I x0 = x0_from; x0 < x0_to; x0++) o0[x0] = a1;") == []
    for text in ("evil(x0)", "#define x", '"a"', "a0 \\ b", "// a0", "x0 @ 3", "asm_x(a0)"):
        assert unknown_words(text), text


def test_mutants_of_tables_are_mostly_refused_by_the_validator():
    """They get past the decoder: most messages name a node."""
    programs, random, messages = fuzz.corpus(1), Random(1), []
    for _ in range(200):
        try:
            decode(fuzz.mutated_table(random, programs))
        except ProgramError as error:
            messages.append(str(error))
    assert sum(message.startswith("node ") for message in messages) > 100
