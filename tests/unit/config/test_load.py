"""Settings: presets, files and overrides are merged and validated, or a clear error."""

from __future__ import annotations

import json
import resource
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
import yaml
from fixtures_attacks import within
from fixtures_properties import relaxed
from hypothesis import given
from hypothesis import strategies as st

from lstm_cli.config import load as configs
from lstm_cli.config.describe import describe
from lstm_cli.config.schema import Config
from lstm_cli.config.yaml import parse_mapping
from lstm_cli.data.dataset_settings import dataset_settings
from lstm_cli.errors import ExitCode, LstmError

TEXT = "data: {name: demo}\ntext: {}\nembedding: {}\n"


def refused(call, *args, code=ExitCode.USAGE):
    with pytest.raises(LstmError) as error:
        call(*args)
    assert error.value.exit_code == code
    return error.value


def read(text):
    return configs.from_yaml(text, "mine.yaml")


def with_(section, **settings):
    nested = yaml.safe_load(TEXT)
    nested[section] = {**(nested.get(section) or {}), **settings}
    return configs.from_dict(nested, None, "mine.yaml")


@pytest.mark.parametrize("name", configs.preset_names())
def test_every_preset_survives_a_round_trip(name):
    config = configs.load_preset(name)
    assert read(configs.to_yaml(config)) == config
    assert configs.from_dict(configs.to_dict(config)) == config


def test_the_presets_of_the_readme_exist():
    expected = {
        "demo",
        "digits",
        "imdb",
        "imdb-best",
        "imdb-tutorial",
        "mnist",
        "mnist-tutorial",
        "text",
    }
    assert expected <= set(configs.preset_names())


def test_the_tutorial_preset_has_the_model_of_the_tutorial():
    config = configs.load_preset("imdb-tutorial")
    assert (config.text.vocab_size, config.text.max_tokens) == (20_000, 200)
    assert (config.embedding.dim, config.model.units) == (128, 128)
    assert (config.model.bidirectional, config.model.pooling) == (False, "last")
    assert (config.train.epochs, config.train.batch_size, config.train.decay) == (10, 32, "none")


def test_the_kind_follows_from_the_sections():
    assert configs.load_preset("demo").kind == "text"
    assert configs.load_preset("digits").kind == "image"


def test_an_unknown_preset_suggests_a_similar_one():
    error = refused(configs.load_preset, "imbd")
    assert "imbd" in error.message
    assert "'imdb'" in error.hint


@pytest.mark.parametrize("name", ["../pyproject", "/etc/passwd", "", "demo.yaml", "demo\0"])
def test_a_path_is_not_a_preset(name):
    refused(configs.preset_text, name)


def test_overrides_replace_the_file_and_the_file_replaces_the_preset(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("model: {units: 7, layers: 2}\ntrain: {epochs: 9}\n")
    base = configs.preset_dict("demo")
    config = configs.load_file(path, base, {"model.layers": 3, "seed": 5})
    assert (config.model.units, config.model.layers, config.seed) == (7, 3, 5)
    assert config.train.epochs == 9
    assert config.train.learning_rate == base["train"]["learning_rate"]
    assert base == configs.preset_dict("demo")


def test_an_empty_file_changes_nothing(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("# nothing yet\n")
    assert configs.load_file(path, configs.preset_dict("demo"), {}) == configs.load_preset("demo")


def test_a_byte_order_mark_is_ignored(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"\xef\xbb\xbfseed: 3\n")
    assert configs.read_settings(path) == {"seed": 3}


def test_a_missing_settings_file_is_named(tmp_path):
    path = tmp_path / "gone.yaml"
    assert "gone.yaml" in refused(configs.read_settings, path, code=ExitCode.DATA).message


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"data: \xe9"])
def test_a_settings_file_that_is_not_utf8_is_refused(content, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    with pytest.raises(LstmError, match=r"mine\.yaml"):
        configs.read_settings(path)


@pytest.mark.parametrize("name", ["", "a\0b"])
def test_a_settings_path_that_is_not_a_file_is_refused(name, tmp_path):
    with pytest.raises(LstmError, match="settings file"):
        configs.read_settings(tmp_path / name)


@pytest.mark.parametrize(
    ("text", "key", "suggestion"),
    [
        (TEXT + "modle: {}", "modle", "'model'"),
        (TEXT + "model: {unit: 3}", "model.unit", "'model.units'"),
        (TEXT + "train: {epoch: 3}", "train.epoch", "'train.epochs'"),
        (TEXT + "5: 3", "5", "Known"),
        (TEXT + "train: {2020-01-01: 3}", "train.datetime.date(2020, 1, 1)", "train."),
        (TEXT + "train: {true: 3}", "train.True", "train."),
        (TEXT + "null: 3", "None", "Known"),
        (TEXT + "? 0x" + "f" * 5000 + "\n: 1", "over 64 bits", "Known"),
    ],
)
def test_an_unknown_key_suggests_a_similar_one(text, key, suggestion):
    error = refused(read, text)
    assert key in error.message
    assert "mine.yaml" in error.message
    assert suggestion in error.hint


@pytest.mark.parametrize(
    ("key", "suggestion"),
    [("model.unit", "'model.units'"), ("epochs", "'train.epochs'"), ("trian.epochs", "'train.ep")],
)
def test_an_unknown_override_suggests_a_similar_one(key, suggestion):
    assert suggestion in refused(configs.load_preset, "demo", {key: 1}).hint


@pytest.mark.parametrize("key", ["model", "text", "image", "data", "model.units.x", "model.", "."])
def test_an_override_of_a_section_is_refused(key):
    assert key in refused(configs.load_preset, "demo", {key: {}}).message


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("model", "units", 0),
        ("model", "units", -1),
        ("model", "units", 10**30),
        ("model", "layers", 9),
        ("model", "dropout", 1.0),
        ("model", "dropout", float("nan")),
        ("train", "epochs", 0),
        ("train", "batch_size", 10**9),
        ("train", "learning_rate", 0),
        ("train", "learning_rate", 1.5),
        ("train", "learning_rate", float("nan")),
        ("train", "learning_rate", float("inf")),
        ("train", "clip_norm", float("inf")),
        ("train", "clip_norm", float("nan")),
        ("train", "weight_decay", float("-inf")),
        ("train", "patience", -1),
        ("data", "validation_fraction", 0.5),
        ("data", "validation_fraction", 0),
        ("data", "name", ""),
        ("data", "limit", 0),
        ("text", "vocab_size", 65_537),
        ("text", "vocab_size", 2),
        ("text", "max_tokens", 0),
        ("embedding", "dim", 0),
        ("embedding", "bigram_buckets", -1),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_bound(section, key, value):
    error = refused(lambda: with_(section, **{key: value}))
    assert f"mine.yaml: {section}.{key}: expected" in error.message
    assert any(word in error.message for word in ("or more", "or less", "above", "below"))


@pytest.mark.parametrize(
    ("section", "key", "value", "expected"),
    [
        ("model", "units", "many", "expected a whole number; found 'many'"),
        ("model", "units", 2.5, "expected a whole number; found 2.5"),
        ("model", "units", None, "expected a whole number; found None"),
        ("model", "units", [3], "found a list"),
        ("model", "units", {"a": 3}, "found a mapping"),
        ("model", "units", True, "expected a whole number; found True"),
        ("model", "bidirectional", "perhaps", "expected true or false; found 'perhaps'"),
        ("model", "pooling", "maximum", "expected one of last, max, mean, max_mean; found 'max"),
        ("train", "decay", "fast", "expected one of none, linear, cosine; found 'fast'"),
        ("train", "class_weights", None, "none, balanced, or a number from 0 to 1; found None"),
        ("train", "class_weights", 1.5, "none, balanced, or a number from 0 to 1; found 1.5"),
        ("train", "class_weights", "rare", "none, balanced, or a number from 0 to 1; found 'rare'"),
        ("data", "name", 5, "expected text; found 5"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_with_the_expected_type(section, key, value, expected):
    message = refused(lambda: with_(section, **{key: value})).message
    assert f"{section}.{key}: " in message
    assert expected in message


def test_a_number_in_quotes_is_a_number():
    assert with_("train", learning_rate="1e-3", epochs="4").train.learning_rate == 0.001


@pytest.mark.parametrize(
    ("typed", "value"), [("none", "none"), ("balanced", "balanced"), ("0.5", 0.5), (1, 1.0)]
)
def test_class_weights_are_a_name_or_a_power(typed, value):
    config = with_("train", class_weights=typed)
    assert config.train.class_weights == value
    assert configs.from_yaml(configs.to_yaml(config), "again") == config
    ((setting,),) = describe("train.class_weights").values()
    assert setting.type == "none | balanced | number, 0 to 1"


@pytest.mark.parametrize("value", ["null", "5", "[]", "x"])
def test_a_section_is_a_mapping(value):
    assert "train" in refused(read, TEXT + f"train: {value}").message


def test_a_syntax_error_has_line_and_column():
    message = refused(read, "data:\n  name: demo\n  test: [a\nmodel: {}\n").message
    assert "mine.yaml, line 4, column 6" in message


def test_a_forbidden_character_has_line_and_column():
    assert "mine.yaml, line 2, column 7" in refused(read, "data:\n  name\0: demo\n").message


@pytest.mark.parametrize(
    ("text", "line"),
    [(TEXT + "seed: 1\nmodel: {}\nseed: 2\n", 6), ("data: {name: demo, name: imdb}", 1)],
)
def test_a_duplicate_key_is_refused(text, line):
    message = refused(read, text).message
    assert f"line {line}" in message
    assert "duplicate key" in message


def test_a_key_can_be_in_several_sections():
    assert read("data: {name: demo}\ntext: {}\nembedding: {dropout: 0}\nmodel: {dropout: 0}\n")


@pytest.mark.parametrize("text", ["- a\n- b", "demo", "5", "2020-01-01", "!!set {a, b}"])
def test_a_file_without_sections_is_refused(text):
    assert "expected sections" in refused(read, text).message


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.system ['true']",
        "data: !secret {name: demo}",
        "a: 2020-13-45",
        "a: 0x_",
        "seed: " + "9" * 5000,
        TEXT + "seed: 0x" + "f" * 5000,
        "[" * 3000,
        "{a: " * 3000,
        "a: 1\n---\nb: 2\n",
        "&a\ndata: *a\n",
        "data: &a {name: *a}\n",
        "? [a, b]\n: 3\n",
        "<<: 3\n",
        "\ud800",
    ],
)
def test_unusual_yaml_is_refused_with_the_name_of_the_file(text):
    message = refused(read, text).message
    assert message.startswith("mine.yaml")
    assert len(message) < 400


def test_nested_aliases_are_not_expanded_in_messages():
    lines = ["x0: &x0 [y, y, y, y, y, y, y, y, y]"]
    lines += [f"x{i + 1}: &x{i + 1} [{', '.join([f'*x{i}'] * 9)}]" for i in range(12)]
    nested = yaml.safe_load("\n".join(lines))
    error = refused(lambda: with_("model", units=nested["x12"]))
    assert len(error.message) < 200


def _bomb(depth, start="{name: demo, limit: 3}"):
    lines = [f"x0: &x0 {start}"]
    lines += [f"x{i + 1}: &x{i + 1} {{<<: [*x{i}, *x{i}]}}" for i in range(depth)]
    return "\n".join([*lines, f"data: {{<<: *x{depth}}}", ""])


@pytest.mark.parametrize("depth", [3, 12, 40, 400])
def test_nested_merges_are_read_or_refused_within_limits(depth, tmp_path):
    path = tmp_path / "bomb.yaml"
    path.write_text(_bomb(depth))
    with bounded():
        # PyYAML expands every merge in some versions, and each key once since 6.0.4.
        try:
            assert configs.read_settings(path)["data"] == {"name": "demo", "limit": 3}
        except LstmError as error:
            assert error.exit_code == ExitCode.USAGE
            assert error.message.startswith(f"{path}, line ")
            assert len(error.message) < len(str(path)) + 200
        value = ", ".join(line.partition(": ")[2] for line in _bomb(depth).splitlines()[:-1])
        try:
            merged = configs.parse_overrides([f"data=[{value}]"])["data"][-1]
            assert merged == {"name": "demo", "limit": 3}
        except LstmError as error:
            assert error.exit_code == ExitCode.USAGE
            assert "data" in error.message
            assert len(error.message) < 400


def _keys(count):
    return "{" + ", ".join(f"k{i:x}" for i in range(count)) + "}"


@pytest.mark.parametrize(
    "text",
    [
        f"x: &x {_keys(4500)}\ndata: {{<<: [{','.join(['*x'] * 9000)}]}}\n",
        f"x: &x {_keys(900)}\n" + "".join(f"b{i}: {{<<: [{'*x,' * 900}]}}\n" for i in range(15)),
        f"x: &x {_keys(900)}\ny:\n" + "- <<: *x\n" * 5000,
        "x: &x {}\ndata:\n  <<:\n" + "  - *x\n" * 8000,
    ],
)
def test_too_many_merges_are_refused_before_they_are_copied(text, tmp_path):
    (tmp_path / "wide.yaml").write_text(text)
    with bounded():
        error = refused(configs.read_settings, tmp_path / "wide.yaml")
        assert "over 1,000 settings merged by reference" in error.message


def test_a_mapping_merged_into_itself_is_refused():
    error = refused(read, TEXT + "model: &m {<<: *m, units: 3}\n")
    assert "mine.yaml, line 4" in error.message
    assert "merged into itself" in error.message


@contextmanager
def bounded():
    """Fail if a block takes 5 s of processor time or 100 MB of memory."""
    peak, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with within(60):
        yield
    assert time.process_time() - began < 5
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak
    assert grown < (100 << 20 if sys.platform == "darwin" else 100 << 10)


def test_a_merged_mapping_can_be_changed():
    merged = "base: &base {units: 8, layers: 2}\nmodel: &m {<<: *base, units: 9}\n"
    parsed = parse_mapping(merged + "more: {below: {<<: *m, units: 3}}\n", "mine.yaml")
    assert parsed["model"] == {"units": 9, "layers": 2}
    assert parsed["more"]["below"] == {"units": 3, "layers": 2}


def test_a_file_too_large_for_settings_is_not_parsed(tmp_path):
    (tmp_path / "large.yaml").write_text(TEXT + "#" * (64 << 10))
    error = refused(configs.read_settings, tmp_path / "large.yaml")
    assert "large.yaml is larger than 65,536 bytes" in error.message
    with within(5):
        assert "larger" in refused(configs.read_settings, Path("/dev/zero")).message


@pytest.mark.parametrize("template", ["{}", "{}=3", "seed=[{}", "seed={}"])
def test_long_arguments_are_shortened_in_messages(template):
    long = [template.format("w" * 50_000)]
    error = refused(lambda: configs.load_preset("demo", configs.parse_overrides(long)))
    assert len(error.message) < 300
    assert "www" in error.message


def test_long_keys_are_shortened_in_messages():
    assert len(refused(read, TEXT + "w" * 60_000 + ": 3\n").message) < 300
    twice = f"? {'w' * 9000}\n: 3\n"
    assert len(refused(read, twice + twice).message) < 300


def test_many_keys_are_not_counted_as_merged():
    text = "\n".join(f"k{i}: 1" for i in range(2000))
    assert "no setting 'k0'" in refused(read, text).message


@pytest.mark.parametrize("text", ["[" * 20_000, '{"a":' * 12_000, "[\n" * 20_000, "{" * 60_000])
def test_deep_nesting_is_refused_at_once(text):
    began = time.process_time()
    assert "over 1,000 lists and mappings" in refused(read, text).message
    refused(configs.parse_overrides, [f"seed={text}"])
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize("value", ["!!bool x", "!!timestamp x", "!!int ''", "!!float x", "!!int x"])
def test_a_value_that_does_not_match_its_tag_is_refused(value):
    assert "mine.yaml" in refused(read, f"{TEXT}seed: {value}\n").message
    assert "seed" in refused(configs.parse_overrides, [f"seed={value}"]).message


@relaxed
@given(st.text(st.characters(exclude_categories=()), max_size=200))
def test_any_text_is_settings_or_a_clear_error(text):
    _settings_or_refused(text)


@relaxed
@given(
    st.text(st.sampled_from("dataextmbdingfrupsl:{}[],&*!?<|>-# \n'\"%@`~.0159=\t\\"), max_size=60)
)
def test_any_yaml_punctuation_is_settings_or_a_clear_error(text):
    _settings_or_refused(text)
    _settings_or_refused(TEXT + text)
    _settings_or_refused(f"data: {{name: demo}}\ntrain:\n  {text}")


def _settings_or_refused(text):
    try:
        assert isinstance(read(text), Config)
    except LstmError as error:
        assert error.message.startswith("mine.yaml")


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.dates()
VALUES = st.recursive(
    SCALARS, lambda v: st.lists(v, max_size=3) | st.dictionaries(SCALARS, v, max_size=3)
)


@relaxed
@given(st.sampled_from(configs.all_keys()), VALUES)
def test_any_value_of_any_setting_is_accepted_or_refused_by_name(key, value):
    try:
        config = configs.load_preset("demo", {key: value})
    except LstmError as error:
        assert key.split(".")[0] in error.message
    else:
        assert read(configs.to_yaml(config)) == config
        json.dumps(configs.to_dict(config), allow_nan=False)


@pytest.mark.parametrize("missing", ["text", "embedding"])
def test_a_text_classifier_needs_its_two_sections(missing):
    nested = {"data": {"name": "demo"}, "text": {}, "embedding": {}}
    del nested[missing]
    assert f"'{missing}:'" in refused(configs.from_dict, nested).message


@pytest.mark.parametrize("extra", ["text", "embedding"])
def test_image_and_text_settings_cannot_be_combined(extra):
    nested = {"data": {"name": "digits"}, "image": {}, extra: {}}
    assert f"'{extra}:'" in refused(configs.from_dict, nested).message


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"window": 2, "stride": 3}, "image.stride expects at most image.window, 2; found 3"),
        ({"window": 9, "size": [8, 30]}, "at most the rows of image.size, 8; found 9"),
    ],
)
def test_steps_that_cannot_read_all_rows_are_refused(settings, part):
    nested = {"data": {"name": "digits"}, "image": settings}
    assert part in refused(configs.from_dict, nested).message


def test_settings_without_data_are_refused():
    assert "data" in refused(configs.from_dict, {"text": {}, "embedding": {}}).message


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("model.units=64", {"model.units": 64}),
        ("model.bidirectional=false", {"model.bidirectional": False}),
        ("data.limit=null", {"data.limit": None}),
        ("data.test_file=a=b.csv", {"data.test_file": "a=b.csv"}),
        (" seed =3", {"seed": 3}),
        ("data.label_column='a: b'", {"data.label_column": "a: b"}),
    ],
)
def test_overrides_are_read_as_yaml_values(assignment, expected):
    assert configs.parse_overrides([assignment]) == expected


@pytest.mark.parametrize("assignment", ["", "model.units", "=3", " =3"])
def test_an_override_without_key_or_value_is_refused(assignment):
    error = refused(configs.parse_overrides, [assignment])
    assert "KEY=VALUE" in error.message
    assert "--set" in error.hint


@pytest.mark.parametrize(
    "value", ["[1", "a: b: c", "2020-13-45", "0x_", "[" * 3000, "\0", "{a: 1, a: 2}"]
)
def test_an_override_that_is_not_yaml_is_refused(value):
    assert "seed" in refused(configs.parse_overrides, [f"seed={value}"]).message


@pytest.mark.parametrize("key", ["model.regions", "embedding.region_widths"])
def test_a_width_of_regions_occurs_once(key):
    section, _, name = key.partition(".")
    assert getattr(getattr(configs.load_preset("demo", {key: [3, 2]}), section), name) == (3, 2)
    error = refused(configs.load_preset, "demo", {key: [2, 3, 2]})
    assert (error.exit_code, f"--set {key}=[2, 3]" in error.hint) == (2, True)
    assert key in error.message
    assert "0" in refused(configs.load_preset, "demo", {key: [0]}).message


def test_lists_are_described_with_the_type_of_their_parts():
    types = [setting.type for key in ("model.regions", "data.text_columns") for (setting,) in
             describe(key).values()]  # fmt: skip
    assert types == ["list of integers, 1 to 16", "list of texts"]


def test_the_schema_is_json_and_describes_every_setting():
    schema = json.loads(json.dumps(configs.json_schema(), allow_nan=False))
    sections = schema["$defs"]["Config"]["properties"]
    keys = []
    for name, section in sections.items():
        target = section.get("$ref") or next(
            (option["$ref"] for option in section.get("anyOf", []) if "$ref" in option), None
        )
        below = schema["$defs"][target.rsplit("/", 1)[1]]["properties"] if target else {}
        keys += [f"{name}.{key}" for key in below] or [name]
    assert sorted(keys) == sorted(configs.all_keys())
    assert schema["$defs"]["Config"]["additionalProperties"] is False


def test_settings_are_immutable():
    config = configs.load_preset("demo")
    with pytest.raises(AttributeError):
        config.model.units = 3
    assert isinstance(config, msgspec.Struct)


def test_paths_beside_the_data_set_are_absolute_from_the_start(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in "abc":
        (tmp_path / f"{name}.csv").write_text("text,label\n")
    (tmp_path / "link.csv").symlink_to("a.csv")
    config = dataset_settings(
        "link.csv", None, {"data.test_file": "b.csv", "data.validation_file": "sub/../c.csv"}
    )
    assert config.data.name == str(tmp_path / "a.csv")
    assert config.data.test_file == str(tmp_path / "b.csv")
    assert config.data.validation_file == str(tmp_path / "c.csv")
