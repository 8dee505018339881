"""Initial weights: random, from word vectors, from another run, or from a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

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

# These settings decide the vocabulary and the shapes of the arrays.
_KEYS = (
    "text.vocab_size",
    "text.min_count",
    "embedding.dim",
    "embedding.bigram_buckets",
    "model.units",
)
_BIGRAM_KEY = "embedding.bigram_dim"
# Peepholes start at 0: a run may add them, but not drop them.
_CELL_KEY = "model.cell"


@dataclass(frozen=True)
class InitialWeights:
    """What training starts from.

    Attributes:
        kind: `random`; `word_vectors`: random, except for the embedding; `run`: arrays and
            vocabulary of another run; `checkpoint`: a checkpoint will replace all weights.
        tokenizer: Tokenizer of the other run, with `text.max_tokens` of the new settings; None
            to fit one. A run that started from another run is resumed with its own copy.
        arrays: Arrays of the other run by name, as `get_weights` returns them.
        record: `init_from` of `run.json`: name, path, task and weights digest of the other run,
            and the names of the arrays taken. Empty without another run.
    """

    kind: Literal["random", "word_vectors", "run", "checkpoint"]
    tokenizer: Tokenizer | None = None
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    record: Mapping[str, Any] = field(default_factory=dict)


def resolve_init_from(config: Config, root: Path) -> Config:
    """Return settings in which `train.init_from` is the absolute path of a run.

    Args:
        config: Settings; `train.init_from` may be a name.
        root: Folder of all runs.

    Raises:
        LstmError: There is no such run, or it is not finished.
    """
    init_from = config.train.init_from
    if init_from is None:
        return config
    if not init_from:
        raise LstmError(
            "train.init_from expects a run, found ''.", "See 'lstm runs list'.", ExitCode.USAGE
        )
    path = str(find.find(root, init_from, language=True).path.absolute())
    return replace(config, train=replace(config.train, init_from=path))


def vocabulary_settings(config: Config) -> dict[str, Any]:
    """Return the settings that the run of `train.init_from` decides, by dotted key.

    Args:
        config: As `resolve_init_from` returns it.

    Raises:
        LstmError: There is no such run.
    """
    if config.train.init_from is None:
        return {}
    path = Path(config.train.init_from)
    values = configs.flatten(configs.to_dict(find.find(path.parent.parent, str(path)).config()))
    return {key: values[key] for key in _KEYS}


def read_initial_weights(config: Config) -> InitialWeights:
    """Return what a new training with these settings starts from.

    Args:
        config: As `resolve_init_from` returns it.

    Raises:
        LstmError: The run of `train.init_from` is for images or has another vocabulary or other
            widths (exit code 2), is missing, or is damaged (exit code 5).
    """
    if config.train.init_from is not None:
        return _read_run(config, Path(config.train.init_from))
    if config.embedding is not None and config.embedding.vectors != "random":
        return InitialWeights("word_vectors")
    return InitialWeights("random")


def resumed_initial_weights(
    run: RunDir, config: Config, record: Mapping[str, Any]
) -> InitialWeights:
    """Return the starting point of a run that is resumed from a checkpoint.

    The run that it started from is not read and may be gone: its tokenizer and record were
    copied, and the checkpoint has the weights.

    Args:
        run: The run to resume.
        config: Its settings.
        record: Its `run.json`.

    Raises:
        LstmError: `run.json` does not list the initial arrays (exit code 5).
    """
    if config.train.init_from is None:
        return InitialWeights("checkpoint")
    init_record = record.get("init_from")
    names = init_record.get("arrays") if isinstance(init_record, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise run.integrity_error(f"{runs.RUN} does not list the initial arrays in init_from")
    tokenizer = validate.read_tokenizer(run, config)
    return InitialWeights("checkpoint", tokenizer, record=dict(init_record or {}))


def apply_initial_weights(model: Any, init: InitialWeights) -> list[str]:
    """Assign the arrays of another run that the model also has.

    Args:
        model: A built model.
        init: The starting point; only arrays of kind `run` are assigned.

    Returns:
        The names of the arrays that come from another run; empty without one.

    Raises:
        LstmError: An array has another shape in the model, or the two share no array.
    """
    own = classifier.get_weights(model)
    if init.kind != "run":
        return [name for name in init.record.get("arrays", ()) if name in own]
    shared = [name for name in own if name in init.arrays and not _is_new_head(name, own, init)]
    for name in shared:
        shape = init.arrays[name].shape
        if shape != own[name].shape:
            raise LstmError(
                f"--init-from: {name} is {list(shape)} in run {init.record['run']}, and "
                f"{list(own[name].shape)} here.",
                "Train with the settings of that run.",
                ExitCode.USAGE,
            )
    if not shared:
        raise LstmError(f"Run {init.record['run']} shares no array with this model.")
    classifier.set_weights(model, {**own, **{name: init.arrays[name] for name in shared}})
    return shared


def _is_new_head(name: str, own: Mapping[str, Any], init: InitialWeights) -> bool:
    """Return whether an array belongs to a head of other classes or width, which is not taken."""
    return name.startswith("head/") and own[name].shape != init.arrays[name].shape


def _read_run(config: Config, path: Path) -> InitialWeights:
    """Read tokenizer and weights of the run to start from."""
    run = find.find(path.parent.parent, str(path)).with_manifest()
    run.names()
    run_config = run.config()
    _check_compatible(run, run_config, config)
    tokenizer = validate.read_tokenizer(run, run_config)
    assert tokenizer is not None
    assert config.text is not None
    assert run.manifest is not None
    if run_config.language is not None:
        arrays = validate.read_language_weights(run, run_config, tokenizer.vocab_size)
    else:
        golden = validate.read_golden(run, run_config, len(run.labels()))
        plan = validate.graph_plan(run_config, run.labels(), tokenizer, golden)
        arrays = validate.read_weights(run, plan)
    record = {
        "run": run.name,
        "path": str(run.path),
        "task": run_config.task,
        "weights_sha256": run.manifest[runs.WEIGHTS].sha256,
    }
    # The linear model is fitted anew, so its character n-grams are those of these settings.
    tokenizer = Tokenizer(
        tokenizer.words, config.text.max_tokens, config.char_buckets, config.text.min_similarity
    )
    return InitialWeights("run", tokenizer, arrays, record)


def _check_compatible(run: RunDir, run_config: Config, config: Config) -> None:
    """Check that vocabulary and arrays of a run fit the settings.

    Raises:
        LstmError: They do not fit; the message names each key with both values (exit code 2).
    """
    if run_config.kind != config.kind or config.kind != "text":
        raise LstmError(
            f"--init-from needs a run on texts and settings for texts; run {run.name} is for "
            f"{run_config.kind}s, and these settings are for {config.kind}s.",
            "See 'lstm runs list'.",
            ExitCode.USAGE,
        )
    before, now = configs.to_dict(run_config), configs.to_dict(config)
    keys = list(_KEYS)
    keys += [_BIGRAM_KEY] if now["embedding"]["bigram_buckets"] else []
    keys += [_CELL_KEY] if before["model"]["cell"] == "peephole" else []
    differences = []
    for key in keys:
        section, _, name = key.partition(".")
        if before[section][name] != now[section][name]:
            differences.append((key, before[section][name], now[section][name]))
    if differences:
        listed = "; ".join(f"{key} is {old} there, {new} here" for key, old, new in differences)
        raise LstmError(
            f"Training cannot start from run {run.name} with these settings: {listed}.",
            "Add " + " ".join(f"--set {key}={old}" for key, old, _ in differences),
            ExitCode.USAGE,
        )
