"""The rows of an image that each step of an LSTM reads."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lstm_cli.config.schema import ImageSettings
from lstm_cli.errors import ExitCode, LstmError


def row_windows(num_rows: int, settings: ImageSettings) -> NDArray[np.int64]:
    """Return the rows that each step reads, `<int64>[steps, window]`, from the top.

    A step begins `stride` rows below the step before it. The last one ends at the last row, so it
    begins less far below if the rows do not divide evenly.

    Args:
        num_rows: Rows of an image, at least `image.window`: see `check_window`.
        settings: `image.window`, and `image.stride`, which is not larger.
    """
    last = num_rows - settings.window
    num_steps = -(-last // settings.stride) + 1
    starts = np.minimum(np.arange(num_steps) * settings.stride, last)
    return np.asarray(starts[:, None] + np.arange(settings.window), np.int64)


def read_windows(images: NDArray[np.uint8], windows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return what an LSTM reads: `<uint8>[batch, rows, columns]` to `[batch, steps, dim]`.

    A step has the pixels of its rows one after another, each from 0 to 1.
    """
    pixels = images[:, windows].reshape(len(images), len(windows), -1)
    return pixels.astype(np.float32) / np.float32(255)


def check_window(settings: ImageSettings, num_rows: int) -> None:
    """Check that images have enough rows for a step.

    Raises:
        LstmError: They have fewer than `image.window` (exit code 2).
    """
    if settings.window > num_rows:
        raise LstmError(
            f"image.window expects at most the rows of an image, {num_rows:,}; found "
            f"{settings.window:,}.",
            f"For example: --set image.window={max(1, num_rows // 7)}",
            ExitCode.USAGE,
        )
