"""Heavy packages are imported where they are used, and commands start at once.

Which room may import which is a contract in pyproject.toml, checked by `lint-imports`.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import lstm_cli

ROOT = Path(lstm_cli.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))

# Seconds of start-up, or hundreds of megabytes: imported where they are used.
HEAVY = {
    "PIL", "ai_edge_litert", "jax", "keras", "matplotlib", "onnx", "onnxruntime", "pandas", "rich",
    "safetensors", "scipy", "sklearn", "tensorflow", "tensorflow_datasets", "uvicorn", "regex",
    "ftfy",
}  # fmt: skip
KERAS_AT_TOP = ("models.", "training.")
# `serve.server` imports it when it serves.
UVICORN_AT_TOP = {"serve.protocol"}
TENSORFLOW_INSIDE = {
    "data.readers.tfds_download", "export.litert", "export.saved_model", "models.block_lstm",
    "models.compiled", "models.fused_lstm", "models.optimizer", "training.device",
}  # fmt: skip


def name_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__") or "lstm_cli"


def imported(node):
    """The dotted names that an import statement names."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
    return []


def everywhere(path):
    """All that a module imports, inside functions too."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {name for node in ast.walk(tree) for name in imported(node)}


def at_top(path):
    """What importing a module imports: not what functions do, nor what only a type checker sees."""

    def visit(statements):
        for node in statements:
            yield from imported(node)
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                yield from visit(node.orelse)
            elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for part in ("body", "orelse", "handlers", "finalbody"):
                    yield from visit(getattr(node, part, []))

    return set(visit(ast.parse(path.read_text(encoding="utf-8")).body))


def packages(names):
    return {name.split(".")[0] for name in names}


def test_the_scan_sees_what_it_should(tmp_path):
    path = tmp_path / "m.py"
    path.write_text(
        "import keras.ops\nfrom typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import onnx\nelse:\n    import scipy\n"
        "try:\n    import rich\nexcept ImportError:\n    import PIL\n"
        "class C:\n    import jax\n    def f(self):\n        import tensorflow\n"
    )
    assert packages(at_top(path)) == {"keras", "typing", "scipy", "rich", "PIL", "jax"}
    assert packages(everywhere(path)) == packages(at_top(path)) | {"onnx", "tensorflow"}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_heavy_packages_are_imported_where_they_are_used(path):
    allowed = {"keras"} if name_of(path).startswith(KERAS_AT_TOP) else set()
    allowed |= {"uvicorn"} if name_of(path) in UVICORN_AT_TOP else set()
    assert not packages(at_top(path)) & (HEAVY - allowed)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_tensorflow_is_for_reading_data_and_devices_alone(path):
    if name_of(path) not in TENSORFLOW_INSIDE:
        assert not packages(everywhere(path)) & {"tensorflow", "tensorflow_datasets"}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_rich_is_for_the_console_and_typer_for_the_commands(path):
    name, found = name_of(path), packages(everywhere(path))
    assert name in ("cli.output", "cli.reporter") or "rich" not in found
    assert name.startswith("cli") or not found & {"typer", "click"}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_nothing_prints_behind_the_consoles_back(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    called = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    assert "print" not in {func.id for func in called if isinstance(func, ast.Name)}


def run(code, *args):
    done = subprocess.run(
        [sys.executable, "-c", code, *args], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done


CHECKOUT = Path(__file__).parents[2]
PAGES = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_what_the_documents_import_is_there(page):
    lines = page.read_text(encoding="utf-8").splitlines()
    for line in lines:
        if line.startswith(("from lstm_cli", "import lstm_cli")):
            exec(line, {})


def test_importing_the_package_imports_nothing_heavy():
    code = f"import sys, lstm_cli; print(sorted(set(sys.modules) & {HEAVY | {'numpy', 'typer'}}))"
    assert run(code).stdout.strip() == "[]"


HELP = """
import sys
from lstm_cli.cli import main
for command in ([], ["train"], ["eval"], ["predict"], ["data"], ["runs"], ["config"]):
    sys.argv = ["lstm", *command, "--help"]
    try:
        main()
    except SystemExit as end:
        assert not end.code, (command, end.code)
# Help is drawn with rich; everything else has to wait for a command that does something.
print(sorted(set(sys.modules) & NAMES), file=sys.stderr)
"""


def test_help_of_every_command_imports_nothing_heavy():
    names = HEAVY - {"rich"} | {"numpy", "yaml", "msgspec"}
    done = run(HELP.replace("NAMES", repr(names)))
    assert done.stderr.strip().splitlines()[-1] == "[]"
    assert "Exit codes" in done.stdout


def test_everything_the_package_promises_is_there():
    for name in lstm_cli.__all__:
        assert getattr(lstm_cli, name) is not None
    with pytest.raises(AttributeError, match="nothing_like_this"):
        _ = lstm_cli.nothing_like_this
