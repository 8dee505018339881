"""The run directory: its files, and how they are read and written."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from io import BufferedReader
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

from lstm_cli.config.load import from_yaml
from lstm_cli.config.schema import Config
from lstm_cli.errors import ExitCode, LstmError, command_line
from lstm_cli.io import safe_open
from lstm_cli.io.atomic_write import RUNS_HINT, remove, remove_temp_files, write_atomic
from lstm_cli.runs import lock, manifest
from lstm_cli.runs.decode import decode
from lstm_cli.runs.lock import LOCK as LOCK
from lstm_cli.runs.manifest import CHECKPOINTS as CHECKPOINTS
from lstm_cli.runs.manifest import MANIFEST as MANIFEST
from lstm_cli.runs.manifest import REPORTS as REPORTS
from lstm_cli.runs.manifest import THRESHOLDS as THRESHOLDS
from lstm_cli.runs.manifest import ManifestEntry
from lstm_cli.runs.schema import EpochLine, RunInfo, decode_lines

CONFIG = "config.yaml"
RUN = "run.json"
TOKENIZER = "tokenizer.json"
LABELS = "labels.json"
LABEL_THRESHOLDS = "label_thresholds.json"
WEIGHTS = "weights.safetensors"
MODEL = "model.onnx"
GOLDEN = "golden.json"
HISTORY = "history.jsonl"
METRICS = "metrics.json"
OUT_OF_FOLD = "out_of_fold.csv"
HELD_OUT = "validation.safetensors"
VALIDATION_STATS = "validation_stats.json"
LEARNED = "learned.safetensors"
CARD = "README.md"
PLOTS = "plots"
# Hidden, so not in the manifest: the run of an MLflow server (`training.tracking`).
MLFLOW = ".mlflow.json"

T = TypeVar("T")

# Half the limit of labels.json, in which some characters are written as escapes.
MAX_LABEL_BYTES = 2 << 20
_MAX_JSON_BYTES = 64 << 20
_MAX_BYTES = {
    CONFIG: 64 << 10,
    LABELS: 4 << 20,
    LABEL_THRESHOLDS: 4 << 20,
    GOLDEN: 16 << 20,
    MANIFEST: 4 << 20,
    RUN: 8 << 20,
    CARD: 1 << 20,
    # It has all texts.
    OUT_OF_FOLD: 2 << 30,
    # The settings limit these two: `validate.max_bytes`.
    MODEL: 1 << 62,
    WEIGHTS: 1 << 62,
}
# The plots of `train` have about 100 kB.
_MAX_PLOT_BYTES = 8 << 20
# A JSON value takes up to 72 bytes in memory, and as few as two in a file.
_MAX_JSON_VALUES = 4_000_000

Status = Literal["running", "finished", "failed", "interrupted", "broken"]


@dataclass(frozen=True)
class RunDir:
    """A folder `runs/<dataset>/<name>` that `train` writes and every other command reads.

    Attributes:
        path: The folder.
        manifest: If set, every file that is read is checked against it; see `with_manifest`.
        archive: The zip file that the run was unpacked from, to read it only; None for a folder.
    """

    path: Path
    manifest: Mapping[str, ManifestEntry] | None = field(default=None, compare=False, repr=False)
    archive: Path | None = None

    @property
    def name(self) -> str:
        """What `--run` takes: `<dataset>/<name>`."""
        return f"{self.path.parent.name}/{self.path.name}"

    @property
    def location(self) -> Path:
        """Where a person finds the run: its folder, or its archive."""
        return self.archive or self.path

    @property
    def reports(self) -> Path:
        """The folder of reports: in the run, or beside its archive."""
        if self.archive is None:
            return self.path / REPORTS
        return self.archive.with_name(f"{self.archive.stem}-{REPORTS}")

    @property
    def status(self) -> Status:
        """The state of the run.

        It is `finished` only if the manifest, which is written last, exists. It is `running` only
        while the process lives: a process that was killed could not write `interrupted`.
        """
        info = peek(self)
        if info is None:
            return "broken"
        if info.status == "finished":
            return "finished" if (self.path / MANIFEST).is_file() else "broken"
        if info.status == "running":
            return "running" if lock.is_locked(self.path) else "interrupted"
        return info.status

    def file(self, name: str) -> Path:
        """Return the path of one of the run's files."""
        return self.path / name

    def names(self) -> list[str]:
        """List all files under the run, those outside the manifest too.

        Raises:
            LstmError: Something is not a plain file: a link, a pipe (exit code 5).
        """
        try:
            return safe_open.list_files(self.path)
        except (OSError, ValueError) as error:
            raise self.integrity_error(str(error)) from None

    def read_json(self, name: str) -> Any:
        """Parse one of the run's JSON files.

        Raises:
            LstmError: It is missing, too large or not JSON (exit code 5).
        """
        content = self._read_json_bytes(name)
        try:
            return json.loads(str(content, "utf-8"))
        except (ValueError, RecursionError) as error:
            raise self.integrity_error(f"{name} is not JSON ({error})") from None

    def decode(self, name: str, kind: type[T]) -> T:
        """Decode one of the run's JSON files into a type of `schema` or `metrics_schema`.

        Raises:
            LstmError: It is missing, too large or not of that type; the key is named (exit code 5).
        """
        return self._decode(name, lambda content: decode(content, kind))

    def history(self) -> tuple[EpochLine, ...]:
        """Decode the history: one line per epoch, at least one.

        Raises:
            LstmError: It is missing, too large, or a line is not an epoch; line and key are named
                (exit code 5).
        """
        return self._decode(HISTORY, decode_lines)

    def read_text(self, name: str) -> str:
        """Read one of the run's text files.

        Raises:
            LstmError: It is missing, too large or not UTF-8 (exit code 5).
        """
        try:
            return str(self.read_bytes(name), "utf-8")
        except ValueError as error:
            raise self.integrity_error(f"{name} cannot be read ({error})") from None

    def read_bytes(self, name: str, max_bytes: int | None = None) -> bytes:
        """Read the whole content of one of the run's files.

        Links and devices are refused, and so is a file larger than the limit.

        Args:
            name: Inside the run directory.
            max_bytes: Largest size allowed; None for the limit of a file with that name.

        Raises:
            LstmError: It is missing, too large, or differs from the manifest (exit code 5).
        """
        with self._open(name, max_bytes) as file:
            content = file.read(os.fstat(file.fileno()).st_size)
        if self.manifest is not None:
            self._check_sha256(name, hashlib.sha256(content).hexdigest())
        return content

    def read_head(self, name: str, num_bytes: int, max_bytes: int) -> bytes:
        """Read the beginning of a file; only its size is checked against the manifest.

        Args:
            name: Inside the run directory.
            num_bytes: How many bytes to read.
            max_bytes: Largest size allowed for the whole file.

        Raises:
            LstmError: As `read_bytes`.
        """
        with self._open(name, max_bytes) as file:
            return file.read(num_bytes)

    @contextlib.contextmanager
    def open_verified(self, name: str, max_bytes: int | None = None) -> Iterator[BufferedReader]:
        """Check a file against the manifest without holding it in memory, and open it.

        Raises:
            LstmError: As `read_bytes`.
        """
        with self._open(name, max_bytes) as file:
            # Read, not mapped: a bad sector raises an error here, but kills the process there.
            self._check_sha256(name, hashlib.file_digest(file, "sha256").hexdigest())
            yield file

    def config(self) -> Config:
        """Read the run's settings.

        Raises:
            LstmError: They are missing or not valid (exit code 5).
        """
        text = self.read_text(CONFIG)
        if _has_alias(text):
            raise self.integrity_error(f"{CONFIG} has YAML aliases, which no run has")
        try:
            return from_yaml(text, CONFIG)
        except LstmError as error:
            raise self.integrity_error(error.message.rstrip(".")) from None

    def labels(self) -> tuple[str, ...]:
        """Read the class names; the index is the class id.

        Raises:
            LstmError: They are missing, or not a list of different names (exit code 5).
        """
        names = self.read_json(LABELS)
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise self.integrity_error(f"{LABELS} is not a list of names")
        if len(set(names)) != len(names) or len(names) < 2:
            raise self.integrity_error(f"{LABELS} does not hold two or more different names")
        return tuple(names)

    def write_text(self, name: str, text: str) -> None:
        """Write one of the run's files, whole or not at all.

        A lone surrogate (a byte of a file name, half a pair in a data file) cannot be encoded as
        UTF-8. It is written as the escape that JSON and YAML read back as the same character.
        """
        self.write_bytes(name, text.encode("utf-8", "backslashreplace"))

    def write_bytes(self, name: str, content: bytes) -> None:
        """Write one of the run's files, whole or not at all."""
        write_atomic(self.path / name, content, RUNS_HINT)

    def write_json(self, name: str, value: Any) -> None:
        """Write a value as JSON, whole or not at all."""
        self.write_text(name, json.dumps(value, indent=1, ensure_ascii=False) + "\n")

    def write_manifest(self) -> None:
        """Write size and SHA-256 of every file of the run, which makes the run finished.

        Raises:
            LstmError: A file cannot be read, or the manifest cannot be written.
        """
        self.write_json(MANIFEST, manifest.build(self.path))

    def remove(self, name: str) -> None:
        """Remove one of the run's files, if it exists, and sync the folder."""
        remove(self.path / name)

    def remove_temp_files(self) -> None:
        """Remove temporary files of a killed process; call it only while holding the lock."""
        for folder in (self.path, self.path / PLOTS, self.path / CHECKPOINTS):
            remove_temp_files(folder)

    def with_manifest(self) -> RunDir:
        """Return this run with its manifest: each file is checked against it when it is read.

        Raises:
            LstmError: The manifest is missing or not valid (exit code 5).
        """
        value = replace(self, manifest=None).read_json(MANIFEST)
        try:
            return replace(self, manifest=manifest.parse(value))
        except ValueError as error:
            raise self.integrity_error(f"{MANIFEST}: {error}") from None

    def verify(self, names: Iterable[str], max_bytes: int | None = None) -> None:
        """Check files against the manifest without parsing them.

        Args:
            names: Files relative to the run directory.
            max_bytes: Largest size allowed for each; None for the limit of a file with its name.

        Raises:
            LstmError: A file is missing, not in the manifest, or differs from it (exit code 5).
        """
        run = self if self.manifest is not None else self.with_manifest()
        for name in names:
            with run.open_verified(name, max_bytes):
                pass

    def check_writable(self) -> None:
        """Check that the run is a folder, not an archive.

        Raises:
            LstmError: It is an archive, which is only read (exit code 2).
        """
        if self.archive is not None:
            raise LstmError(
                f"{self.archive} is an archive, and is not changed.",
                f"Unpack it into the folder of runs: {command_line('unzip', str(self.archive))} "
                "-d runs",
                ExitCode.USAGE,
            )

    def integrity_error(self, reason: str) -> LstmError:
        """Build the error for a run that fails a check.

        Args:
            reason: File and fault, without a full stop.
        """
        return LstmError(
            f"{_integrity_prefix(self)}{reason}.",
            "Train it again, or restore it from a copy.",
            ExitCode.INTEGRITY,
        )

    def _decode(self, name: str, decoder: Callable[[bytes], T]) -> T:
        content = self._read_json_bytes(name)
        try:
            return decoder(content)
        except ValueError as error:
            raise self.integrity_error(f"{name}{error}") from None

    def _read_json_bytes(self, name: str) -> bytes:
        """Read a JSON file, and limit the memory that its values take.

        Raises:
            LstmError: As `read_bytes`, or it holds too many values (exit code 5).
        """
        content = self.read_bytes(name)
        if sum(content.count(mark) for mark in (b",", b"[", b"{")) > _MAX_JSON_VALUES:
            raise self.integrity_error(f"{name} holds over {_MAX_JSON_VALUES:,} values")
        return content

    @contextlib.contextmanager
    def _open(self, name: str, max_bytes: int | None) -> Iterator[BufferedReader]:
        """Open a file and check its size."""
        limit = max_bytes or _max_bytes(name)
        try:
            with safe_open.open_file(self.path, name) as file:
                self._check_size(name, os.fstat(file.fileno()).st_size, limit)
                yield file
        except FileNotFoundError:
            raise self.integrity_error(f"{name} is missing") from None
        except OSError as error:
            raise self.integrity_error(
                f"{name} cannot be read ({error.strerror or error})"
            ) from None
        except ValueError as error:
            raise self.integrity_error(str(error)) from None

    def _check_size(self, name: str, size: int, limit: int) -> None:
        if self.manifest is not None:
            if name not in self.manifest:
                raise self.integrity_error(f"{MANIFEST} does not list {name}")
            expected = self.manifest[name].num_bytes
            if size != expected:
                raise self.integrity_error(f"{name} has {size:,} bytes, expected {expected:,}")
        if size > limit:
            raise self.integrity_error(f"{name} has {size:,} bytes, the limit is {limit:,}")

    def _check_sha256(self, name: str, digest: str) -> None:
        if self.manifest is not None and digest != self.manifest[name].sha256:
            raise self.integrity_error(f"the content of {name} has changed (SHA-256 differs)")


def runs_root(folder: Path | None = None) -> Path:
    """Return the folder of all runs: the given one, else `LSTM_RUNS_DIR`, else `./runs`."""
    return folder or Path(os.environ.get("LSTM_RUNS_DIR") or "runs")


def json_line(value: Any) -> str:
    """Return a value as one line of JSON, with the line break."""
    return json.dumps(value, ensure_ascii=False) + "\n"


def read_run_json(run: RunDir, kind: type[RunInfo] = RunInfo) -> dict[str, Any]:
    """Return `run.json` with its unknown keys, if it is of a type.

    Raises:
        LstmError: It is missing or damaged; the key is named (exit code 5).
    """
    run.decode(RUN, kind)
    value: dict[str, Any] = run.read_json(RUN)
    return value


def peek(run: RunDir) -> RunInfo | None:
    """Read `run.json` without the manifest, in any state of the run; None if it is damaged."""
    try:
        return replace(run, manifest=None).decode(RUN, RunInfo)
    except LstmError:
        return None


def is_language(run: RunDir) -> bool:
    """Return whether `run.json` says that the run is a language model."""
    info = peek(run)
    return info is not None and info.kind == "language"


def is_untested(run: RunDir) -> bool:
    """Return whether a finished run is a classifier that was not scored on test."""
    return not is_language(run) and "test" not in run.read_json(METRICS)


def integrity_reason(run: RunDir, error: LstmError) -> str:
    """Return the reason of an integrity error, without the name of the run."""
    return error.message.removeprefix(_integrity_prefix(run)).rstrip(".")


def _integrity_prefix(run: RunDir) -> str:
    return f"Run {run.location} fails its integrity check: "


def _has_alias(text: str) -> bool:
    """Return whether YAML has aliases, by which a few lines can stand for billions of values."""
    if "*" not in text or "&" not in text:
        return False
    with contextlib.suppress(yaml.YAMLError, ValueError, RecursionError):
        return any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text))
    return False


def _max_bytes(name: str) -> int:
    """Return the largest size allowed for a file of a run."""
    if name.startswith(f"{PLOTS}/"):
        return _MAX_PLOT_BYTES
    return _MAX_BYTES.get(name, _MAX_JSON_BYTES)
