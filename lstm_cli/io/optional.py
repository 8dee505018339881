"""Packages that not every installation has: check for them before they are imported."""

from __future__ import annotations

import contextlib
import importlib.util
import shlex
import sys
from collections.abc import Iterator

from lstm_cli.errors import LstmError

# Import name -> (name of the package, what needs it, what pip installs). An installation from
# deploy/predict.txt has none of these.
_FULL, _SERVE = "lstm-cli", "lstm-cli[serve]"
_PACKAGES = {
    "tensorflow": ("TensorFlow", "Training", _FULL),
    "keras": ("Keras", "Training", _FULL),
    "tensorflow_datasets": ("tensorflow-datasets", "Preparing data sets of TFDS", _FULL),
    "sklearn": ("scikit-learn", "This command", "scikit-learn"),
    "scipy": ("SciPy", "This command", "scipy"),
    "matplotlib": ("Matplotlib", "Drawing pictures", "matplotlib"),
    "PIL": ("Pillow", "Reading images", "pillow"),
    "onnx": ("onnx", "Exporting a model", "onnx"),
    "ftfy": ("ftfy", "Finding mojibake", "ftfy"),
    "pyarrow": ("pyarrow", "Reading Parquet and Arrow", "pyarrow"),
    "backports": ("backports.zstd", "Reading zstd", "backports.zstd"),
    "jinja2": ("Jinja2", "Writing HTML", "jinja2"),
    "markdown_it": ("markdown-it-py", "Writing HTML", "markdown-it-py"),
    "jax": ("JAX", "KERAS_BACKEND=jax", "lstm-cli[jax]"),
    "ai_edge_litert": ("ai-edge-litert", "--format litert", "lstm-cli[litert]"),
    "optuna": ("Optuna", "'lstm tune'", "lstm-cli[tune]"),
    "ray": ("Ray", "--engine ray", "lstm-cli[ray]"),
    "fsspec": ("fsspec", "Reading and writing URLs", "lstm-cli[ray]"),
    "tensorboard": ("TensorBoard", "--tensorboard", "lstm-cli[tensorboard]"),
    "mlflow": ("MLflow", "--track mlflow", "lstm-cli[mlflow]"),
    "starlette": ("starlette", "'lstm serve'", _SERVE),
    "uvicorn": ("uvicorn", "'lstm serve'", _SERVE),
    "uvloop": ("uvloop", "'lstm serve'", _SERVE),
    "httptools": ("httptools", "'lstm serve'", _SERVE),
    "prometheus_client": ("prometheus-client", "'lstm serve'", _SERVE),
}


def require(*packages: str, purpose: str = "", extra: str | None = None) -> None:
    """Check that packages are installed; nothing is imported.

    Args:
        packages: Names as in `import NAME`.
        purpose: What needs them, the subject of the message: "Training". By default it depends on
            the package.
        extra: Extra of lstm-cli that brings them; "" for the full installation. By default it
            depends on the package.

    Raises:
        LstmError: A package is missing; the hint is the command that installs it (exit code 1).
    """
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise missing_package(package, purpose, extra)


def missing_package(package: str, purpose: str = "", extra: str | None = None) -> LstmError:
    """Return the error for a package that is not installed.

    Args:
        package: Its import name; of a submodule, the first part counts.
        purpose: As for `require`.
        extra: As for `require`.
    """
    top = package.partition(".")[0]
    name, default_purpose, requirement = _PACKAGES.get(top, (top, "This command", top))
    if extra is not None:
        requirement = f"lstm-cli[{extra}]" if extra else _FULL
    return LstmError(
        f"{purpose or default_purpose} needs {name}, which is not installed.",
        f"pip install {shlex.quote(requirement)}",
    )


@contextlib.contextmanager
def hidden(*packages: str) -> Iterator[None]:
    """Make packages look as if they were not installed, while a block runs.

    For a library that imports whatever is installed, needed or not. Packages that are imported
    already stay visible.
    """
    names = [package for package in packages if package not in sys.modules]
    # With None in its place, `import` raises ModuleNotFoundError.
    sys.modules.update(dict.fromkeys(names))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]


def is_known(package: str) -> bool:
    """Return whether a package, or the package of a submodule, may be missing on purpose."""
    return package.partition(".")[0] in _PACKAGES
