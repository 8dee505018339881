"""Check a run completely: the result of `lstm runs verify`."""

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
from lstm_cli.runs import onnx_check, record, thresholds, validate
from lstm_cli.runs.arrays import Array
from lstm_cli.runs.directory import RunDir
from lstm_cli.runs.manifest import is_in_manifest
from lstm_cli.runs.onnx_check import FileStamp
from lstm_cli.runs.onnx_plan import GraphPlan
from lstm_cli.runs.schema import FinishedRunInfo
from lstm_cli.runs.validate import Golden
from lstm_cli.text.tokenizer import Tokenizer

_MAX_SHOWN = 5


@dataclass(frozen=True)
class Check:
    """One check of a run.

    Attributes:
        name: What was checked.
        passed: None if it was skipped because a check that it needs failed.
        detail: What was found.
        meaning: The consequence of a failure; empty if the check did not fail.
    """

    name: str
    passed: bool | None
    detail: str
    meaning: str = ""


@dataclass(frozen=True)
class VerifyResult:
    """All checks of a run, in the order in which they depend on each other."""

    run: str
    path: str
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether all checks passed."""
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
    """Check a finished run: files, contents, graph, weights, probabilities and records.

    Nothing is written. The model is run only if its graph is the one of the settings. A check that
    fails does not stop those that do not depend on it.

    Args:
        run: A run whose status is `finished`.
    """
    state = _VerifyState(run)
    checks: dict[str, Check] = {}
    for name, step in _steps(run).items():
        failed = next((needed for needed in step.needs if not checks[needed].passed), None)
        if failed is not None:
            checks[name] = Check(name, None, f"not checked: it needs '{failed}'")
            continue
        try:
            checks[name] = Check(name, True, step.check(state))
        except LstmError as error:
            checks[name] = Check(name, False, runs.integrity_reason(run, error), step.meaning)
    return VerifyResult(run.name, str(run.location), tuple(checks.values()))


@dataclass
class _VerifyState:
    """What earlier checks have read, for the later ones."""

    run: RunDir
    config: Config | None = None
    labels: tuple[str, ...] = ()
    tokenizer: Tokenizer | None = None
    golden: Golden | None = None
    plan: GraphPlan | None = None
    model: FileStamp | None = None
    info: FinishedRunInfo | None = None
    constants: Mapping[str, Array] = field(default_factory=dict)
    weights: Mapping[str, Array] = field(default_factory=dict)
    language_shapes: Mapping[str, tuple[int, ...]] | None = None

    @property
    def checked_config(self) -> Config:
        assert self.config is not None
        return self.config

    @property
    def checked_plan(self) -> GraphPlan:
        assert self.plan is not None
        return self.plan

    @property
    def checked_info(self) -> FinishedRunInfo:
        assert self.info is not None
        return self.info


@dataclass(frozen=True)
class _Step:
    """A check: its function, the checks that must pass before it, what a failure means."""

    check: Callable[[_VerifyState], str]
    needs: tuple[str, ...]
    meaning: str


def _check_manifest(state: _VerifyState) -> str:
    state.run = state.run.with_manifest()
    return f"lists {len(state.run.manifest or {})} files, none outside the run"


def _check_files(state: _VerifyState) -> str:
    manifest = state.run.manifest or {}
    names = {name for name in state.run.names() if is_in_manifest(name)}
    if missing := sorted(manifest.keys() - names):
        raise state.run.integrity_error(f"{_format_names(missing)} listed, but missing")
    if runs.CARD not in manifest:
        raise state.run.integrity_error(f"{runs.CARD} is not listed in {runs.MANIFEST}")
    if extra := sorted(names - manifest.keys()):
        raise state.run.integrity_error(f"{_format_names(extra)} not listed in {runs.MANIFEST}")
    return f"{len(names)} files, each listed, and no links or devices"


def _check_contents(state: _VerifyState) -> str:
    """Hash every file in the manifest, and report all that differ."""
    entries = dict(state.run.manifest or {})
    # The settings limit the size of the large files; without settings they are not hashed.
    max_bytes = validate.max_bytes(state.plan) if state.plan else {}
    if state.language_shapes is not None:
        max_bytes = {runs.WEIGHTS: validate.max_weight_bytes(state.language_shapes)}
    skipped = [n for n in (runs.MODEL, runs.WEIGHTS) if n in entries and n not in max_bytes]
    for name in skipped:
        del entries[name]
    reasons = []
    for name in entries:
        try:
            state.run.verify([name], max_bytes.get(name))
        except LstmError as error:
            reasons.append(runs.integrity_reason(state.run, error))
    if reasons:
        num_more = len(reasons) - _MAX_SHOWN
        more = f", and {num_more} more" if num_more > 0 else ""
        raise state.run.integrity_error(", ".join(reasons[:_MAX_SHOWN]) + more)
    size = sum(entry.num_bytes for entry in entries.values())
    exception = f", but not of {' and '.join(skipped)}" if skipped else ""
    return f"sizes and SHA-256 of {len(entries)} files, {size:,} bytes{exception}"


def _check_settings(state: _VerifyState) -> str:
    state.config = state.run.config()
    if state.config.language is not None:
        return "valid settings of a language model"
    return f"valid settings of a classifier ({state.config.kind})"


def _check_labels(state: _VerifyState) -> str:
    state.labels = state.run.labels()
    return f"{len(state.labels)} classes"


def _check_label_thresholds(state: _VerifyState) -> str:
    validate.read_thresholds(state.run, state.checked_config, len(state.labels))
    return f"one for each of {len(state.labels)} labels"


def _check_tokenizer(state: _VerifyState) -> str:
    config = state.checked_config
    state.tokenizer = validate.read_tokenizer(state.run, config)
    if state.tokenizer is None:
        return "none: images need none"
    if config.language is not None:
        state.language_shapes = validate.language_shapes(config, state.tokenizer.vocab_size)
    return f"{state.tokenizer.vocab_size:,} words, and only the patterns that lstm writes"


def _check_golden(state: _VerifyState) -> str:
    config = state.checked_config
    state.golden = validate.read_golden(state.run, config, len(state.labels))
    state.plan = validate.graph_plan(config, state.labels, state.tokenizer, state.golden)
    return f"{len(state.golden.inputs)} inputs with their probabilities"


def _check_graph(state: _VerifyState) -> str:
    plan = state.checked_plan
    state.model, state.constants = onnx_check.read_model(state.run, plan)
    return f"{len(plan.nodes)} nodes and {len(plan.constants)} constants, as the settings describe"


def _check_weights(state: _VerifyState) -> str:
    if state.checked_config.language is not None:
        assert state.tokenizer is not None
        state.weights = validate.read_language_weights(
            state.run, state.checked_config, state.tokenizer.vocab_size
        )
    else:
        state.weights = validate.read_weights(state.run, state.checked_plan)
    num_values = sum(array.size for array in state.weights.values())
    return f"{len(state.weights)} arrays, {num_values:,} values, all finite"


def _check_same_weights(state: _VerifyState) -> str:
    for name, constant in state.checked_plan.trained.items():
        expected = np.ascontiguousarray(constant.make(state.weights))
        if not np.array_equal(expected.view(np.uint32), state.constants[name].view(np.uint32)):
            raise state.run.integrity_error(
                f"{runs.WEIGHTS} and {runs.MODEL} have different values for {name!r}"
            )
    return f"{runs.WEIGHTS} and {runs.MODEL} are bit-identical"


def _check_probabilities(state: _VerifyState) -> str:
    assert state.golden is not None
    assert state.model is not None
    session = open_session(state.run.file(runs.MODEL))
    onnx_check.check_unchanged(state.run, runs.MODEL, state.model)
    Predictor(state.run, session, state.tokenizer, state.labels).replay(state.golden)
    return f"{len(state.golden.inputs)} golden inputs have their probabilities"


def _check_record(state: _VerifyState) -> str:
    config = state.checked_config
    labels = state.labels if config.language is None else None
    state.info = record.read_info(state.run, config, labels)
    return f"finished, {config.task}, trained on {config.data.name}"


def _check_results(state: _VerifyState) -> str:
    results = record.read_results(state.run, state.checked_info, state.labels)
    if results.test is None:
        score = f"validation accuracy {results.validation.accuracy:.4f}, not scored on test"
    else:
        score = f"test accuracy {results.test.accuracy:.4f}"
    return f"{_count_epochs(state)}; {score}"


def _check_thresholds(state: _VerifyState) -> str:
    stored = thresholds.read(state.run, state.labels)
    if stored is None:
        return "none"
    return "chosen on validation" if stored.choice else "set by hand"


def _check_language_results(state: _VerifyState) -> str:
    held_out = record.read_language_results(state.run, state.checked_info)
    return f"{_count_epochs(state)}; perplexity {held_out.perplexity:,.1f}"


def _count_epochs(state: _VerifyState) -> str:
    history = record.read_history(state.run, state.checked_config, state.checked_info)
    return pluralize(len(history), "epoch")


CLASSIFIER_STEPS: Mapping[str, _Step] = {
    "manifest": _Step(
        _check_manifest, (), "The files at the end of training are unknown: trust none of them."
    ),
    "files": _Step(
        _check_files,
        ("manifest",),
        "A file was added, removed or replaced after training ended.",
    ),
    "settings": _Step(_check_settings, ("manifest",), "The model cannot be rebuilt."),
    "labels": _Step(_check_labels, ("manifest",), "A prediction would have no or a wrong name."),
    "tokenizer": _Step(
        _check_tokenizer, ("settings",), "The model would read other words than in the text."
    ),
    "golden inputs": _Step(
        _check_golden,
        ("settings", "labels", "tokenizer"),
        "The probabilities of the model cannot be checked.",
    ),
    "contents": _Step(
        _check_contents,
        ("manifest",),
        "A file is not what training wrote: a damaged disk, a broken copy, or a change by hand.",
    ),
    "graph": _Step(
        _check_graph,
        ("golden inputs",),
        "The model is not the one of these settings; it was not run.",
    ),
    "weights": _Step(_check_weights, ("golden inputs",), "The weights cannot be used."),
    "same weights": _Step(
        _check_same_weights,
        ("graph", "weights"),
        "The model that predicts was not made from these weights: a file is of another run.",
    ),
    "probabilities": _Step(
        _check_probabilities,
        ("graph",),
        "The model does not predict as at the end of training; do not use it.",
    ),
    "record": _Step(
        _check_record,
        ("settings", "labels"),
        f"{runs.RUN} is of another run, or was changed.",
    ),
    "results": _Step(_check_results, ("record",), "Do not rely on the results of this run."),
    "thresholds": _Step(
        _check_thresholds, ("labels",), "The run cannot be used until they are set or removed."
    ),
}

# A run with several labels a text has a threshold for each.
MULTI_LABEL_STEPS: Mapping[str, _Step] = {
    **CLASSIFIER_STEPS,
    "thresholds": _Step(
        _check_label_thresholds,
        ("settings", "labels"),
        "It is unknown from which probability on a label is predicted.",
    ),
}

# A language model has no graph to run.
LANGUAGE_STEPS: Mapping[str, _Step] = {
    **{
        name: CLASSIFIER_STEPS[name]
        for name in ("manifest", "files", "settings", "tokenizer", "contents")
    },
    "weights": _Step(_check_weights, ("tokenizer",), "The weights cannot be used."),
    "record": _Step(_check_record, ("settings",), f"{runs.RUN} is of another run, or was changed."),
    "results": _Step(
        _check_language_results, ("record",), "Do not rely on the results of this run."
    ),
}


def _steps(run: RunDir) -> Mapping[str, _Step]:
    """Return the checks of a classifier or of a language model."""
    try:
        config = run.with_manifest().config()
    except LstmError:
        return LANGUAGE_STEPS if runs.is_language(run) else CLASSIFIER_STEPS
    if config.is_multi_label:
        return MULTI_LABEL_STEPS
    return CLASSIFIER_STEPS if config.language is None else LANGUAGE_STEPS


def _format_names(names: list[str]) -> str:
    num_more = len(names) - _MAX_SHOWN
    more = f" and {num_more} more" if num_more > 0 else ""
    shown = ", ".join(repr(name[:80]) for name in names[:_MAX_SHOWN])
    return f"{shown}{more} {'is' if len(names) == 1 else 'are'}"
