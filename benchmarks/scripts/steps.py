"""Training steps on random batches, a few at a time, as often as asked.

Usage: steps.py PRESET on|off LENGTH auto|cpu|gpu   (on: the same bits each time)

Each line on stdin is a number of steps to take; the answer is a line of JSON on stdout: the
milliseconds of each. A line that says `ready` comes first.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from lstm_cli.config.load import load_preset
from lstm_cli.config.schema import Config
from lstm_cli.training import device

_WARM_UP = 3
_IMAGE_SIDES = {"digits": 8, "mnist": 28}
_NUM_CLASSES = {"text": 2, "image": 10}


def batches(config: Config, length: int) -> Iterator[tuple[NDArray[Any], NDArray[np.int32]]]:
    """Yield random inputs and class ids without end, the same for the same preset."""
    rng = np.random.default_rng(0)
    size = config.train.batch_size
    while True:
        labels = rng.integers(0, _NUM_CLASSES[config.kind], size, np.int32)
        if config.text is None:
            side = _IMAGE_SIDES[config.data.name]
            yield rng.integers(0, 256, (size, side, side), np.uint8), labels
        else:
            # As often as words are: Zipf's law. Adding gradients of one word is what may cost.
            largest = np.log(config.text.vocab_size)
            yield np.exp(rng.uniform(np.log(2), largest, (size, length))).astype(np.int32), labels


def main(preset: str, deterministic: bool, length: int, use: device.Device) -> None:
    """Answer until stdin ends."""
    config = load_preset(preset)
    device.load_keras(use)
    from lstm_cli.models import classifier

    if deterministic:
        device.make_deterministic()
    num_classes = _NUM_CLASSES[config.kind]
    vocab_size = None if config.text is None else config.text.vocab_size
    endless = batches(config, length)
    shape = None if config.text else next(endless)[0].shape[1:]
    model = classifier.build_classifier(config, num_classes, vocab_size, shape)
    classifier.compile_classifier(model, config.train, num_classes)

    def step() -> float:
        arrays, labels = next(endless)
        inputs: Any = arrays
        if config.linear is not None:
            inputs = [arrays, np.zeros((len(arrays), 1), np.float32)]
        wanted = classifier.encode_labels(labels, num_classes)
        began = time.perf_counter()
        logs = model.train_on_batch(inputs, wanted, return_dict=True)
        # Until the number is there, the step is not done.
        float(logs["loss"])
        return 1000 * (time.perf_counter() - began)

    for _ in range(_WARM_UP):
        step()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        sys.stdout.write(json.dumps([step() for _ in range(int(line))]) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] == "on", int(sys.argv[3]), cast(device.Device, sys.argv[4]))
