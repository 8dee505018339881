"""Run a command; write how long it took, its peak memory and its exit code.

Usage: launch.py RESULT.json COMMAND...

A process counts the memory of the one it was forked from as its own peak, until then. So what is
measured is started from this small one, never from a parent that may have TensorFlow loaded.
"""

import json
import os
import sys
import time


def launch(result_path: str, command: list[str]) -> None:
    """Run the command to its end."""
    began = time.monotonic()
    # Linux' monotonic clock is one for all processes: the command can read its own age from it.
    environment = {**os.environ, "LSTM_BENCH_STARTED": repr(began)}
    child = os.posix_spawnp(command[0], command, environment)
    _, status, usage = os.wait4(child, 0)
    seconds = time.monotonic() - began
    unit = 2**20 if sys.platform == "darwin" else 2**10
    result = {
        "seconds": seconds,
        "peak_mb": usage.ru_maxrss / unit,
        "exit_code": os.waitstatus_to_exitcode(status),
    }
    with open(result_path, "w") as file:  # noqa: PTH123 -- importing pathlib costs memory
        json.dump(result, file)


if __name__ == "__main__":
    launch(sys.argv[1], sys.argv[2:])
