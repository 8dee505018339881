"""The experiment, as validated data: presets, files, `--set` overrides."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
import yaml
from msgspec import Meta

from lstm_cli.errors import ExitCode, LstmError, nearest

Share = Annotated[float, Meta(ge=0, lt=1)]
Count = Annotated[int, Meta(ge=1)]
# Far above what fits a machine, so that a slip of the keyboard is named and not allocated.
Width = Annotated[int, Meta(ge=1, le=16_384)]
# Of a file of settings, which is read in whole; the longest that any has is a twentieth.
_MAX_BYTES = 64 << 10
_MAX_MERGED = 1000
_MAX_BRACKETS = 1000
# What PyYAML raises beside its own: `!!int x`, `!!bool x`, `!!timestamp x`, nesting without end.
_NO_YAML = (ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError)
Pooling = Literal["last", "max", "mean", "max_mean"]


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings that belong together; unknown keys are refused."""


class _Loader(yaml.SafeLoader):
    """Plain YAML, in which no key of a mapping may stand twice: the last would win unseen."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Compose a mapping, and see that its keys differ."""
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None,
                    None,
                    f"the key '{_cut(key.value)}' stands here a second time",
                    key.start_mark,
                )
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else id(key))
        return node

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Merge mappings (`<<: *base`), not without end: each may hold the last one twice."""
        before = len(node.value)
        super().flatten_mapping(node)
        if len(node.value) > max(before, _MAX_MERGED):
            raise yaml.constructor.ConstructorError(
                None, None, f"over {_MAX_MERGED:,} settings merged by reference", node.start_mark
            )


class DataSettings(_Section, frozen=True):
    """What to learn from, and how it is split."""

    name: Annotated[
        str, Meta(min_length=1, description="demo, digits, imdb, mnist, tfds:NAME or a path")
    ]
    text_column: Annotated[
        str | None, Meta(description="column of the text; found if not said")
    ] = None
    label_column: Annotated[
        str | None, Meta(description="column of the label; found if not said")
    ] = None
    test: Annotated[str | None, Meta(description="file or folder with the test split")] = None
    validation: Annotated[float, Meta(gt=0, lt=0.5, description="share cut from train")] = 0.1
    test_fraction: Annotated[
        float, Meta(gt=0, lt=0.9, description="share cut off where there is no test split")
    ] = 0.2
    limit: Annotated[Count | None, Meta(description="at most this many examples a split")] = None
    demo_train: Annotated[
        int, Meta(ge=20, le=1_000_000, description="examples to generate (demo)")
    ] = 6000
    demo_test: Annotated[
        int, Meta(ge=2, le=1_000_000, description="examples to generate (demo)")
    ] = 1000


class TextSettings(_Section, frozen=True):
    """How a text becomes token ids."""

    # Pair ids are computed in int32 inside the network, and corpora stored as uint16.
    vocab_size: Annotated[int, Meta(ge=3, le=65_536, description="distinct tokens kept")] = 20_000
    min_count: Annotated[Count, Meta(description="rarer tokens become [UNK]")] = 2
    max_tokens: Annotated[
        int, Meta(ge=1, le=100_000, description="longer texts keep head and tail")
    ] = 400


class EmbeddingSettings(_Section, frozen=True):
    """How token ids become vectors."""

    dim: Annotated[Width, Meta(description="width of a word vector")] = 128
    pair_buckets: Annotated[
        int,
        Meta(
            ge=0, le=4_000_000, description="rows for hashed (previous word, word) pairs; 0: none"
        ),
    ] = 0
    pair_dim: Annotated[Width, Meta(description="width of a pair vector")] = 32
    vectors: Annotated[
        Literal["random", "train", "unlabeled"],
        Meta(
            description="word vectors to start from: random, or learned from the texts of train, "
            "or of train and the unlabeled split where there is one"
        ),
    ] = "random"
    dropout: Annotated[Share, Meta(description="whole channels dropped")] = 0.3
    word_dropout: Annotated[Share, Meta(description="words replaced by [UNK] in training")] = 0.0


class EvidenceSettings(_Section, frozen=True):
    """A linear classifier of words and pairs, whose verdict the network gets as one more input."""

    buckets: Annotated[
        int, Meta(ge=1, le=4_000_000, description="rows for hashed words and pairs")
    ] = 300_000
    folds: Annotated[
        int, Meta(ge=2, le=100, description="a training text is judged by the other folds")
    ] = 3
    penalty: Annotated[
        float, Meta(gt=0, le=1e6, description="on the square of weights; more is simpler")
    ] = 0.05
    dropout: Annotated[
        Share, Meta(description="texts the network has to judge without it in training")
    ] = 0.5


class ImageSettings(_Section, frozen=True):
    """How an image becomes a sequence of rows."""

    shift: Annotated[
        int, Meta(ge=0, le=8, description="random shift in training, pixels each way")
    ] = 0


class LanguageSettings(_Section, frozen=True):
    """How a language model is pretrained; only the settings of its runs have this section."""

    window: Annotated[
        int, Meta(ge=1, le=100_000, description="words to predict, each way, in one window of text")
    ] = 128
    negatives: Annotated[
        int, Meta(ge=1, le=65_536, description="words drawn for a batch to tell the right one from")
    ] = 512
    tied: Annotated[bool, Meta(description="predict words with the vectors they are read with")] = (
        True
    )
    dropout: Annotated[Share, Meta(description="whole channels of the word vectors dropped")] = 0.0
    held_out: Annotated[
        float, Meta(gt=0, lt=0.5, description="share of the texts that perplexity is measured on")
    ] = 0.005


class ModelSettings(_Section, frozen=True):
    """The recurrent network."""

    cell: Annotated[
        Literal["lstm", "peephole"],
        Meta(description="peephole: the gates of each unit also see its cell state"),
    ] = "lstm"
    units: Annotated[Width, Meta(description="hidden units of each LSTM layer and direction")] = 64
    layers: Annotated[int, Meta(ge=1, le=8, description="stacked LSTM layers")] = 1
    bidirectional: Annotated[bool, Meta(description="read in both directions")] = True
    pooling: Annotated[
        Pooling, Meta(description="how the outputs of all steps become one vector")
    ] = "max_mean"
    dropout: Annotated[Share, Meta(description="on the pooled vector")] = 0.3


class TrainSettings(_Section, frozen=True):
    """How the weights are found."""

    epochs: Annotated[int, Meta(ge=1, le=100_000)] = 5
    batch_size: Annotated[int, Meta(ge=1, le=100_000)] = 64
    learning_rate: Annotated[float, Meta(gt=0, le=1, description="peak, after warm-up (Adam)")] = (
        2e-3
    )
    warmup: Annotated[Share, Meta(description="share of all steps")] = 0.1
    decay: Annotated[
        Literal["none", "linear", "cosine"], Meta(description="from the peak to its share decay_to")
    ] = "cosine"
    decay_to: Annotated[
        float, Meta(ge=0, le=1, description="share of the peak that the decay ends at")
    ] = 0.0
    weight_decay: Annotated[float, Meta(ge=0, lt=1, description="decoupled (AdamW); 0: off")] = 0.0
    clip_norm: Annotated[float, Meta(ge=0, le=1e6, description="global gradient norm; 0: off")] = (
        1.0
    )
    label_smoothing: Share = 0.0
    patience: Annotated[
        int, Meta(ge=0, description="epochs without a better validation loss; 0: never stop early")
    ] = 2
    class_weights: Annotated[
        Literal["none", "balanced"], Meta(description="weigh classes by inverse frequency")
    ] = "none"
    averaging: Annotated[
        Share, Meta(description="momentum of the moving average of weights; 0: off")
    ] = 0.0
    self_training: Annotated[
        bool,
        Meta(
            description="learn from the unlabeled split too: by what the evidence says of its "
            "texts in the first epoch, then by what the network said after the last one"
        ),
    ] = False
    calibrate: Annotated[
        bool,
        Meta(
            description="scale the logits so that they are as sure as validation is right: for the "
            "validation loss of an epoch, and at the end"
        ),
    ] = True
    init_from: Annotated[
        str | None, Meta(description="run whose tokenizer and weights training begins with")
    ] = None
    lower_rate: Annotated[
        float, Meta(ge=0, le=1, description="of the learning rate, for what comes from init_from")
    ] = 1.0
    frozen_steps: Annotated[
        int,
        Meta(ge=0, description="first steps, which leave what comes from init_from alone"),
    ] = 0
    checkpoint_seconds: Annotated[
        float, Meta(gt=0, description="a checkpoint at least this often, and after each epoch")
    ] = 60.0
    deterministic: Annotated[bool, Meta(description="the same bits on the same machine")] = True


class Config(_Section, frozen=True):
    """One experiment, complete: enough to run it again."""

    data: DataSettings
    seed: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 0
    text: TextSettings | None = None
    embedding: EmbeddingSettings | None = None
    evidence: EvidenceSettings | None = None
    image: ImageSettings | None = None
    language: LanguageSettings | None = None
    model: ModelSettings = ModelSettings()
    train: TrainSettings = TrainSettings()

    @property
    def kind(self) -> Literal["text", "image"]:
        """What the network reads."""
        return "image" if self.image is not None else "text"

    @property
    def task(self) -> Literal["text", "image", "language"]:
        """What `run.json` calls the run: what a classifier reads, or that it is none."""
        return self.kind if self.language is None else "language"


def presets_dir() -> Path:
    """Return the folder of presets: inside the wheel, or at the root of a checkout."""
    inside = Path(__file__).parent / "configs"
    return inside if inside.is_dir() else Path(__file__).parents[1] / "configs"


def preset_names() -> list[str]:
    """List the presets by name, sorted."""
    return sorted(path.stem for path in presets_dir().glob("*.yaml"))


def preset_text(name: str) -> str:
    """Return a preset's YAML as written, comments included.

    Raises:
        LstmError: There is no such preset; the nearest names are offered.
    """
    if name not in preset_names():
        raise LstmError(
            f"There is no preset '{name}'.", nearest(name, preset_names()), ExitCode.USAGE
        )
    return (presets_dir() / f"{name}.yaml").read_text(encoding="utf-8")


def load_preset(name: str, overrides: Mapping[str, Any] | None = None) -> Config:
    """Read a preset, with settings changed by dotted key."""
    return from_dict(_parse_yaml(preset_text(name), f"preset {name}"), overrides, f"preset {name}")


def load_file(path: Path, base: Mapping[str, Any], overrides: Mapping[str, Any]) -> Config:
    """Read settings from a YAML file over a base (a preset's), with overrides over both.

    Args:
        path: The file; it may name only what it changes.
        base: What holds where the file is silent, as nested mappings.
        overrides: Dotted keys and values, as from `--set`.

    Raises:
        LstmError: The file is missing, is no YAML, or holds an unknown key or a bad value.
    """
    return from_dict(_merge(base, read_settings(path)), overrides, str(path))


def read_settings(path: Path) -> dict[str, Any]:
    """Read a YAML file of settings as nested mappings, unvalidated.

    Raises:
        LstmError: The file cannot be read, is not YAML, or is no mapping.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        text = content.decode("utf-8-sig") if len(content) <= _MAX_BYTES else ""
    except FileNotFoundError:
        raise LstmError(
            f"There is no settings file {path}.",
            "See 'lstm config show imdb' for one to start from.",
            ExitCode.USAGE,
        ) from None
    except (OSError, ValueError) as error:
        raise LstmError(f"Cannot read the settings file {path}: {error}.") from error
    if len(content) > _MAX_BYTES:
        raise LstmError(
            f"{path} is larger than the {_MAX_BYTES:,} bytes a file of settings may have.",
            "See 'lstm config show imdb' for what one looks like.",
            ExitCode.USAGE,
        )
    return _parse_yaml(text, str(path))


def preset_dict(name: str) -> dict[str, Any]:
    """Return a preset as nested mappings."""
    return _parse_yaml(preset_text(name), f"preset {name}")


def from_dict(
    settings: Mapping[str, Any], overrides: Mapping[str, Any] | None = None, where: str = "settings"
) -> Config:
    """Validate nested mappings into a Config.

    Args:
        settings: Sections and their settings.
        overrides: Dotted keys (`model.units`) and values laid over them.
        where: What to name in errors: a path, `preset imdb`.

    Raises:
        LstmError: An unknown key (the nearest is offered) or a value out of range (exit code 2).
    """
    nested: dict[str, Any] = _merge(settings, {})
    for key, value in (overrides or {}).items():
        _check_key(key)
        nested = _merge(nested, _nest(key, value))
    _check_keys(Config, nested, "", where)
    try:
        config = msgspec.convert(nested, Config, strict=False)
    except msgspec.ValidationError as error:
        raise LstmError(
            _explain(error, nested, where),
            "See 'lstm config schema' for every setting, its type and its range.",
            ExitCode.USAGE,
        ) from None
    _check_sections(config, where)
    return config


def parse_overrides(assignments: Sequence[str]) -> dict[str, Any]:
    """Parse `--set` arguments: `model.units=64` -> `{"model.units": 64}`.

    Raises:
        LstmError: An argument has no `=`, or its value is no YAML scalar.
    """
    overrides: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or not key.strip():
            raise LstmError(
                f"--set expects KEY=VALUE, found '{_cut(assignment)}'.",
                "For example: --set model.units=64",
                ExitCode.USAGE,
            )
        try:
            overrides[key.strip()] = _load_yaml(value)
        except (yaml.YAMLError, *_NO_YAML):
            raise LstmError(
                f"--set {_cut(key.strip())}: '{_cut(value)}' is not a YAML value.",
                "Quote it, for example: --set 'data.text_column=\"a: b\"'",
                ExitCode.USAGE,
            ) from None
    return overrides


def to_dict(config: Config) -> dict[str, Any]:
    """Return the settings as nested plain mappings, sections that do not apply left out."""
    nested: dict[str, Any] = msgspec.to_builtins(config)
    return {key: value for key, value in nested.items() if value is not None}


def dotted(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested settings into dotted keys: `{"model": {"units": 3}}` -> `model.units`."""
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping):
            flat |= dotted(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def to_yaml(config: Config) -> str:
    """Return every setting as YAML; `from_yaml` reads it back to an equal Config."""
    return str(yaml.safe_dump(to_dict(config), sort_keys=False, allow_unicode=True))


def from_yaml(text: str, where: str) -> Config:
    """Read what `to_yaml` wrote.

    Raises:
        LstmError: The text is no valid configuration.
    """
    return from_dict(_parse_yaml(text, where), None, where)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a settings file, for editors."""
    return msgspec.json.schema(Config)


def _load_yaml(text: str) -> Any:
    """Parse YAML.

    Raises:
        yaml.YAMLError: It is none, or stands for more than it has room for.
        ValueError: Likewise; see `_NO_YAML` for what else there is.
    """
    # Each opened bracket makes the scanner look at all those before it.
    if text.count("[") + text.count("{") > _MAX_BRACKETS:
        raise ValueError(f"it holds over {_MAX_BRACKETS:,} lists and mappings in brackets")
    return yaml.load(text, _Loader)


def _parse_yaml(text: str, where: str) -> dict[str, Any]:
    """Parse YAML whose top level must be a mapping."""
    try:
        parsed = _load_yaml(text)
    except yaml.YAMLError as error:
        raise LstmError(f"{where}{_place(error, text)}.", "", ExitCode.USAGE) from None
    except _NO_YAML as error:
        told = f"{error}"[:200]
        raise LstmError(f"{where} is not readable as YAML: {told}.", "", ExitCode.USAGE) from None
    if parsed is None:
        return {}
    if not isinstance(parsed, dict):
        raise LstmError(
            f"{where}: expected sections such as 'model:', found {type(parsed).__name__}.",
            "See 'lstm config show imdb'.",
            ExitCode.USAGE,
        )
    return parsed


def _place(error: yaml.YAMLError, text: str) -> str:
    """Say at which line and column YAML gave up, and why."""
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        problem = getattr(error, "problem", None) or "not readable as YAML"
        return f", line {mark.line + 1}, column {mark.column + 1}: {problem}"
    if isinstance(error, yaml.reader.ReaderError):
        before = text[: error.position]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        return f", line {line}, column {column}: character {error.character!r} is not allowed"
    return ": not readable as YAML"


def _merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Lay nested mappings over others; neither is changed."""
    merged = dict(base)
    for key, value in changes.items():
        below = merged.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            merged[key] = _merge(below, value)
        else:
            merged[key] = value
    return merged


def _nest(dotted: str, value: Any) -> dict[str, Any]:
    for part in reversed(dotted.split(".")):
        value = {part: value}
    return dict(value)


def _fields(struct: type[msgspec.Struct]) -> dict[str, type[msgspec.Struct] | None]:
    """Map a section's keys to the section below each, or None for a plain setting."""
    hints = get_type_hints(struct)
    below: dict[str, type[msgspec.Struct] | None] = {}
    for name in struct.__struct_fields__:
        kinds = (hints[name], *get_args(hints[name]))
        below[name] = next(
            (k for k in kinds if isinstance(k, type) and issubclass(k, msgspec.Struct)), None
        )
    return below


def all_keys() -> list[str]:
    """List every dotted key a configuration may have."""
    keys = []
    for name, section in _fields(Config).items():
        keys += [name] if section is None else [f"{name}.{k}" for k in section.__struct_fields__]
    return keys


def _check_key(dotted: str) -> None:
    """Refuse a `--set` key that does not exist."""
    if dotted not in all_keys():
        raise LstmError(
            f"There is no setting '{_cut(dotted)}'.", nearest(dotted, all_keys()), ExitCode.USAGE
        )


def _check_keys(
    struct: type[msgspec.Struct], settings: Mapping[Any, Any], prefix: str, where: str
) -> None:
    """Refuse unknown keys, naming the nearest known ones."""
    known = _fields(struct)
    for key, value in settings.items():
        if key not in known:
            told = f"{prefix}{_cut(key) if isinstance(key, str) else _shown(key)}"
            raise LstmError(
                f"{where}: there is no setting '{told}'.",
                nearest(told, [f"{prefix}{k}" for k in known]),
                ExitCode.USAGE,
            )
        section = known[key]
        if section is not None and isinstance(value, Mapping):
            _check_keys(section, value, f"{prefix}{key}.", where)


def _explain(error: msgspec.ValidationError, nested: Mapping[str, Any], where: str) -> str:
    """Turn msgspec's `Expected ... - at $.model.units` into a sentence with the value found."""
    problem, _, path = str(error).partition(" - at `$")
    key = path.rstrip("`").lstrip(".")
    found: Any = nested
    for part in filter(None, key.split(".")):
        found = found.get(part) if isinstance(found, Mapping) else None
    problem = problem[:1].lower() + problem[1:].rstrip(".")
    if options := _options(key):
        problem = f"expected one of {', '.join(options)}"
    return f"{where}: {key or 'top level'}: {problem}; found {_shown(found)}."


def _cut(text: str) -> str:
    """Shorten what was typed or read to what fits a line."""
    return text if len(text) <= 80 else f"{text[:79]}…"


def _shown(value: Any) -> str:
    """Name a value in a few words: lists of lists and numbers of any size come in a few bytes."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | set):
        return "a list"
    if isinstance(value, int) and value.bit_length() > 64:
        return "a number of over 64 bits"
    return reprlib.repr(value)


def _options(dotted: str) -> tuple[str, ...]:
    """Return the words a setting is chosen from, or none where it is no choice."""
    section, _, key = dotted.partition(".")
    below = _fields(Config).get(section)
    kind = get_type_hints(below).get(key) if below is not None else None
    return get_args(kind) if get_origin(kind) is Literal else ()


def _check_sections(config: Config, where: str) -> None:
    """Hold that a text run has text settings and an image run has image settings, not both."""
    if config.image is None:
        missing = [n for n in ("text", "embedding") if getattr(config, n) is None]
        if missing:
            raise LstmError(
                f"{where}: a text classifier needs the section '{missing[0]}:'.",
                "Start from 'lstm config show text'; for images give 'image:' instead.",
                ExitCode.USAGE,
            )
        if config.train.self_training and config.evidence is None:
            raise LstmError(
                f"{where}: train.self_training needs the section 'evidence:', whose verdicts on "
                "texts without labels are what it begins with.",
                "Add 'evidence: {}', or leave out train.self_training.",
                ExitCode.USAGE,
            )
        return
    if config.train.self_training:
        raise LstmError(
            f"{where}: train.self_training has no meaning for images: it learns from texts without "
            "labels.",
            "Leave out train.self_training.",
            ExitCode.USAGE,
        )
    apart = ("text", "embedding", "evidence", "language")
    extra = [name for name in apart if getattr(config, name) is not None]
    if extra:
        raise LstmError(
            f"{where}: the section '{extra[0]}:' has no meaning for images, which have 'image:'.",
            f"Leave out '{extra[0]}'.",
            ExitCode.USAGE,
        )
