"""Fetching TFDS data sets: once, under a lock, and with no waiting when offline."""

from __future__ import annotations

import io
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from lstm_cli.data.readers.tfds_prepared import TfdsName, find_prepared
from lstm_cli.errors import ExitCode, LstmError, suggest
from lstm_cli.io import paths

PROBE_SECONDS = 3.0
# What a proxy or a firewall answers in place of the file.
BLOCKED_STATUS = (403, 407, 451, 502, 503, 504)


@dataclass(frozen=True)
class Archive:
    """A file that a data set is parts from; a size of 0 bytes means that it is not known."""

    name: str
    size: int
    url: str


_MNIST_URL = "https://storage.googleapis.com/cvdf-datasets/mnist/"
# Known beforehand, so that a machine without network is told at once, before TFDS is imported.
_ARCHIVES = {
    "imdb_reviews": (
        Archive(
            "aclImdb_v1.tar.gz",
            84_125_825,
            "http://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz",
        ),
    ),
    "mnist": tuple(
        Archive(name, size, _MNIST_URL + name)
        for name, size in (
            ("train-images-idx3-ubyte.gz", 9_912_422),
            ("train-labels-idx1-ubyte.gz", 28_881),
            ("t10k-images-idx3-ubyte.gz", 1_648_877),
            ("t10k-labels-idx1-ubyte.gz", 4_542),
        )
    ),
}
_CATALOG = "https://www.tensorflow.org/datasets/catalog"
_OFFLINE = {"mnist": "digits"}  # else demo


def ensure_prepared(wanted: TfdsName, folder: Path) -> Path:
    """Find a prepared data set, or download and prepare it.

    Processes that need it at once take turns on a file lock, which the system lifts from a process
    that dies; those that come second find it done.

    Args:
        wanted: What is needed.
        folder: The TFDS data folder.

    Returns:
        The folder of the prepared version.

    Raises:
        LstmError: It is not there and cannot be had (exit code 3).
    """
    found = find_prepared(wanted, folder)
    if found:
        return found
    manual = folder / "downloads" / "manual"
    archives = _archives(wanted)
    missing = [archive for archive in archives if not paths.exists(manual / archive.name)]
    for archive in archives:
        if archive not in missing:
            _check_size(manual / archive.name, archive)
    if missing or not archives:
        url = missing[0].url if missing else _MNIST_URL
        reason = probe(url)
        if reason:
            raise _unavailable(wanted, folder, f"{urlsplit(url).netloc} {reason}", missing)
    with _locked(wanted, folder):
        found = find_prepared(wanted, folder) or _prepare(wanted, folder)
    if not found:
        raise _unavailable(wanted, folder, "TFDS prepared another version", [])
    return found


def _archives(wanted: TfdsName) -> tuple[Archive, ...]:
    """The files a data set is parts from, as far as TFDS knows them beforehand."""
    if wanted.name in _ARCHIVES:
        return _ARCHIVES[wanted.name]
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.registered import DatasetNotFoundError

    try:
        infos = tfds.builder_cls(wanted.name).url_infos or {}
    except DatasetNotFoundError as error:
        known = tfds.list_builders(with_community_datasets=False)
        close = suggest(wanted.name, known)
        raise LstmError(
            f"TFDS has no data set {wanted.name!r}.",
            close
            if close.startswith("Did")
            else "See https://www.tensorflow.org/datasets/catalog.",
            ExitCode.USAGE,
        ) from error
    return tuple(
        Archive(info.filename, int(info.size), url) for url, info in infos.items() if info.filename
    )


def _check_size(path: Path, archive: Archive) -> None:
    """Tell a cut-off or wrong archive at once, before TFDS reads all of it."""
    size = path.stat().st_size
    if archive.size and size != archive.size:
        raise LstmError(
            f"{path} is not {archive.name}: expected {archive.size:,} bytes, found {size:,}.",
            f"It was cut off, or is a web page saved in its place. Get {archive.url} again.",
            ExitCode.DATA,
        )


def probe(url: str) -> str:
    """Ask for a URL, waiting at most `PROBE_SECONDS`; proxies set in the environment are used.

    Returns:
        Why it cannot be had, or an empty string when it answers.
    """
    reasons = [f"does not answer within {PROBE_SECONDS:g} s"]
    # A thread of its own: resolving a name has no time limit that could be set.
    asking = threading.Thread(target=lambda: reasons.append(_ask(url)), daemon=True)
    asking.start()
    asking.join(PROBE_SECONDS)
    return reasons[-1]


def _ask(url: str) -> str:
    from urllib.error import HTTPError
    from urllib.request import Request, build_opener

    try:
        build_opener().open(Request(url, method="HEAD"), timeout=PROBE_SECONDS).close()
    except HTTPError as error:
        with error:
            blocked = error.code in BLOCKED_STATUS
            return f"answers {error.code} {error.reason}" if blocked else ""
    except (OSError, ValueError) as error:
        return f"cannot be reached ({getattr(error, 'reason', error)})"
    return ""


@contextmanager
def _locked(wanted: TfdsName, folder: Path) -> Iterator[None]:
    from filelock import FileLock

    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f".lstm-{wanted.name}.lock")
        lock.acquire()
    except OSError as error:
        raise LstmError(
            f"Cannot write to the data folder {folder}: {error.strerror}.",
            "Name another with --data-dir or TFDS_DATA_DIR.",
            ExitCode.DATA,
        ) from error
    try:
        yield
    finally:
        lock.release()


def _prepare(wanted: TfdsName, folder: Path) -> Path | None:
    """Have TFDS download and prepare a data set, without its progress bars."""
    with suppress_native_logs():
        import tensorflow  # noqa: F401
        import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError
    from tensorflow_datasets.core.download.util import DownloadError

    tfds.disable_progress_bar()
    try:
        # TFDS announces its work on stdout, which is for results.
        with redirect_stdout(io.StringIO()):
            tfds.builder(str(wanted), data_dir=folder).download_and_prepare()
    except NonMatchingChecksumError as error:
        raise LstmError(
            f"An archive of {wanted} is not what TFDS expects. {str(error).splitlines()[0]}",
            f"Delete it from {folder / 'downloads'} and get it again; a web page in its place "
            "is the usual cause.",
            ExitCode.DATA,
        ) from error
    except (OSError, DownloadError, AssertionError, ImportError, ValueError) as error:
        raise _unavailable(wanted, folder, f"preparing it failed ({error})", []) from error
    return find_prepared(wanted, folder)


def _unavailable(wanted: TfdsName, folder: Path, reason: str, missing: list[Archive]) -> LstmError:
    place = folder if paths.is_folder(folder) else f"{folder} (there is no such folder)"
    files = ", ".join(
        archive.name + (f" ({archive.size:,} bytes)" if archive.size else "") for archive in missing
    )
    by_hand = f" Or put {files} into {folder / 'downloads' / 'manual'}." if missing else ""
    return LstmError(
        f"TFDS {wanted} is not in {place}, and {reason}.",
        "Name a folder that has it with --data-dir or TFDS_DATA_DIR."
        f"{by_hand} Or start with `lstm train {_OFFLINE.get(wanted.name, 'demo')}`, "
        "which needs no download.",
        ExitCode.DATA,
    )


@contextmanager
def suppress_native_logs() -> Iterator[None]:
    """Keep what TensorFlow's C++ parts log while they are imported from standard error.

    `TF_CPP_MIN_LOG_LEVEL` alone does not: they log before they read it. Python exceptions are not
    affected.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("absl").setLevel(logging.ERROR)  # TFDS warns of its own use of its own API
    try:
        kept = os.dup(2)
    except OSError:  # standard error is closed
        yield
        return
    try:
        with Path(os.devnull).open("wb") as void:
            os.dup2(void.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
