"""A run, checked in every respect: what `lstm runs verify` says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from lstm_cli.config.schema import Config
from lstm_cli.errors import LstmError
from lstm_cli.io.text_format import pluralize
from lstm_cli.prediction.predictor import Predictor, open_session
from lstm_cli.runs import directory as runs
from lstm_cli.runs import record, validate
from lstm_cli.runs.directory import RunDir
from lstm_cli.runs.manifest import is_in_manifest
from lstm_cli.runs.onnx_graph import Array, GraphPlan
from lstm_cli.runs.schema import FinishedRunInfo
from lstm_cli.runs.validate import FileStamp, Golden
from lstm_cli.text.tokenizer import Tokenizer

_SHOWN = 5


@dataclass(frozen=True)
class Check:
    """One respect in which a run was checked.

    Attributes:
        name: What was checked.
        passed: None where it could not be checked because another check failed.
        told: What was found.
        meaning: What it means that it failed; empty where it did not.
    """

    name: str
    passed: bool | None
    told: str
    meaning: str = ""


@dataclass(frozen=True)
class VerifyResult:
    """All checks of a run, in the order in which they build on each other."""

    run: str
    path: str
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether the run can be trusted."""
        return all(check.passed for check in self.checks)

    @property
    def failures(self) -> list[Check]:
        """The checks that failed."""
        return [check for check in self.checks if check.passed is False]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON types."""
        checks = [asdict(check) for check in self.checks]
        return {"run": self.run, "path": self.path, "passed": self.passed, "checks": checks}


def verify(run: RunDir) -> VerifyResult:
    """Check a finished run: files, contents, graph, weights, answers and records.

    Nothing is trusted, nothing in the run is run but the network once it is known to be ours, and
    nothing is written. A check that fails does not stop those that do not need it.

    Args:
        run: A run that says it is finished.
    """
    looked = _VerifyState(run)
    checks: dict[str, Check] = {}
    for name, (look, needs, meaning) in _checks(run).items():
        missing = next((other for other in needs if not checks[other].passed), None)
        if missing is not None:
            checks[name] = Check(name, None, f"not checked: it needs '{missing}'")
            continue
        try:
            checks[name] = Check(name, True, look(looked))
        except LstmError as error:
            checks[name] = Check(name, False, runs.integrity_reason(run, error), meaning)
    return VerifyResult(run.name, str(run.path), tuple(checks.values()))


def _checks(run: RunDir) -> Mapping[str, _How]:
    """Choose the checks of a classifier or of a language model, which has no graph to run."""
    try:
        is_language = run.with_manifest().config().language is not None
    except LstmError:
        is_language = runs.is_language(run)
    return _LANGUAGE_CHECKS if is_language else _CHECKS


@dataclass
class _VerifyState:
    """What the checks so far have read, for those that build on it."""

    run: RunDir
    names: list[str] = field(default_factory=list)
    config: Config | None = None
    labels: tuple[str, ...] = ()
    tokenizer: Tokenizer | None = None
    golden: Golden | None = None
    plan: GraphPlan | None = None
    model: FileStamp | None = None
    info: FinishedRunInfo | None = None
    constants: Mapping[str, Array] = field(default_factory=dict)
    weights: Mapping[str, Array] = field(default_factory=dict)
    shapes: Mapping[str, tuple[int, ...]] | None = None

    @property
    def settings(self) -> Config:
        assert self.config is not None
        return self.config

    @property
    def network(self) -> GraphPlan:
        assert self.plan is not None
        return self.plan


def _manifest(looked: _VerifyState) -> str:
    looked.run = looked.run.with_manifest()
    assert looked.run.manifest is not None
    return f"lists {len(looked.run.manifest)} files, none outside the run"


def _files(looked: _VerifyState) -> str:
    listed = looked.run.manifest or {}
    looked.names = [name for name in looked.run.names() if is_in_manifest(name)]
    if missing := sorted(listed.keys() - set(looked.names)):
        raise looked.run.integrity_error(f"{_some(missing)} listed and missing")
    if runs.CARD not in listed:
        raise looked.run.integrity_error(f"{runs.CARD} not listed in {runs.MANIFEST}")
    if extra := sorted(set(looked.names) - listed.keys()):
        raise looked.run.integrity_error(f"{_some(extra)} not listed in {runs.MANIFEST}")
    return f"{len(looked.names)} files, each listed, and no links or devices"


def _contents(looked: _VerifyState) -> str:
    """Hash every listed file; all that differ are told."""
    listed = dict(looked.run.manifest or {})
    # How large the network's files may be, the settings say: hashing must have an end too.
    max_bytes = validate.max_bytes(looked.plan) if looked.plan else {}
    if looked.shapes is not None:
        max_bytes = {runs.WEIGHTS: validate.max_weight_bytes(looked.shapes)}
    unjudged = [n for n in (runs.MODEL, runs.WEIGHTS) if n in listed and n not in max_bytes]
    for name in unjudged:
        del listed[name]
    changed = []
    for name in listed:
        try:
            looked.run.verify([name], max_bytes.get(name))
        except LstmError as error:
            changed.append(runs.integrity_reason(looked.run, error))
    if changed:
        more = f", and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
        raise looked.run.integrity_error(", ".join(changed[:_SHOWN]) + more)
    size = sum(entry.num_bytes for entry in listed.values())
    but = f", but not of {' and '.join(unjudged)}" if unjudged else ""
    return f"sizes and SHA-256 of {len(listed)} files, {size:,} bytes{but}"


def _settings(looked: _VerifyState) -> str:
    looked.config = looked.run.config()
    if looked.config.language is not None:
        return "those of a language model, each valid"
    return f"those of a classifier of {looked.config.kind}s, each valid"


def _labels(looked: _VerifyState) -> str:
    looked.labels = looked.run.labels()
    return f"{len(looked.labels)} classes"


def _tokenizer(looked: _VerifyState) -> str:
    looked.tokenizer = validate.read_tokenizer(looked.run, looked.settings)
    if looked.tokenizer is None:
        return "none, as images need none"
    if looked.settings.language is not None:
        looked.shapes = validate.language_shapes(looked.settings, looked.tokenizer.vocab_size)
    return f"{looked.tokenizer.vocab_size:,} words, no patterns but ours"


def _golden(looked: _VerifyState) -> str:
    golden = validate.read_golden(looked.run, looked.settings, len(looked.labels))
    looked.golden = golden
    looked.plan = validate.graph_plan(looked.settings, looked.labels, looked.tokenizer, golden)
    return f"{len(golden.inputs)} inputs with their probabilities"


def _graph(looked: _VerifyState) -> str:
    looked.model, looked.constants = validate.read_model(looked.run, looked.network)
    plan = looked.network
    return f"{len(plan.nodes)} nodes, {len(plan.constants)} constants: the network of the settings"


def _weights(looked: _VerifyState) -> str:
    if looked.settings.language is not None:
        assert looked.tokenizer is not None
        num_words = looked.tokenizer.vocab_size
        looked.weights = validate.read_language_weights(looked.run, looked.settings, num_words)
    else:
        looked.weights = validate.read_weights(looked.run, looked.network)
    total = sum(array.size for array in looked.weights.values())
    return f"{len(looked.weights)} arrays, {total:,} numbers, all finite"


def _same_weights(looked: _VerifyState) -> str:
    for name, trained in looked.network.trained.items():
        made = np.ascontiguousarray(trained.make(looked.weights))
        if not np.array_equal(made.view(np.uint32), looked.constants[name].view(np.uint32)):
            raise looked.run.integrity_error(
                f"{runs.WEIGHTS} and {runs.MODEL} hold different numbers for {name!r}"
            )
    return f"{runs.WEIGHTS} and {runs.MODEL} hold the same bits"


def _replay(looked: _VerifyState) -> str:
    assert looked.golden is not None
    assert looked.model is not None
    session = open_session(looked.run.file(runs.MODEL))
    validate.check_unchanged(looked.run, runs.MODEL, looked.model)
    Predictor(looked.run, session, looked.tokenizer, looked.labels).replay(looked.golden)
    return f"{len(looked.golden.inputs)} inputs answered as at the end of training"


def _record(looked: _VerifyState) -> str:
    """Hold `run.json` to its types, the settings and the labels."""
    config = looked.settings
    labels = looked.labels if config.language is None else None
    looked.info = record.read_info(looked.run, config, labels)
    return f"finished, {config.task}, trained on {config.data.name}"


def _results(looked: _VerifyState) -> str:
    """Hold metrics and history to their types and to each other."""
    assert looked.info is not None
    results = record.read_results(looked.run, looked.info, looked.labels)
    history = record.read_history(looked.run, looked.settings, looked.info)
    return f"{pluralize(len(history), 'epoch')}; test accuracy {results.test.accuracy:.4f}"


def _perplexity(looked: _VerifyState) -> str:
    """Hold metrics and history of a language model to their types and to each other."""
    assert looked.info is not None
    held_out = record.read_language_results(looked.run, looked.info)
    history = record.read_history(looked.run, looked.settings, looked.info)
    return f"{pluralize(len(history), 'epoch')}; perplexity {held_out.perplexity:,.1f}"


# What is checked, what must have passed before, and what it means if it fails.
_How = tuple[Callable[[_VerifyState], str], tuple[str, ...], str]
_CHECKS: Mapping[str, _How] = {
    "manifest": (
        _manifest,
        (),
        "Nothing says what the files were when training ended, so none is trusted.",
    ),
    "files": (
        _files,
        ("manifest",),
        "Something was added, removed or replaced after training ended.",
    ),
    "settings": (_settings, ("manifest",), "The network cannot be told from its settings."),
    "labels": (_labels, ("manifest",), "An answer would have no or a wrong name."),
    "tokenizer": (_tokenizer, ("settings",), "Words would reach the network as other words."),
    "golden inputs": (
        _golden,
        ("settings", "labels", "tokenizer"),
        "There is nothing to hold the network's answers to.",
    ),
    "contents": (
        _contents,
        ("manifest",),
        "A file is not what training wrote: a damaged disk, a broken copy, or a change by hand.",
    ),
    "graph": (
        _graph,
        ("golden inputs",),
        "The model is not the network of these settings; it is not run.",
    ),
    "weights": (_weights, ("golden inputs",), "The weights cannot be read, and are not."),
    "same weights": (
        _same_weights,
        ("graph", "weights"),
        "What predicts is not what was trained: one of both files is of another run.",
    ),
    "answers": (
        _replay,
        ("graph",),
        "The network does not answer as at the end of training; do not use it.",
    ),
    "record": (_record, ("settings", "labels"), f"{runs.RUN} is of another run, or was changed."),
    "results": (_results, ("record",), "The figures of this run cannot be relied on."),
}

_LANGUAGE_CHECKS: Mapping[str, _How] = {
    **{name: _CHECKS[name] for name in ("manifest", "files", "settings", "tokenizer", "contents")},
    "weights": (_weights, ("tokenizer",), "The weights cannot be read, and are not."),
    "record": (_record, ("settings",), f"{runs.RUN} is of another run, or was changed."),
    "results": (_perplexity, ("record",), "The figures of this run cannot be relied on."),
}


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    told = ", ".join(repr(name[:80]) for name in names[:_SHOWN])
    return f"{told}{more} {'is' if len(names) == 1 else 'are'}"
