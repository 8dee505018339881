"""List the GPUs that the backend of Keras sees.

In a process of its own, because JAX reserves most of a GPU's memory until its process ends.

Usage: gpus.py RESULT.json
"""

from __future__ import annotations

import sys

from benchmarks.scripts import clock
from lstm_cli.config.load import load_preset
from lstm_cli.training import device


def main(out: str) -> None:
    """Write the names of the GPUs, if any, the backend, and the kernel."""
    device.load_keras("auto")
    info = device.select_device("auto", load_preset("imdb"))
    gpus = [] if info.device == "cpu" else info.device.split(", ")
    clock.write(out, {"gpus": gpus, "backend": info.backend, "kernel": info.kernel})


if __name__ == "__main__":
    main(sys.argv[1])
