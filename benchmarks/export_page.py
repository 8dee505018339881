"""Pages of `lstm export --format html`: size, difference from the run, and time of a text.

The page predicts texts of the test split, which decide nothing here, in Chromium and in Node.js, as
far as they are installed. The time is the processor time of one text of 200 tokens, from typed text
to probabilities, the median of several, in Node.js.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks import report
from benchmarks.report import Option, Outcome, Table
from lstm_cli.evaluation.load_split import load_own
from lstm_cli.export import html_page, javascript, page_data, quantize
from lstm_cli.export.source import Source
from lstm_cli.runs.directory import runs_root
from lstm_cli.runs.find import find

OPTIONS = (
    Option("run", "a run on texts", kind="argument"),
    Option("texts", "number of test texts", 500, 20),
    Option("weights", "kinds of weights, separated by commas", "none,float16,int8"),
    Option("repeats", "timings of a text", 30, 3),
)
_NUM_TOKENS = 200
_TIME = """
makeAnswers(DATA).then(({ classifier }) => {
  const times = Array.from({ length: REPEATS + 5 }, () => {
    const begin = process.cpuUsage();
    classifier.run(classifier.encodeText(TEXT));
    const { user, system } = process.cpuUsage(begin);
    return (user + system) / 1000;
  });
  console.log(JSON.stringify(times.slice(5)));
});
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark."""
    return report.main("export_page", __doc__, OPTIONS, measure, arguments)


def measure(args: argparse.Namespace) -> Outcome:
    """Measure a page with each kind of weights."""
    source = Source.load(find(runs_root(None), args.run))
    inputs = load_own(source.predictor, "test", None).splits["test"].inputs
    texts = [str(text) for text in inputs[: args.texts]]
    expected = source.predictor.text_probabilities(texts)
    found, rows = {}, []
    for how in args.weights.split(","):
        arrays = quantize.store(source.weights, how)
        differences = {}
        with tempfile.TemporaryDirectory() as folder:
            page = Path(folder) / "page.html"
            page.write_text(html_page.build_html(source, arrays), "utf-8")
            size = page.stat().st_size
            for engine in _engines():
                shown = javascript.predict_in_page(page, texts, engine)
                differences[engine[0]] = float(np.abs(shown - expected).max())
        time = _time(source, arrays, args.repeats)
        found[how] = {"bytes": size, "differences": differences, "milliseconds": time}
        listed = ", ".join(f"{name} {value:.1e}" for name, value in differences.items())
        rows.append(
            (how, f"{size / 1e6:.2f} MB", listed, "-" if time is None else f"{time:.0f} ms")
        )
        report.log(f"{how}: {rows[-1]}")
    columns = ("weights", "size", f"largest difference, {len(texts)} texts", "200 tokens")
    return Outcome(found, [Table(f"Page of {source.predictor.run.name}", columns, rows)])


def _engines() -> list[tuple[str, str]]:
    found = [("Node.js", shutil.which("node")), ("Chromium", shutil.which("chromium"))]
    return [(name, path) for name, path in found if path is not None]


def _time(source: Source, arrays: dict[str, quantize.Stored], repeats: int) -> float | None:
    """Return the median time of a text in milliseconds; None without Node.js."""
    node = shutil.which("node")
    words = source.predictor.tokenizer.words if source.predictor.tokenizer else ()
    usual = [word for word in words if word.isascii() and word.isalpha()]
    if node is None or not usual:
        return None
    text = " ".join(usual[n % len(usual)] for n in range(_NUM_TOKENS))
    values = {"DATA": page_data.encode(source, arrays), "TEXT": text, "REPEATS": repeats}
    constants = "".join(f"const {name} = {json.dumps(value)};\n" for name, value in values.items())
    script = f"{html_page.engine_script()}\n{constants}{_TIME}"
    done = subprocess.run([node, "-"], input=script, capture_output=True, text=True, check=True)
    return float(np.median(json.loads(done.stdout)))


if __name__ == "__main__":
    sys.exit(main())
