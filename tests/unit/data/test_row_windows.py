"""The rows that each step over an image reads."""

from __future__ import annotations

import numpy as np
import pytest

from lstm_cli.config.schema import ImageSettings
from lstm_cli.data.row_windows import check_window, read_windows, row_windows
from lstm_cli.errors import ExitCode, LstmError


@pytest.mark.parametrize(
    ("num_rows", "window", "stride", "starts"),
    [
        (4, 1, 1, [0, 1, 2, 3]),
        (28, 4, 2, [*range(0, 25, 2)]),
        (7, 3, 3, [0, 3, 4]),
        (8, 3, 2, [0, 2, 4, 5]),
        (3, 3, 2, [0]),
    ],
)
def test_steps_read_all_rows_and_end_at_the_last_one(num_rows, window, stride, starts):
    windows = row_windows(num_rows, ImageSettings(window=window, stride=stride))
    assert windows[:, 0].tolist() == starts
    assert (windows == windows[:, :1] + np.arange(window)).all()
    assert set(windows.ravel().tolist()) == set(range(num_rows))
    assert windows[-1, -1] == num_rows - 1


def test_a_step_has_the_pixels_of_its_rows_one_after_another():
    image = np.arange(12, dtype=np.uint8).reshape(1, 4, 3)
    steps = read_windows(image, row_windows(4, ImageSettings(window=2, stride=2)))
    assert steps.dtype == np.float32
    assert (steps * 255).round().astype(int).tolist() == [[[*range(6)], [*range(6, 12)]]]


def test_images_with_fewer_rows_than_a_step_are_refused():
    check_window(ImageSettings(window=8), 8)
    with pytest.raises(LstmError, match=r"image.window .* 8; found 9") as caught:
        check_window(ImageSettings(window=9), 8)
    assert caught.value.exit_code == ExitCode.USAGE
