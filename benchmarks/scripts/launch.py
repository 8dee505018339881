"""Run a command; write its wall time, peak memory and exit code.

Usage: launch.py RESULT.json COMMAND...

The peak memory of a process includes that of the process it was forked from. So the measured
process is started from this small one, and not from one that may have loaded TensorFlow.
"""

import json
import os
import sys
import time


def launch(result_path: str, command: list[str]) -> None:
    """Run the command and wait until it ends."""
    start = time.monotonic()
    # Linux has one monotonic clock for all processes, so the command can compute its own age.
    environment = {**os.environ, "LSTM_BENCH_STARTED": repr(start)}
    child = os.posix_spawnp(command[0], command, environment)
    _, status, usage = os.wait4(child, 0)
    seconds = time.monotonic() - start
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
