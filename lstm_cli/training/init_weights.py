"""Initial weights: random, from word vectors, from another run, or from a checkpoint."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from msgspec.structs import replace
from numpy.typing import NDArray

from lstm_cli.config import load as configs
from lstm_cli.config.embedded import is_of_region_embedding
from lstm_cli.config.pooled import LSTM, pooled_parts
from lstm_cli.config.schema import Config, ModelSettings
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.runs import directory as runs
from lstm_cli.runs import find, validate
from lstm_cli.runs.directory import RunDir
from lstm_cli.text.tokenizer import Tokenizer
from lstm_cli.training.columns_of_run import with_columns_of_run

# These settings decide the shapes of the arrays that do not grow with words and classes.
_KEYS = ("embedding.dim", "embedding.bigram_buckets", "model.units")
_BIGRAM_KEY = "embedding.bigram_dim"
# Peepholes start at 0: a run may add them, but not drop them.
_CELL_KEY = "model.cell"
_REGION_KEY = "model.region_units"
# A run may add region embeddings where there are none.
_REGION_EMBEDDING_KEYS = ("embedding.region_widths", "embedding.region_dim")
_MAX_VOCAB_SIZE = 65_536


@dataclass(frozen=True)
class InitialWeights:
    """What training starts from.

    Attributes:
        kind: `random`; `word_vectors`: random, except for the embedding; `run`: arrays and
            vocabulary of another run; `checkpoint`: a checkpoint will replace all weights.
        words: Vocabulary of the other run, which the texts add to; empty without one, and for a
            checkpoint.
        tokenizer: Tokenizer of a run that is resumed and started from another run: its own copy.
        arrays: Arrays of the other run by name, as `get_weights` returns them.
        labels: Class names of the other run, if they stay classes.
        head_rows: Rows of the head's kernel in the other run, and in this one, of each part of its
            input that both have; empty if the pooled outputs of the LSTM are not among them.
        has_file: Whether the embedding starts from a file of word vectors.
        learns_regions: Whether region embeddings are learned before training.
        record: `init_from` of `run.json`: name, path, task, weights digest and number of words of
            the other run, the arrays taken, and those of them that have grown. Empty without
            another run.
    """

    kind: Literal["random", "word_vectors", "run", "checkpoint"]
    words: tuple[str, ...] = ()
    tokenizer: Tokenizer | None = None
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    head_rows: tuple[tuple[slice, slice], ...] = ()
    has_file: bool = False
    learns_regions: bool = False
    record: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_kept(self) -> bool:
        """Whether a checkpoint must keep the initial weights: the settings are not enough."""
        return self.kind in ("word_vectors", "run") or self.has_file or self.learns_regions

    @property
    def num_known(self) -> int:
        """Number of words of the other run; 0 without one."""
        return int(self.record.get("words") or 0)


def resolve_init_from(config: Config, root: Path) -> Config:
    """Return settings in which `train.init_from` is the absolute path of a run.

    A table is read from the columns of that run where it has them.

    Args:
        config: Settings; `train.init_from` may be a name.
        root: Folder of all runs.

    Raises:
        LstmError: There is no such run or data set, or the run is not finished.
    """
    init_from = config.train.init_from
    if init_from is None:
        return config
    if not init_from:
        raise LstmError(
            "train.init_from expects a run, found ''.", "See 'lstm runs list'.", ExitCode.USAGE
        )
    run = find.find_initial(root, init_from)
    path = str(run.location.absolute())
    config = replace(config, train=replace(config.train, init_from=path))
    return with_columns_of_run(config, run.config())


def settings_of_run(config: Config, room: int) -> dict[str, Any]:
    """Return the settings that follow from the run of `train.init_from`, by dotted key.

    Args:
        config: As `resolve_init_from` returns it.
        room: New words that the vocabulary has room for.

    Raises:
        LstmError: There is no such run, or it is damaged.
    """
    if config.train.init_from is None:
        return {}
    run = _find_run(config.train.init_from)
    run_config = run.config()
    values = configs.flatten(configs.to_dict(run_config))
    tokenizer = validate.read_tokenizer(run.with_manifest(), run_config)
    if tokenizer is None:
        return {}
    sizes = {"text.vocab_size": min(_MAX_VOCAB_SIZE, tokenizer.vocab_size + room)}
    return {"embedding.dim": values["embedding.dim"], **sizes}


def _find_run(path: str) -> RunDir:
    return find.find(Path(path).parent.parent, path)


@dataclass(frozen=True)
class LabelsOfRun:
    """The classes of a run.

    Attributes:
        run: Its name; empty without one.
        names: Class names; empty for a language model, or without a run.
        multi_label: Whether a text has any number of labels.
    """

    run: str = ""
    names: tuple[str, ...] = ()
    multi_label: bool = False


def labels_of_run(config: Config) -> LabelsOfRun:
    """Return the classes of the run of `train.init_from`, unless `train.init_labels` drops them.

    Args:
        config: As `resolve_init_from` returns it.

    Raises:
        LstmError: There is no such run, or it is damaged.
    """
    init_from = config.train.init_from
    if init_from is None or config.train.init_labels == "drop" or config.language is not None:
        return LabelsOfRun()
    run = _find_run(init_from)
    run_config = run.config()
    if run_config.language is not None or run_config.kind != config.kind:
        return LabelsOfRun()
    return LabelsOfRun(run.name, run.labels(), run_config.is_multi_label)


def read_initial_weights(config: Config, labels: Sequence[str] = ()) -> InitialWeights:
    """Return what a new training with these settings starts from.

    Args:
        config: As `resolve_init_from` returns it.
        labels: Class names of the run of `train.init_from`, if they stay classes.

    Raises:
        LstmError: The run of `train.init_from` is for images, has other widths or more words than
            fit (exit code 2), is missing, or is damaged (exit code 5).
    """
    embedding = config.embedding
    has_regions = bool(embedding and embedding.region_widths) and config.language is None
    if config.train.init_from is not None:
        init = _read_run(config, Path(config.train.init_from))
        has_regions = has_regions and not any(map(is_of_region_embedding, init.arrays))
        return dataclasses.replace(init, labels=tuple(labels), learns_regions=has_regions)
    if embedding is None:
        return InitialWeights("random")
    has_file = embedding.vectors_file is not None
    kind: Literal["random", "word_vectors"] = "word_vectors"
    if embedding.vectors == "random":
        kind = "random"
    return InitialWeights(kind, has_file=has_file, learns_regions=has_regions)


def resumed_initial_weights(
    run: RunDir, config: Config, record: Mapping[str, Any]
) -> InitialWeights:
    """Return the starting point of a run that is resumed from a checkpoint.

    The run that it started from is not read, and may have been removed: its tokenizer and record
    were copied, and the checkpoint has the weights.

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
    return InitialWeights("checkpoint", (), tokenizer, record=dict(init_record or {}))


def _read_run(config: Config, path: Path) -> InitialWeights:
    """Read tokenizer and weights of the run to start from."""
    run = _find_run(str(path)).with_manifest()
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
    _check_room(run, tokenizer.vocab_size, config)
    record = {
        "run": run.name,
        "path": str(run.path),
        "task": run_config.task,
        "weights_sha256": run.manifest[runs.WEIGHTS].sha256,
        "words": tokenizer.vocab_size,
    }
    rows = () if run_config.language is not None else _head_rows(run_config.model, config.model)
    return InitialWeights("run", tokenizer.words, arrays=arrays, head_rows=rows, record=record)


def _head_rows(there: ModelSettings, here: ModelSettings) -> tuple[tuple[slice, slice], ...]:
    """Return `InitialWeights.head_rows` of two classifiers."""
    old, new = pooled_parts(there), pooled_parts(here)
    if old[LSTM] != new[LSTM]:
        return ()
    return tuple((old[name], new[name]) for name in old if name in new)


def _check_room(run: RunDir, num_words: int, config: Config) -> None:
    """Check that the vocabulary of a run fits into that of the settings.

    Raises:
        LstmError: It does not (exit code 2).
    """
    assert config.text is not None
    size = config.text.vocab_size
    if num_words > size:
        wanted = min(_MAX_VOCAB_SIZE, num_words + size)
        raise LstmError(
            f"The vocabulary of run {run.name} has {num_words:,} words, and text.vocab_size is "
            f"{size:,} here.",
            f"Add --set text.vocab_size={wanted}, which has room for new words too.",
            ExitCode.USAGE,
        )


def _check_compatible(run: RunDir, run_config: Config, config: Config) -> None:
    """Check that the arrays of a run fit the settings.

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
    embedding = run_config.embedding
    has_regions = embedding is not None and run_config.language is None and embedding.region_widths
    keys = list(_KEYS)
    keys += [_BIGRAM_KEY] if now["embedding"]["bigram_buckets"] else []
    keys += [_CELL_KEY] if before["model"]["cell"] == "peephole" else []
    keys += _REGION_EMBEDDING_KEYS if has_regions else []
    keys += [_REGION_KEY] if set(run_config.model.regions) & set(config.model.regions) else []
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
