"""The engine against others on the same machine: `python -m benchmarks.engine [--device SELECTOR]`.

Prints the hardware, then matrix products beside numpy's BLAS (benchmarks.products), then whole
training steps beside PyTorch and tinygrad where they are installed (benchmarks.steps); everything
in turns in one process, with the median of the ratios. `--json` prints one object with all figures.
"""

import argparse
import json
import os
import platform
import sys
from contextlib import redirect_stdout
from dataclasses import asdict
from typing import Any

import numpy as np

from benchmarks.pairs import PAIRS
from benchmarks.products import benchmark_products
from benchmarks.steps import add_options, benchmark_steps
from engine.backend import open_backend

SLOWING = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
"""Settings that make numpy's BLAS slower than it is; it reads them when it is imported."""


def main() -> None:
    """Parse the arguments, run everything."""
    if any(name in os.environ for name in SLOWING):
        fair = {name: value for name, value in os.environ.items() if name not in SLOWING}
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks.engine", *sys.argv[1:]], fair)
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine")
    options = add_options(parser).parse_args()
    with redirect_stdout(sys.stderr if options.json else sys.stdout):
        result = _measured(options)
    if options.json:
        print(json.dumps(result))


def _measured(options: argparse.Namespace) -> dict[str, Any]:
    backend = open_backend(options.device)
    print(f"device       {backend.name}")
    print(f"host         {platform.processor() or platform.machine()}, {os.cpu_count()} processors")
    print(f"numpy        {np.__version__}, medians of {PAIRS} paired runs")
    rows = [asdict(row) for row in benchmark_products(backend)]
    steps = benchmark_steps(backend, options)
    return {"device": backend.name, "products": rows, "steps": steps}


if __name__ == "__main__":
    main()
