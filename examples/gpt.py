"""A character GPT in one file: `python -m examples.gpt FILE` trains it on a text and lets it write.

Four layers of four heads, 128 wide, that see 64 characters: nanoGPT's configuration for processors
(github.com/karpathy/nanoGPT, "I only have a macbook"), which publishes a validation loss of 1.88 on
Shakespeare after 2,000 iterations without dropout, measured on 20 batches. The first 90% of a text
are for training, all of the rest for validation. With nanoGPT's rate of 1e-3 that gives 1.90, here
and in PyTorch from the same first values; with twice the rate, the default, 1.82.

One training step is one Program: `jit` makes it from `train_step`, which takes parameters and
moments and returns new ones, so that they stay on the device. Every device ends with the same
weights, bit for bit; their digest is printed.
"""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from engine import AdamW, Tensor, gradient, jit
from engine.backend import open_backend, set_default_backend
from engine.commitment import state_root
from engine.functional import clip_grad_norm, cross_entropy, gelu, scaled_dot_product_attention
from engine.nn import Embedding, LayerNorm, Linear, Module, Sequential, functional_call
from engine.optim import cosine
from engine.state import save_file

Tokens = NDArray[np.int32]
Tensors = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class Settings:
    """The published configuration, but for the rate; the tests use a smaller one."""

    layers: int = 4
    heads: int = 4
    width: int = 128
    context: int = 64
    batch: int = 12
    iterations: int = 2000
    warm_up: int = 100
    rate: float = 2e-3
    rate_min: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.1
    gradient_norm_max: float = 1.0
    seed: int = 1337


class Block(Module):
    """Attention to the characters before, then two linear layers, each added to what came in."""

    def __init__(self, s: Settings, rng: np.random.Generator) -> None:
        self.heads = s.heads
        self.norm1 = LayerNorm(s.width, bias=False)
        self.attention = Linear(s.width, 3 * s.width, bias=False, rng=rng)
        self.projection1 = Linear(s.width, s.width, bias=False, rng=rng)
        self.norm2 = LayerNorm(s.width, bias=False)
        self.hidden = Linear(s.width, 4 * s.width, bias=False, rng=rng)
        self.projection2 = Linear(4 * s.width, s.width, bias=False, rng=rng)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, time, width) -> the same."""
        x = x + self.projection1(self.attend(self.norm1(x)))
        return x + self.projection2(gelu(self.hidden(self.norm2(x))))

    def attend(self, x: Tensor) -> Tensor:
        """What each character takes from itself and those before it, head by head."""
        batch, time, width = x.shape
        split = self.attention(x).reshape(batch, time, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)  # (batch, head, time, features) each
        seen = scaled_dot_product_attention(query, key, value, is_causal=True)
        return seen.transpose(1, 2).reshape(batch, time, width)


class GPT(Module):
    """Characters -> logits of the next character at every place."""

    def __init__(self, s: Settings, characters: int) -> None:
        rng = np.random.default_rng(s.seed)
        self.token = Embedding(characters, s.width, rng=rng)  # also the output layer
        self.place = Embedding(s.context, s.width, rng=rng)
        self.blocks = Sequential(*(Block(s, rng) for _ in range(s.layers)))
        self.norm = LayerNorm(s.width, bias=False)
        for name, weight in self.named_parameters():  # GPT-2's first values
            if weight.ndim == 2:
                shrink = sqrt(2 * s.layers) if "projection" in name else 1.0
                weight.assign(Tensor(rng.normal(0.0, 0.02 / shrink, weight.shape)))

    def forward(self, x: Tensor) -> Tensor:
        """INT32 (batch, time) -> (batch, time, characters)."""
        x = self.token(x) + self.place.weight[: x.shape[1]]
        return self.norm(self.blocks(x)) @ self.token.weight.T


class Trainer:
    """A model's parameters and moments, and the Programs that change and use them."""

    def __init__(self, s: Settings, characters: int) -> None:
        self.settings = s
        self.model = GPT(s, characters)
        self.parameters: Tensors = self.model.state_dict()
        decayed = {name for name, tensor in self.parameters.items() if tensor.ndim == 2}

        def loss_of(parameters: Tensors, x: Tensor, y: Tensor) -> Tensor:
            scores = functional_call(self.model, parameters, x)
            return cross_entropy(scores.flatten(0, 1), y.flatten())

        def train_step(
            parameters: Tensors, moments: Tensors, x: Tensor, y: Tensor, iteration: Tensor
        ) -> tuple[Tensors, Tensors, Tensor]:
            loss = loss_of(parameters, x, y)
            gradients = dict(zip(parameters, gradient(loss, *parameters.values()), strict=True))
            gradients, _ = clip_grad_norm(gradients, s.gradient_norm_max)
            rate = cosine(iteration, s.rate, s.rate_min, s.iterations, s.warm_up)
            new: dict[str, Tensor] = {}
            new_moments: dict[str, Tensor] = {}
            for decay, names in ((s.weight_decay, decayed), (0.0, parameters.keys() - decayed)):
                part = {name: parameters[name] for name in parameters if name in names}
                rule = AdamW(rate, s.betas, weight_decay=decay)
                stepped, stepped_moments = rule.step(part, {n: gradients[n] for n in part}, moments)
                new |= stepped
                new_moments |= stepped_moments
            return {name: new[name] for name in parameters}, new_moments, loss

        self.moments: Tensors = AdamW().init(self.parameters)
        self._step, self._loss = jit(train_step), jit(loss_of)
        self.logits = jit(lambda parameters, x: functional_call(self.model, parameters, x))

    def step(self, x: Tokens, y: Tokens, iteration: int) -> Tensor:
        """Train on one batch; its loss before."""
        self.parameters, self.moments, loss = self._step(
            self.parameters, self.moments, Tensor(x), Tensor(y), Tensor(iteration)
        )
        return loss

    def loss(self, text: Tokens) -> float:
        """The mean loss over a text, in windows side by side; an incomplete batch is left out."""
        s = self.settings
        size = s.batch * s.context
        losses = [
            self._loss(self.parameters, *(Tensor(t.reshape(s.batch, s.context)) for t in pair))
            for i in range(0, len(text) - size, size)
            for pair in [(text[i : i + size], text[i + 1 : i + size + 1])]
        ]
        return float(np.mean([loss.item() for loss in losses]))

    def write(self, start: Tokens, count: int, temperature: float = 0.8) -> Iterator[int]:
        """Draw characters one after the other, from what the model expects after `start`."""
        rng = np.random.default_rng(self.settings.seed)
        context = self.settings.context
        tokens = list(start)
        for _ in range(count):
            seen = tokens[-context:]
            x = np.zeros((1, context), np.int32)  # characters after the last change nothing
            x[0, : len(seen)] = seen
            logits = self.logits(self.parameters, Tensor(x)).numpy()[0, len(seen) - 1]
            odds = np.exp((logits - logits.max()) / temperature)
            tokens.append(int(rng.choice(len(odds), p=odds / odds.sum())))
            yield tokens[-1]


def batches(s: Settings, text: Tokens) -> Iterator[tuple[Tokens, Tokens]]:
    """Random windows of a text, and the same one character on."""
    rng = np.random.default_rng(s.seed)
    offsets = np.arange(s.context)
    for _ in range(s.iterations):
        places = rng.integers(0, len(text) - s.context, s.batch)[:, None] + offsets
        yield text[places], text[places + 1]


def train(s: Settings, text: str, progress_every: int = 100) -> tuple[Trainer, list[str], float]:
    """Train on a text, printing progress; the trainer, the characters, the validation loss."""
    characters = sorted(set(text))
    codes = {character: code for code, character in enumerate(characters)}
    tokens = np.array([codes[character] for character in text], np.int32)
    cut = len(tokens) * 9 // 10
    least = s.batch * s.context + 1
    if len(tokens) - cut < least:
        raise SystemExit(f"the text has {len(text)} characters; it takes {10 * least} or more")
    trainer = Trainer(s, len(characters))
    size = sum(tensor.numel() for tensor in trainer.parameters.values())
    print(f"{len(text):,} characters, {len(characters)} different; {size:,} parameters", flush=True)
    start = last = perf_counter()
    for iteration, (x, y) in enumerate(batches(s, tokens[:cut])):
        loss = trainer.step(x, y, iteration)
        if iteration == 0 or (iteration + 1) % progress_every == 0:
            shown, now = loss.item(), perf_counter()
            per_step = (now - last) / (progress_every if iteration else 1)
            last = now
            print(f"{iteration + 1:5}  loss {shown:.4f}  {per_step * 1e3:7.1f} ms", flush=True)
    found = trainer.loss(tokens[cut:])
    print(f"validation loss {found:.4f} after {perf_counter() - start:.0f} s", flush=True)
    return trainer, characters, found


def main() -> None:
    """Parse the arguments, train, write."""
    parser = argparse.ArgumentParser(prog="python -m examples.gpt", description=__doc__)
    parser.add_argument("file", type=Path, help="a text in UTF-8")
    parser.add_argument("--iterations", type=int, default=Settings().iterations)
    parser.add_argument("--seed", type=int, default=Settings().seed)
    parser.add_argument("--rate", type=float, default=Settings().rate, help="the highest")
    parser.add_argument("--device", default="", help="as in `ainur doctor`; default: the best")
    parser.add_argument("--out", type=Path, help="write the weights here (safetensors)")
    parser.add_argument("--sample", type=int, default=500, help="characters to write at the end")
    options = parser.parse_args()
    backend = open_backend(options.device)
    set_default_backend(backend)
    print(f"device {backend.name}")
    settings = Settings(iterations=options.iterations, seed=options.seed, rate=options.rate)
    trainer, characters, _ = train(settings, options.file.read_text(encoding="utf-8"))
    weights = {name: tensor.numpy() for name, tensor in trainer.parameters.items()}
    print(f"weights {state_root(weights).hex()}")
    if options.out:
        save_file(trainer.parameters, options.out)
    newline = np.array([characters.index("\n") if "\n" in characters else 0], np.int32)
    for code in trainer.write(newline, options.sample):
        print(characters[code], end="", flush=True)
    print()


if __name__ == "__main__":
    main()
