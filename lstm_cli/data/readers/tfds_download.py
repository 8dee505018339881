"""Download and prepare TFDS data sets: once, under a lock, and without a long wait when offline."""

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
from lstm_cli.io.native_output import drop_output
from lstm_cli.io.optional import require

PROBE_SECONDS = 3.0
# Status codes with which proxies and firewalls block a download.
BLOCKED_STATUS = (403, 407, 451, 502, 503, 504)


@dataclass(frozen=True)
class Archive:
    """A file that a data set is prepared from; a size of 0 bytes means that it is unknown."""

    name: str
    size: int
    url: str


_MNIST_URL = "https://storage.googleapis.com/cvdf-datasets/mnist/"
# Listed here, so that a machine without a network gets its error before TFDS is imported.
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
_OFFLINE_PRESETS = {"mnist": "digits"}  # for all others, demo


def ensure_prepared(tfds_name: TfdsName, folder: Path) -> Path:
    """Find a prepared data set, or download and prepare it.

    If several processes need it at once, a file lock lets one of them prepare it; the others wait
    and find it prepared. The system releases the lock if a process dies.

    Args:
        tfds_name: The data set.
        folder: The TFDS data folder.

    Returns:
        The folder of the prepared version.

    Raises:
        LstmError: The data set is missing and cannot be downloaded (exit code 3).
    """
    prepared = find_prepared(tfds_name, folder)
    if prepared:
        return prepared
    require("tensorflow_datasets", "tensorflow", purpose="Preparing data sets of TFDS")
    manual = folder / "downloads" / "manual"
    archives = _archives(tfds_name)
    missing = [archive for archive in archives if not paths.exists(manual / archive.name)]
    for archive in archives:
        if archive not in missing:
            _check_size(manual / archive.name, archive)
    if missing or not archives:
        url = missing[0].url if missing else _MNIST_URL
        reason = probe(url)
        if reason:
            raise _unavailable(tfds_name, folder, f"{urlsplit(url).netloc} {reason}", missing)
    with _locked(tfds_name, folder):
        prepared = find_prepared(tfds_name, folder) or _prepare(tfds_name, folder)
    if not prepared:
        raise _unavailable(tfds_name, folder, "TFDS prepared another version", [])
    return prepared


def _archives(tfds_name: TfdsName) -> tuple[Archive, ...]:
    """Return the files that a data set is prepared from, as far as TFDS lists them."""
    if tfds_name.name in _ARCHIVES:
        return _ARCHIVES[tfds_name.name]
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.registered import DatasetNotFoundError

    try:
        infos = tfds.builder_cls(tfds_name.name).url_infos or {}
    except DatasetNotFoundError as error:
        known = tfds.list_builders(with_community_datasets=False)
        close = suggest(tfds_name.name, known)
        raise LstmError(
            f"TFDS has no data set {tfds_name.name!r}.",
            close
            if close.startswith("Did")
            else "See https://www.tensorflow.org/datasets/catalog.",
            ExitCode.USAGE,
        ) from error
    return tuple(
        Archive(info.filename, int(info.size), url) for url, info in infos.items() if info.filename
    )


def _check_size(path: Path, archive: Archive) -> None:
    """Raise an error for a truncated or wrong archive, before TFDS reads all of it."""
    size = path.stat().st_size
    if archive.size and size != archive.size:
        raise LstmError(
            f"{path} is not {archive.name}: expected {archive.size:,} bytes, found {size:,}.",
            f"It is truncated, or a web page was saved in its place. Get {archive.url} again.",
            ExitCode.DATA,
        )


def probe(url: str) -> str:
    """Request a URL and wait at most `PROBE_SECONDS`, through the proxies of the environment.

    Returns:
        Why the URL cannot be reached, or an empty string if it answers.
    """
    reasons = [f"does not answer within {PROBE_SECONDS:g} s"]
    # In a thread, because name resolution has no timeout.
    thread = threading.Thread(target=lambda: reasons.append(_request(url)), daemon=True)
    thread.start()
    thread.join(PROBE_SECONDS)
    return reasons[-1]


def _request(url: str) -> str:
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
def _locked(tfds_name: TfdsName, folder: Path) -> Iterator[None]:
    from filelock import FileLock

    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f".lstm-{tfds_name.name}.lock")
        lock.acquire()
    except OSError as error:
        raise LstmError(
            f"Cannot write to the data folder {folder}: {error.strerror}.",
            "Choose another folder with --data-dir or TFDS_DATA_DIR.",
            ExitCode.DATA,
        ) from error
    try:
        yield
    finally:
        lock.release()


def _prepare(tfds_name: TfdsName, folder: Path) -> Path | None:
    """Let TFDS download and prepare a data set, without progress bars."""
    with suppress_native_logs():
        import tensorflow  # noqa: F401
        import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError
    from tensorflow_datasets.core.download.util import DownloadError

    tfds.disable_progress_bar()
    try:
        # TFDS prints messages to stdout, which is reserved for results.
        with redirect_stdout(io.StringIO()):
            tfds.builder(str(tfds_name), data_dir=folder).download_and_prepare()
    except NonMatchingChecksumError as error:
        raise LstmError(
            f"An archive of {tfds_name} is not what TFDS expects. {str(error).splitlines()[0]}",
            f"Delete it from {folder / 'downloads'} and get it again. Check that it is "
            "not a web page.",
            ExitCode.DATA,
        ) from error
    except (OSError, DownloadError, AssertionError, ImportError, ValueError) as error:
        raise _unavailable(tfds_name, folder, f"preparing it failed ({error})", []) from error
    return find_prepared(tfds_name, folder)


def _unavailable(
    tfds_name: TfdsName, folder: Path, reason: str, missing: list[Archive]
) -> LstmError:
    place = folder if paths.is_folder(folder) else f"{folder} (there is no such folder)"
    files = ", ".join(
        archive.name + (f" ({archive.size:,} bytes)" if archive.size else "") for archive in missing
    )
    manual_hint = f" Or put {files} into {folder / 'downloads' / 'manual'}." if missing else ""
    return LstmError(
        f"TFDS {tfds_name} is not in {place}, and {reason}.",
        "Name the folder that has it with --data-dir or TFDS_DATA_DIR."
        f"{manual_hint} Or start with `lstm train {_OFFLINE_PRESETS.get(tfds_name.name, 'demo')}`, "
        "which needs no download.",
        ExitCode.DATA,
    )


@contextmanager
def suppress_native_logs() -> Iterator[None]:
    """Hide the messages that the C++ parts of TensorFlow write to standard error on import.

    `TF_CPP_MIN_LOG_LEVEL` alone is not enough, because some messages come before it is read. Python
    exceptions are not affected.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("absl").setLevel(logging.ERROR)  # TFDS warns about its own code
    with drop_output(2):
        yield
