"""Take training steps on random batches, on request.

Usage: steps.py PRESET on|off LENGTH auto|cpu|gpu [KEY=VALUE ...]   (on: deterministic)

Each line on stdin is a number of steps; the answer is a line of JSON on stdout, the milliseconds of
each step. The first line on stdout is `ready`.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from lstm_cli.config.load import load_preset, parse_overrides
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
            # Word frequencies follow Zipf's law: the gradients of frequent words must be summed.
            largest = np.log(config.text.vocab_size)
            yield np.exp(rng.uniform(np.log(2), largest, (size, length))).astype(np.int32), labels


def main(
    preset: str,
    deterministic: bool,
    length: int,
    device_choice: device.Device,
    changes: Sequence[str],
) -> None:
    """Answer requests until stdin ends."""
    config = load_preset(preset, parse_overrides(changes))
    device.load_keras(device_choice, deterministic)
    from lstm_cli.models import classifier

    if deterministic:
        device.make_deterministic()
    num_classes = _NUM_CLASSES[config.kind]
    vocab_size = None if config.text is None else config.text.vocab_size
    batch_iterator = batches(config, length)
    shape = None if config.text else next(batch_iterator)[0].shape[1:]
    model = classifier.build_classifier(config, num_classes, vocab_size, shape)
    classifier.compile_classifier(model, config.train, num_classes)

    def step() -> float:
        arrays, labels = next(batch_iterator)
        inputs: Any = arrays
        if config.linear is not None:
            inputs = [arrays, np.zeros((len(arrays), 1), np.float32)]
        targets = classifier.encode_labels(labels, num_classes)
        start = time.perf_counter()
        logs = model.train_on_batch(inputs, targets, return_dict=True)
        # The step is complete when the loss has been computed.
        float(logs["loss"])
        return 1000 * (time.perf_counter() - start)

    for _ in range(_WARM_UP):
        step()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        sys.stdout.write(json.dumps([step() for _ in range(int(line))]) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _, preset_name, kind, tokens, where, *settings = sys.argv
    main(preset_name, kind == "on", int(tokens), cast(device.Device, where), settings)
