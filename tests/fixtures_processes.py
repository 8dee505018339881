"""Other processes: small ones that hold a lock or work until they are asked to end, or killed."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import textwrap

# A job that a script starts in the background ignores SIGINT, and so do its children.
_HEARING = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"


def python(code, *arguments, **options):
    """Start Python on some code; standard streams are pipes of text."""
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-c", _HEARING + textwrap.dedent(code), *map(str, arguments)],
        **{"stdin": pipe, "stdout": pipe, "stderr": pipe, "text": True} | options,
    )


@contextlib.contextmanager
def running(code, *arguments, **options):
    """Run Python on some code during a block, from when it says `ready`; killed at the end."""
    process = python(code, *arguments, **options)
    try:
        line = process.stdout.readline()
        assert line == "ready\n", line + process.stderr.read()
        yield process
    finally:
        process.kill()
        process.communicate()


@contextlib.contextmanager
def holding(run):
    """Have another process hold the lock of a run."""
    code = """
        import sys
        from pathlib import Path
        from lstm_cli.runs import lock
        with lock.acquire(Path(sys.argv[1])):
            print("ready", flush=True)
            sys.stdin.read()
    """
    with running(code, run.path) as process:
        yield process
