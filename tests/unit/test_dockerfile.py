"""The Dockerfile: what it copies is there, who runs it, and its health check.

`python deploy/try_dockerfile.py RUN` executes it; that takes root, minutes and a package index.
"""

from __future__ import annotations

import http.server
import importlib.util
import re
import subprocess
import sys
import threading
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def dockerfile():
    spec = importlib.util.spec_from_file_location("dockerfile", ROOT / "deploy" / "dockerfile.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["dockerfile"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def stages(dockerfile):
    return dockerfile.parse((ROOT / "Dockerfile").read_text("utf-8"))


@pytest.fixture(scope="module")
def rules():
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    return [line for line in lines if line and line[0] != "#"]


def test_the_context_has_all_that_is_copied(dockerfile, stages, rules):
    copies = [step.value for stage in stages for step in stage.steps if step.name == "COPY"]
    parts = [dockerfile.copy_parts(value) for value in copies]
    sources = [Path(name) for stage, names, _ in parts if not stage for name in names]
    assert Path("lstm_cli") in sources
    for source in sources:
        assert (ROOT / source).exists()
        assert not dockerfile.is_ignored(source / "file" if source.suffix == "" else source, rules)


def test_documents_give_the_temporary_folder_the_size_that_is_tried():
    sizes = {
        name: re.findall(r"(?:/tmp:size=|TMP_MEGABYTES = )(\d+)", (ROOT / name).read_text("utf-8"))
        for name in ("docs/deploy.md", "deploy/container.py", "deploy/try_dockerfile.py")
    }
    assert sizes == {name: ["128"] for name in sizes}


@pytest.mark.parametrize(
    "path",
    [".git/config", "runs/demo/a/model.onnx", "tests/conftest.py", "deploy/predict.in",
     "lstm_cli/io/__pycache__/paths.pyc", ".venv/bin/python", "secret.env"],
)  # fmt: skip
def test_the_context_has_nothing_else(path, dockerfile, rules):
    assert dockerfile.is_ignored(PurePosixPath(path), rules)


def test_the_image_is_run_by_a_numbered_user_without_rights(stages):
    uid, _, gid = stages[-1].last("USER").partition(":")
    assert int(uid) > 0
    assert int(gid) > 0
    assert stages[-1].last("ENTRYPOINT") == '["lstm"]'


class _Answer(http.server.BaseHTTPRequestHandler):
    status = 200

    def do_GET(self):
        self.send_response(self.status if self.path == "/readyz" else 404)
        self.end_headers()

    def log_message(self, *_):
        pass


def test_the_health_check_asks_whether_the_server_is_ready(stages):
    server = http.server.HTTPServer(("127.0.0.1", 0), _Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = str(server.server_port)
    _, *arguments = [word.replace("8000", port) for word in stages[-1].health_command()]
    codes = []
    for _Answer.status in (200, 503):
        codes.append(subprocess.run([sys.executable, "-I", *arguments]).returncode)
    server.shutdown()
    server.server_close()
    assert codes == [0, 1]


@pytest.mark.parametrize("text", ["FROM a\nADD b c\n", "RUN true\n", "FROM a\nCMD lstm serve\n"])
def test_what_is_not_executed_here_is_refused(text, dockerfile):
    with pytest.raises(ValueError, match=r"."):
        dockerfile.exec_form(dockerfile.parse(text)[-1].last("CMD"))


def test_lines_are_joined_and_variables_read(dockerfile):
    (stage,) = dockerfile.parse("# a\nFROM b AS c\nENV X=1 \\\n    Y='2 3'\nRUN d \\\n && e\n")
    assert (stage.base, stage.name) == ("b", "c")
    assert stage.environment() == {"X": "1", "Y": "2 3"}
    assert stage.last("RUN") == "d && e"
