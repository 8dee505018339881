"""RunDir: layout, atomic writes, manifest, locks."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from io import BufferedReader
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

from lstm_cli.config.load import from_yaml
from lstm_cli.config.schema import Config
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io import safe_open as folders
from lstm_cli.io.atomic_write import is_temp_file, make_folder, remove, remove_temp_files
from lstm_cli.io.atomic_write import write_atomic as write_atomic
from lstm_cli.runs.schema import EpochLine, RunInfo, decode, decode_lines

CONFIG = "config.yaml"
RUN = "run.json"
TOKENIZER = "tokenizer.json"
LABELS = "labels.json"
WEIGHTS = "weights.safetensors"
MODEL = "model.onnx"
GOLDEN = "golden.json"
HISTORY = "history.jsonl"
METRICS = "metrics.json"
CARD = "README.md"
PLOTS = "plots"
REPORTS = "reports"
CHECKPOINTS = "checkpoints"
MANIFEST = "manifest.json"
LOCK = ".lock"

T = TypeVar("T")

_MAX_JSON_BYTES = 64 << 20
# The settings say how large the network's own files may be; see `trust.max_bytes`.
_MAX_BYTES = {CONFIG: 64 << 10, LABELS: 4 << 20, GOLDEN: 16 << 20, MANIFEST: 4 << 20}
_MAX_BYTES |= {MODEL: 1 << 62, WEIGHTS: 1 << 62}
_MAX_BYTES |= {RUN: 8 << 20, CARD: 1 << 20}
# Ours have a hundred kilobytes.
_MAX_PLOT_BYTES = 8 << 20
# A value takes up to 72 bytes in memory and as few as two in a file.
_MAX_JSON_VALUES = 4_000_000
_UNLISTED = (MANIFEST, CHECKPOINTS, REPORTS, "tensorboard")
_LOCK_SECONDS = 1.0

Status = Literal["running", "finished", "failed", "interrupted", "broken"]


@dataclass(frozen=True)
class ManifestEntry:
    """What the manifest says of a file: its size, and the SHA-256 of its content in hex."""

    num_bytes: int
    sha256: str


@dataclass(frozen=True)
class RunDir:
    """A folder `runs/<dataset>/<name>` that `train` writes and every other command reads.

    Attributes:
        path: The folder.
        manifest: Where given, what every file that is read is held to; see `verified`.
    """

    path: Path
    manifest: Mapping[str, ManifestEntry] | None = field(default=None, compare=False, repr=False)

    @property
    def name(self) -> str:
        """What `--run` takes: `<dataset>/<name>`."""
        return f"{self.path.parent.name}/{self.path.name}"

    @property
    def status(self) -> Status:
        """How the run stands.

        It is `finished` only where the manifest, written last, is there, and `running` only
        while the process is alive: one that was killed could not say that it was interrupted.
        """
        info = peek(self)
        if info is None:
            return "broken"
        if info.status == "finished":
            return "finished" if (self.path / MANIFEST).is_file() else "broken"
        if info.status == "running":
            return "running" if is_locked(self) else "interrupted"
        return info.status

    def file(self, name: str) -> Path:
        """Return the path of one of the run's files."""
        return self.path / name

    def read_json(self, name: str) -> Any:
        """Parse one of the run's JSON files.

        Raises:
            LstmError: It is missing, too large or no JSON (exit code 5).
        """
        content = self._read_values(name)
        try:
            return json.loads(str(content, "utf-8"))
        except (ValueError, RecursionError) as error:
            raise self.integrity_error(f"{name} is no JSON ({error})") from None

    def decode(self, name: str, kind: type[T]) -> T:
        """Decode one of the run's JSON files into a type of `run_schema`.

        Args:
            name: Inside the run directory.
            kind: What the file must hold.

        Raises:
            LstmError: It is missing, too large or not of that type; the key is named (exit code 5).
        """
        content = self._read_values(name)
        try:
            return decode(content, kind)
        except ValueError as error:
            raise self.integrity_error(f"{name}{error}") from None

    def history(self) -> tuple[EpochLine, ...]:
        """Decode the history: one line an epoch, at least one.

        Raises:
            LstmError: It is missing, too large, or a line is not an epoch; line and key are named
                (exit code 5).
        """
        content = self._read_values(HISTORY)
        try:
            return decode_lines(content)
        except ValueError as error:
            raise self.integrity_error(f"{HISTORY}{error}") from None

    def _read_values(self, name: str) -> bytes:
        """Read a JSON file that does not take much more memory than its size.

        Raises:
            LstmError: As `read_bytes`, or it holds too many values (exit code 5).
        """
        content = self.read_bytes(name)
        if sum(content.count(mark) for mark in (b",", b"[", b"{")) > _MAX_JSON_VALUES:
            raise self.integrity_error(f"{name} holds over {_MAX_JSON_VALUES:,} values")
        return content

    def read_text(self, name: str) -> str:
        """Read one of the run's text files.

        Raises:
            LstmError: It is missing, too large or no UTF-8 (exit code 5).
        """
        try:
            return str(self.read_bytes(name), "utf-8")
        except ValueError as error:
            raise self.integrity_error(f"{name} cannot be read ({error})") from None

    def read_bytes(self, name: str, max_bytes: int | None = None) -> bytes:
        """Read one of the run's files whole: no link, no device, and not without bound.

        Args:
            name: Inside the run directory.
            max_bytes: Bytes it may have; else as much as a file of that name ever has.

        Raises:
            LstmError: It is missing, too large, or not as the manifest lists it (exit code 5).
        """
        with self._opened(name, max_bytes) as file:
            content = file.read(os.fstat(file.fileno()).st_size)
        if self.manifest is not None:
            self._check_sha256(name, hashlib.sha256(content).hexdigest())
        return content

    def read_head(self, name: str, num_bytes: int, max_bytes: int) -> tuple[bytes, int]:
        """Read the beginning of a file, unchecked but for its size.

        Args:
            name: Inside the run directory.
            num_bytes: How much of it.
            max_bytes: Bytes the file may have.

        Returns:
            The beginning, and the size of the whole.

        Raises:
            LstmError: As `read_bytes`.
        """
        with self._opened(name, max_bytes) as file:
            return file.read(num_bytes), os.fstat(file.fileno()).st_size

    @contextlib.contextmanager
    def held(self, name: str, max_bytes: int | None = None) -> Iterator[BufferedReader]:
        """Open a file too large to be read whole, once its content is known to be as listed.

        Args:
            name: Inside the run directory.
            max_bytes: As for `read_bytes`.

        Raises:
            LstmError: As `read_bytes`.
        """
        with self._opened(name, max_bytes) as file:
            # Read and not mapped: a bad sector is an error here, and a dead process there.
            self._check_sha256(name, hashlib.file_digest(file, "sha256").hexdigest())
            yield file

    def config(self) -> Config:
        """Read the run's settings.

        Raises:
            LstmError: They are missing or not as `train` writes them (exit code 5).
        """
        text = self.read_text(CONFIG)
        if _has_alias(text):
            raise self.integrity_error(
                f"{CONFIG} repeats parts of itself by reference, which no run does"
            )
        try:
            return from_yaml(text, CONFIG)
        except LstmError as error:
            raise self.integrity_error(error.message.rstrip(".")) from None

    def labels(self) -> tuple[str, ...]:
        """Read the class names; the index is the class id.

        Raises:
            LstmError: They are missing, or no list of different names (exit code 5).
        """
        names = self.read_json(LABELS)
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise self.integrity_error(f"{LABELS} is no list of names")
        if len(set(names)) != len(names) or len(names) < 2:
            raise self.integrity_error(f"{LABELS} does not hold two or more different names")
        return tuple(names)

    def write_text(self, name: str, text: str) -> None:
        """Write one of the run's files, whole or not at all.

        A lone surrogate (a byte of a file name, half a pair in a data file) has no UTF-8; it is
        written as the escape that JSON and YAML read back as the same.
        """
        write_atomic(self.path / name, text.encode("utf-8", "backslashreplace"))

    def write_bytes(self, name: str, content: bytes) -> None:
        """Write one of the run's files, whole or not at all."""
        write_atomic(self.path / name, content)

    def write_json(self, name: str, value: Any) -> None:
        """Write a value as JSON, whole or not at all."""
        self.write_text(name, json.dumps(value, indent=1, ensure_ascii=False) + "\n")

    def remove(self, name: str) -> None:
        """Remove one of the run's files for good; one that is gone is fine."""
        remove(self.path / name)

    def remove_temp_files(self) -> None:
        """Remove what a killed process left half-written; only under the run's lock."""
        for folder in (self.path, self.path / PLOTS, self.path / CHECKPOINTS):
            remove_temp_files(folder)

    def write_manifest(self) -> None:
        """Record size and SHA-256 of every file of the run: from now on it is finished.

        Raises:
            LstmError: A file cannot be read, or the manifest not written.
        """
        files = {}
        for path in sorted(self.path.rglob("*")):
            name = path.relative_to(self.path).as_posix()
            if not is_in_manifest(name) or not path.is_file():
                continue
            try:
                files[name] = {"bytes": path.stat().st_size, "sha256": sha256(path)}
            except OSError as error:
                raise LstmError(f"Cannot read {path}: {error.strerror or error}.") from error
        self.write_json(MANIFEST, {"format": 1, "files": files})

    def verify(self, names: Iterable[str], max_bytes: int | None = None) -> None:
        """Check files against the manifest before anything in them is parsed.

        Args:
            names: Files relative to the run directory.
            max_bytes: Bytes each may have; else as much as a file of its name ever has.

        Raises:
            LstmError: A file is missing, not listed, of another size or content (exit code 5).
        """
        run = self if self.manifest is not None else self.verified()
        for name in names:
            with run.held(name, max_bytes):
                pass

    def verified(self) -> RunDir:
        """Return this run as one whose every file is held to the manifest as it is read.

        Raises:
            LstmError: The manifest is missing or no list of files inside the run (exit code 5).
        """
        manifest = replace(self, manifest=None).read_json(MANIFEST)
        files = manifest.get("files") if isinstance(manifest, dict) else None
        if not isinstance(files, dict):
            raise self.integrity_error(f"{MANIFEST} has no list of files")
        try:
            listed = {name: _manifest_entry(name, entry) for name, entry in files.items()}
        except ValueError as error:
            raise self.integrity_error(f"{MANIFEST}: {error}") from None
        return replace(self, manifest=listed)

    def names(self) -> list[str]:
        """List everything in the run, listed or not.

        Raises:
            LstmError: It holds something that is no plain file: a link, a pipe (exit code 5).
        """
        try:
            return folders.list_files(self.path)
        except (OSError, ValueError) as error:
            raise self.integrity_error(str(error)) from None

    def integrity_error(self, what: str) -> LstmError:
        """Build the error for a run that cannot be trusted."""
        return LstmError(
            f"Run {self.path} fails its integrity check: {what}.",
            "Train it again, or restore it from a copy.",
            ExitCode.INTEGRITY,
        )

    @contextlib.contextmanager
    def _opened(self, name: str, max_bytes: int | None) -> Iterator[BufferedReader]:
        """Open a file whose size is right."""
        allowed = max_bytes or _largest(name)
        try:
            with folders.open_file(self.path, name) as file:
                self._check_size(name, os.fstat(file.fileno()).st_size, allowed)
                yield file
        except FileNotFoundError:
            raise self.integrity_error(f"{name} is missing") from None
        except OSError as error:
            raise self.integrity_error(
                f"{name} cannot be read ({error.strerror or error})"
            ) from None
        except ValueError as error:
            raise self.integrity_error(str(error)) from None

    def _check_size(self, name: str, size: int, allowed: int) -> None:
        if self.manifest is not None:
            if name not in self.manifest:
                raise self.integrity_error(f"{MANIFEST} does not list {name}")
            if size != self.manifest[name].num_bytes:
                expected = self.manifest[name].num_bytes
                raise self.integrity_error(f"{name} has {size:,} bytes, expected {expected:,}")
        if size > allowed:
            raise self.integrity_error(
                f"{name} has {size:,} bytes, larger than the {allowed:,} it may be"
            )

    def _check_sha256(self, name: str, found: str) -> None:
        if self.manifest is not None and found != self.manifest[name].sha256:
            raise self.integrity_error(f"the content of {name} has changed (SHA-256 differs)")


def is_in_manifest(name: str) -> bool:
    """Tell whether a file of a finished run belongs in its manifest."""
    parts = name.split("/")
    return parts[0] not in _UNLISTED and not parts[-1].startswith(".")


def runs_root(given: Path | None = None) -> Path:
    """Return where runs are kept: the given folder, else `LSTM_RUNS_DIR`, else `./runs`."""
    return given or Path(os.environ.get("LSTM_RUNS_DIR") or "runs")


def create(root: Path, dataset: str, name: str | None = None) -> RunDir:
    """Make a new run directory.

    One in which a process was killed before training began is taken over.

    Args:
        root: Folder of all runs.
        dataset: What the run is filed under.
        name: Of the run; start time and a short hash where not given.

    Raises:
        LstmError: The name is taken or no plain name, or the folder cannot be written.
    """
    name = _free_name(root / dataset) if name is None else name
    path = check_free(root, dataset, name)
    try:
        make_folder(path)
    except OSError as error:
        raise LstmError(
            f"Cannot write runs under {root}: {error.strerror or error}.",
            "Name another folder with --runs-dir or LSTM_RUNS_DIR.",
        ) from None
    return RunDir(path)


def check_free(root: Path, dataset: str, name: str) -> Path:
    """Return the folder that a new run of this name gets.

    Raises:
        LstmError: There is such a run, or the name is not valid.
    """
    if not _is_plain(name):
        raise LstmError(
            f"--name expects a plain name, found {name!r}.",
            "For example: --name baseline",
            ExitCode.USAGE,
        )
    path = root / dataset / name
    if exists(path) and not _never_began(path):
        raise LstmError(
            f"There is already a run {path}.", "Give another --name, or remove that folder."
        )
    return path


@contextlib.contextmanager
def locked(run: RunDir) -> Iterator[None]:
    """Hold a run for one process; the lock goes with the process, however it ends.

    Raises:
        LstmError: Another process holds it, or the folder cannot be written.
    """
    from filelock import FileLock, Timeout

    # Not at once: `is_locked` of another process may just be looking.
    lock = FileLock(run.path / LOCK, timeout=_LOCK_SECONDS)
    try:
        lock.acquire()
    except Timeout:
        raise LstmError(
            f"Another process is training run {run.name}.",
            "Wait for it, or start a run of another name.",
        ) from None
    except OSError as error:
        raise LstmError(
            f"Cannot write {run.path / LOCK}: {error.strerror or error}.",
            "A run needs a folder that can be written.",
        ) from None
    try:
        yield
    finally:
        lock.release()


def is_locked(run: RunDir) -> bool:
    """Tell whether a process is training a run; nothing is written."""
    import fcntl

    try:
        # Were a named pipe to lie there, opening it must not wait for a writer.
        handle = os.open(run.path / LOCK, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        # Shared, so that two who look do not take each other for a writer.
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False


def json_line(value: Any) -> str:
    """Return a value as one line of JSON, its end included."""
    return json.dumps(value, ensure_ascii=False) + "\n"


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_record(run: RunDir, kind: type[RunInfo] = RunInfo) -> dict[str, Any]:
    """Read `run.json` as it is, once its types are known to be right.

    Args:
        run: The run.
        kind: What it must hold.

    Raises:
        LstmError: It is missing or damaged; the key is named (exit code 5).
    """
    run.decode(RUN, kind)
    record: dict[str, Any] = run.read_json(RUN)
    return record


def reason(run: RunDir, error: LstmError) -> str:
    """Return what is wrong with a run without naming the run again."""
    return error.message.removeprefix(f"Run {run.path} fails its integrity check: ").rstrip(".")


def peek(run: RunDir) -> RunInfo | None:
    """Read `run.json` of a run in any state, not held to a manifest; None where it is damaged."""
    try:
        return replace(run, manifest=None).decode(RUN, RunInfo)
    except LstmError:
        return None


def _free_name(folder: Path) -> str:
    """Return a name by which no run of this second is called."""
    while True:
        name = f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        if not exists(folder / name):
            return name


def exists(path: Path) -> bool:
    """Tell whether a path leads somewhere; a text in its place is longer than any name may be."""
    try:
        return path.exists()
    except OSError:
        return False


def _never_began(path: Path) -> bool:
    """Tell whether a folder holds nothing but what is written before `run.json`."""
    before = {LOCK, CONFIG, LABELS, TOKENIZER}
    try:
        return all(entry.name in before or is_temp_file(entry) for entry in path.iterdir())
    except OSError:
        return False


def _is_plain(name: str) -> bool:
    """Tell whether a name is a visible folder, and prints in a line as it is."""
    tidy = name == name.strip() and name.isprintable()
    return bool(name) and tidy and not name.startswith((".", "-")) and not has_separator(name)


def _manifest_entry(name: str, entry: Any) -> ManifestEntry:
    """Read one entry of a manifest.

    Raises:
        ValueError: Its name leads out of the run, or it has no size or SHA-256.
    """
    folders.check_name(name)
    size, digest = (
        (entry.get("bytes"), entry.get("sha256")) if isinstance(entry, dict) else (None, None)
    )
    if type(size) is not int or size < 0 or not isinstance(digest, str):
        raise ValueError(f"the entry of {name!r} has no size and SHA-256")
    return ManifestEntry(size, digest)


def _has_alias(text: str) -> bool:
    """Tell whether YAML refers back to a part of itself: some lines could stand for billions."""
    if "*" not in text or "&" not in text:
        return False
    with contextlib.suppress(yaml.YAMLError, ValueError, RecursionError):
        return any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text))
    return False


def has_separator(name: str) -> bool:
    """Tell whether a text names more than one folder, or none."""
    return "/" in name or os.sep in name or "\0" in name or name in (".", "..")


def is_language(run: RunDir) -> bool:
    """Tell whether a run says that it is a language model."""
    info = peek(run)
    return info is not None and info.kind == "language"


def _largest(name: str) -> int:
    """Return how many bytes a file of a run may have."""
    if name.startswith(f"{PLOTS}/"):
        return _MAX_PLOT_BYTES
    return _MAX_BYTES.get(name, _MAX_JSON_BYTES)
