"""Packages that not every installation has: check for them before they are imported."""

from __future__ import annotations

import importlib.util

from lstm_cli.errors import LstmError

# Import name -> (name for people, what needs it, extra of lstm-cli that brings it; "" is the full
# installation). A light installation, which only predicts, has none of these.
_PACKAGES = {
    "tensorflow": ("TensorFlow", "Training", ""),
    "keras": ("Keras", "Training", ""),
    "tensorflow_datasets": ("tensorflow-datasets", "Reading data sets of TFDS", ""),
    "sklearn": ("scikit-learn", "This command", ""),
    "scipy": ("SciPy", "This command", ""),
    "matplotlib": ("Matplotlib", "Drawing pictures", ""),
    "PIL": ("Pillow", "Reading images", ""),
    "onnx": ("onnx", "Exporting a model", ""),
    "jinja2": ("Jinja2", "Writing HTML", ""),
    "markdown_it": ("markdown-it-py", "Writing HTML", ""),
    "jax": ("JAX", "KERAS_BACKEND=jax", "jax"),
    "tensorboard": ("TensorBoard", "--tensorboard", "tensorboard"),
    "starlette": ("starlette", "'lstm serve'", "serve"),
    "uvicorn": ("uvicorn", "'lstm serve'", "serve"),
    "httptools": ("httptools", "'lstm serve'", "serve"),
    "prometheus_client": ("prometheus-client", "'lstm serve'", "serve"),
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
    name, default_purpose, default_extra = _PACKAGES.get(top, (top, "This command", ""))
    extra = default_extra if extra is None else extra
    install = f"pip install 'lstm-cli[{extra}]'" if extra else "pip install lstm-cli"
    return LstmError(f"{purpose or default_purpose} needs {name}, which is not installed.", install)


def is_known(package: str) -> bool:
    """Return whether a package, or the package of a submodule, may be missing on purpose."""
    return package.partition(".")[0] in _PACKAGES
