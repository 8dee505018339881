"""What training begins with where it does not begin by chance: words and weights of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from lstm_cli.config import load as configs
from lstm_cli.config.schema import Config
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.models import classifier
from lstm_cli.runs import directory as runs
from lstm_cli.runs import find, validate
from lstm_cli.runs.directory import RunDir
from lstm_cli.text.tokenizer import Tokenizer

# Settings that decide what a word is, and the shapes of what is taken.
_KEYS: tuple[str, ...] = ("text.vocab_size", "text.min_count", "embedding.dim")
_KEYS += ("embedding.bigram_buckets", "model.units")
_PAIR_KEY = "embedding.bigram_dim"
# Peepholes begin at 0, so that they may be added, but not left out.
_CELL_KEY = "model.cell"


@dataclass(frozen=True)
class InitialWeights:
    """What is taken of a run.

    Attributes:
        tokenizer: Its words, with the greatest length of the new settings.
        weights: Its arrays, as `models.get_weights` names them; empty where a checkpoint will
            bring what became of them.
        record: For `run.json`: the run, its task, the digest of its weights, the arrays taken.
    """

    tokenizer: Tokenizer
    weights: Mapping[str, NDArray[np.float32]]
    record: dict[str, Any]


def resolved(config: Config, root: Path) -> Config:
    """Return settings that name the run to begin with by its whole path.

    Args:
        config: With `train.init_from` as a person wrote it, or without it.
        root: Folder of all runs.

    Raises:
        LstmError: There is no such run, or it did not finish.
    """
    if config.train.init_from is None:
        return config
    wanted = config.train.init_from
    if not wanted:
        raise LstmError(
            "train.init_from expects a run, found ''.", "See 'lstm runs list'.", ExitCode.USAGE
        )
    path = str(find.find(root, wanted, language=True).path.absolute())
    return replace(config, train=replace(config.train, init_from=path))


def read(config: Config) -> InitialWeights | None:
    """Read words and weights of the run that settings name; None where they name none.

    Args:
        config: As `resolved` returns it.

    Raises:
        LstmError: The run is for images, was built with other widths or words (exit code 2), is
            gone, or cannot be trusted (exit code 5).
    """
    if config.train.init_from is None:
        return None
    path = Path(config.train.init_from)
    run = find.find(path.parent.parent, str(path)).with_manifest()
    run.names()
    theirs = run.config()
    _check(run, theirs, config)
    tokenizer = validate.read_tokenizer(run, theirs)
    assert tokenizer is not None
    assert config.text is not None
    if theirs.language is not None:
        weights = validate.read_language_weights(run, theirs, tokenizer.vocab_size)
    else:
        golden = validate.read_golden(run, theirs, len(run.labels()))
        weights = validate.read_weights(
            run, validate.graph_plan(theirs, run.labels(), tokenizer, golden)
        )
    record = {"run": run.name, "path": str(run.path), "task": theirs.task}
    record["weights_sha256"] = _digest(run)
    return InitialWeights(tokenizer.with_max_tokens(config.text.max_tokens), weights, record)


def of_resumed(run: RunDir, config: Config, record: Mapping[str, Any]) -> InitialWeights | None:
    """Return what a run began with as the run itself tells it; None where it began by chance.

    The run it began with may be gone: tokenizer and record were written down, and the weights are
    in every checkpoint.

    Args:
        run: With a checkpoint.
        config: Its settings.
        record: Its `run.json`.

    Raises:
        LstmError: It does not say what it began with (exit code 5).
    """
    if config.train.init_from is None:
        return None
    told = record.get("init_from")
    arrays = told.get("arrays") if isinstance(told, dict) else None
    if not isinstance(arrays, list) or not all(isinstance(name, str) for name in arrays):
        raise run.integrity_error(f"{runs.RUN} does not say what training began with")
    tokenizer = validate.read_tokenizer(run, config)
    assert tokenizer is not None
    return InitialWeights(tokenizer, {}, dict(told or {}))


def told(start: InitialWeights | None) -> dict[str, Any]:
    """Return the part of `run.json` that says what training began with."""
    return {} if start is None else {"init_from": start.record}


def give(model: Any, start: InitialWeights) -> list[str]:
    """Assign the arrays that a model has by the same name, and return their names.

    Args:
        model: Built.
        start: What to begin with. Where its weights are with a checkpoint, nothing is assigned.

    Raises:
        LstmError: An array of the same name has another shape, or none is shared.
    """
    own = classifier.get_weights(model)
    if not start.weights:
        return [name for name in start.record["arrays"] if name in own]
    shared = [name for name in own if name in start.weights and not _is_new(name, own, start)]
    for name in shared:
        theirs = start.weights[name].shape
        if theirs != own[name].shape:
            raise LstmError(
                f"--init-from: {name} is {list(theirs)} in run {start.record['run']}, and "
                f"{list(own[name].shape)} here.",
                "Train with the settings of that run.",
                ExitCode.USAGE,
            )
    if not shared:
        raise LstmError(f"Run {start.record['run']} has no array that this model has too.")
    classifier.set_weights(model, {**own, **{name: start.weights[name] for name in shared}})
    start.record["arrays"] = shared
    return shared


def _is_new(name: str, own: Mapping[str, Any], start: InitialWeights) -> bool:
    """Tell whether an array is another one under an old name: a head of other classes or width."""
    return name.startswith("head/") and own[name].shape != start.weights[name].shape


def _check(run: RunDir, theirs: Config, config: Config) -> None:
    """Refuse a run whose arrays or words cannot be taken over: the key and both values are named.

    Raises:
        LstmError: They cannot (exit code 2).
    """
    if theirs.kind != config.kind or config.kind != "text":
        raise LstmError(
            f"--init-from takes words and weights of a run on texts; run {run.name} is for "
            f"{theirs.kind}s, and these settings are for {config.kind}s.",
            "See 'lstm runs list'.",
            ExitCode.USAGE,
        )
    before, now = configs.to_dict(theirs), configs.to_dict(config)
    different = []
    keys = [*_KEYS]
    keys += [_PAIR_KEY] if now["embedding"]["bigram_buckets"] else []
    keys += [_CELL_KEY] if before["model"]["cell"] == "peephole" else []
    for key in keys:
        section, _, name = key.partition(".")
        if before[section][name] != now[section][name]:
            different.append((key, before[section][name], now[section][name]))
    if different:
        told = "; ".join(f"{key} is {was} there, {is_} here" for key, was, is_ in different)
        settings = " ".join(f"--set {key}={was}" for key, was, _ in different)
        raise LstmError(
            f"Run {run.name} cannot be trained from with these settings: {told}.",
            f"Add {settings}",
            ExitCode.USAGE,
        )


def _digest(run: RunDir) -> str:
    assert run.manifest is not None
    return run.manifest[runs.WEIGHTS].sha256
