"""Start the folder of an image as `docker run --read-only` would, and check the server in it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dockerfile

START_SECONDS = 120
# An archive of the preset `imdb` has 39 MB unpacked; a reload has the old one and the new one.
TMP_MEGABYTES = 128
# Mounts of one process: the image read-only, a small /tmp, and the folder of runs, read-only too.
START = """
ip link set lo up
mount --bind "$ROOT" "$ROOT"
mount -o remount,bind,ro "$ROOT"
mount -t proc -o nosuid,nodev,noexec proc "$ROOT/proc"
mount -t tmpfs -o nosuid,nodev,noexec,mode=1777,size=${TMP_MEGABYTES}m tmpfs "$ROOT/tmp"
mount --bind "$RUNS" "$ROOT/runs"
mount -o remount,bind,ro "$ROOT/runs"
exec "$@"
"""
PREDICT = """
import http.client
connection = http.client.HTTPConnection("127.0.0.1", 8000, timeout=30)
headers = {"Content-Type": "application/json"}
connection.request("POST", "/v1/predict", '{"text": "A dull film."}', headers)
response = connection.getresponse()
print(response.status, response.read().decode())
"""


@dataclass(frozen=True)
class Image:
    """The folder of an image, and what its last stage says of the user, commands and variables."""

    root: Path
    stage: dockerfile.Stage

    def user(self) -> tuple[str, str]:
        """Return the numbers of the user and the group."""
        uid, _, gid = self.stage.last("USER").partition(":")
        return uid, gid

    def environment(self) -> list[str]:
        """Return the variables as arguments of `env`."""
        return [f"{name}={value}" for name, value in self.stage.environment().items()]


@dataclass(frozen=True)
class Container:
    """A started image: the process that started it, and the number of its process 1."""

    image: Image
    process: subprocess.Popen[bytes]
    pid: int

    def run(self, *command: str, as_root: bool = False) -> subprocess.CompletedProcess[str]:
        """Run a command in the container, as its user or as root."""
        uid, gid = ("0", "0") if as_root else self.image.user()
        enter = ["nsenter", f"--target={self.pid}", "--mount", "--net", "--pid", "--root"]
        enter += [f"--setuid={uid}", f"--setgid={gid}", "env", "--ignore-environment"]
        return subprocess.run(
            [*enter, *self.image.environment(), *command], capture_output=True, text=True
        )

    def status(self, name: str) -> str:
        """Return a line of /proc/PID/status of process 1."""
        lines = Path(f"/proc/{self.pid}/status").read_text("utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith(f"{name}:"))


@contextlib.contextmanager
def start(image: Image, run: Path) -> Iterator[Container]:
    """Start the command of an image with `--run`, in namespaces of its own."""
    uid, gid = image.user()
    command = dockerfile.exec_form(image.stage.last("ENTRYPOINT"))
    command += dockerfile.exec_form(image.stage.last("CMD"))
    limits = [f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--no-new-privs"]
    limits += ["--bounding-set=-all", "--inh-caps=-all"]
    own = ["unshare", "--mount", "--pid", "--net", "--ipc", "--fork", "--kill-child"]
    into = ["chroot", str(image.root), "setpriv", *limits, "env", "--ignore-environment"]
    into += [*image.environment(), *command, "--run", f"/runs/{run.name}"]
    process = subprocess.Popen(
        [*own, "sh", "-ec", START, "sh", *into],
        env={**os.environ, "ROOT": str(image.root), "RUNS": str(run.parent)}
        | {"TMP_MEGABYTES": str(TMP_MEGABYTES)},
    )
    try:
        yield Container(image, process, _child(process))
    finally:
        process.kill()
        process.wait()


def _child(process: subprocess.Popen[bytes]) -> int:
    """Wait for process 1 of the namespace, which `unshare` starts, and return its number here."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    for _ in range(1000):
        if found := children.read_text("utf-8").split():
            return int(found[0])
        time.sleep(0.01)
    raise SystemExit("the container did not start")


def check(image: Image, run: Path) -> int:
    """Start the image, check what `docs/deploy.md` promises of it, and return the exit code."""
    health = image.stage.health_command()
    with start(image, run) as container:
        before = container.run(*health).returncode
        seconds = _wait_until_healthy(container, health)
        answer = container.run("python3", "-c", PREDICT).stdout.strip()
        write = container.run("touch", "/usr/file", as_root=True)
        pip = container.run("python3", "-c", "import pip, ensurepip")
        user, rights = container.status("Uid").split(), container.status("CapEff")
        memory = int(container.status("VmHWM").split()[0]) // 1024
        os.kill(container.pid, signal.SIGTERM)
        code = container.process.wait(30)
    results = {
        "HEALTHCHECK fails before the server is ready": before != 0,
        f"HEALTHCHECK succeeds after {seconds:.1f} s": seconds < START_SECONDS,
        f"POST /v1/predict: {answer[:120]}": answer.startswith("200 ") and _has_label(answer),
        f"user {user[0]}, capabilities {rights}": set(user) == {image.user()[0]}
        and user[0] != "0"
        and int(rights, 16) == 0,
        f"root cannot write: {write.stderr.strip()}": "Read-only file system" in write.stderr,
        "there is no pip": "No module named" in pip.stderr,
        f"SIGTERM as process 1: exit code {code}": code == 0,
    }
    for text, is_good in results.items():
        print("ok    " if is_good else "FAILED", text)
    print(f"       most memory: {memory} MB")
    return 0 if all(results.values()) else 1


def _has_label(answer: str) -> bool:
    return bool(json.loads(answer.partition(" ")[2])["predictions"][0]["label"])


def _wait_until_healthy(container: Container, health: list[str]) -> float:
    """Run the health check until it succeeds; return after how many seconds it did."""
    begin = time.monotonic()
    while container.process.poll() is None and time.monotonic() - begin < START_SECONDS:
        if container.run(*health).returncode == 0:
            return time.monotonic() - begin
        time.sleep(0.2)
    raise SystemExit("the server did not become ready")
