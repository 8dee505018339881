"""Which classes the page shows, in which order."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from lstm_cli import render

NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(NODE is None, reason="Node.js is not installed (Debian: nodejs)")
ANSWER = Path(render.__file__).with_name("page_parts") / "answer.js"


def shown(labels, probabilities):
    script = (
        f"const MAX_CLASSES = 10, model = {json.dumps({'labels': labels})};"
        f"{ANSWER.read_text('utf-8')}"
        f"const found = shownClasses({json.dumps({'probabilities': probabilities})});"
        "console.log(JSON.stringify(found.map(([label]) => label)));"
    )
    done = subprocess.run([NODE, "-e", script], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_the_most_probable_of_many_classes_are_shown_if_labels_are_numbers():
    probabilities = {"19": 0.8, "4": 0.1, "11": 0.04, "2": 0.03, "7": 0.02, "0": 0.009, "1": 0.001}
    labels = [str(number) for number in range(20)]
    assert shown(labels, probabilities) == ["19", "4", "11", "2", "7", "0"]


def test_few_classes_are_in_the_order_of_the_run():
    assert shown(["10", "9", "x"], {"9": 0.7, "x": 0.2, "10": 0.1}) == ["10", "9", "x"]
