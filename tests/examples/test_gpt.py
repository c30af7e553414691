"""The GPT example: it fits together, learns, cannot look ahead, and repeats itself exactly."""

from dataclasses import replace
from math import log
from pathlib import Path

import numpy as np
import pytest

from engine import Tensor
from engine.backend import set_default_backend
from engine.commitment import state_root
from engine.state import load_file
from examples import gpt
from examples.gpt import GPT, Settings, train

TINY = Settings(
    layers=1, heads=2, width=16, context=16, batch=8, iterations=40, warm_up=5, rate=1e-2
)


def weights(trainer):
    """The parameters as arrays."""
    return {name: tensor.numpy() for name, tensor in trainer.parameters.items()}


@pytest.fixture(scope="module")
def text() -> str:
    """Words in a random order: letters can be foretold, words cannot."""
    words = ["one", "two", "three", "four", "five", "six", "seven", "\n"]
    return " ".join(np.random.default_rng(0).choice(words, 1000))


@pytest.fixture(scope="module")
def trained(text: str):
    """A tiny model after forty steps on the reference, which needs no compiling."""
    return train(TINY, text)


def test_model_learns_what_can_be_foretold(trained):
    """On text not seen it is far better than guessing among the characters."""
    _, characters, loss = trained
    assert loss < 0.6 * log(len(characters))


def test_same_seed_gives_the_same_weights_and_another_seed_others(text):
    """Bit for bit, with all that lies between."""
    first, again, other = (
        weights(train(replace(TINY, seed=seed, iterations=3), text)[0]) for seed in (0, 0, 1)
    )
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name], name)
        assert (array != other[name]).any(), name


def test_a_character_does_not_see_what_comes_after(trained):
    """Logits up to a place depend on nothing behind it, and on everything before."""
    trainer, characters, _ = trained
    x = np.random.default_rng(1).integers(0, len(characters), (1, TINY.context), dtype=np.int32)

    def logits(tokens):
        return trainer.logits(trainer.parameters, Tensor(tokens)).numpy()[0]

    for changed in (0, 7, 15):
        other = x.copy()
        other[0, changed] = (other[0, changed] + 1) % len(characters)
        is_different = (logits(x) != logits(other)).any(-1)
        assert is_different.tolist() == [place >= changed for place in range(TINY.context)]


def test_writing_starts_anywhere_and_goes_past_the_context(trained):
    """Characters come out of a short start and of more than fits."""
    trainer, characters, _ = trained
    for start in ([0], [1] * (TINY.context + 3)):
        written = list(trainer.write(np.array(start, np.int32), TINY.context + 2))
        assert len(written) == TINY.context + 2
        assert set(written) <= set(range(len(characters)))


def test_published_configuration_has_its_parameters():
    """nanoGPT reports 0.80 million with 65 characters, without the places."""
    model = GPT(Settings(), 65)
    count = sum(tensor.numel() for tensor in model.parameters())
    assert count - model.place.weight.numel() == 795_904
    assert len(model.state_dict()) == 2 + 4 * 6 + 1


def test_command_writes_weights_and_text(tmp_path: Path, text: str, trained, monkeypatch, capsys):
    """The command line does what `train` does, and says so."""
    path, out = tmp_path / "text.txt", tmp_path / "weights.safetensors"
    path.write_text(text)
    arguments = [path, "--device", "reference", "--iterations", 3, "--sample", 3, "--out", out]
    monkeypatch.setattr("sys.argv", ["gpt", *map(str, arguments)])
    monkeypatch.setattr(gpt, "Settings", lambda **given: replace(TINY, **given))
    gpt.main()
    set_default_backend(None)
    lines = capsys.readouterr().out.splitlines()
    trainer, _, loss = train(replace(TINY, iterations=3), text)
    assert [line for line in lines if line.startswith(f"validation loss {loss:.4f} after")]
    assert f"weights {state_root(weights(trainer)).hex()}" in lines
    for name, tensor in load_file(out).items():
        np.testing.assert_array_equal(tensor.numpy(), trainer.parameters[name].numpy(), name)


def test_text_that_is_too_short_says_so():
    """Before anything is computed."""
    with pytest.raises(SystemExit, match="the text has 3 characters; it takes 1290 or more"):
        train(TINY, "abc")
