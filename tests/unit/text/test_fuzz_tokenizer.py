"""Fuzz tests of the tokenizer and the settings: each input gives a value or a clear error.

`pytest -s` prints the number of inputs; `-m slow` runs 5,000 of each kind.
"""

from __future__ import annotations

import json

import msgspec
import numpy as np
import pytest
from fixtures_fuzz import CHUNKS, FEW, MANY, any_bytes, fuzz
from hypothesis import strategies as st

from lstm_cli.config import load as configs
from lstm_cli.config.schema import Config, TextSettings
from lstm_cli.errors import LstmError
from lstm_cli.text import tokenizer_json
from lstm_cli.text.normalization import normalize
from lstm_cli.text.token_ids import UNKNOWN_ID
from lstm_cli.text.tokenizer import Tokenizer, token_spans

NUMS = [FEW, pytest.param(MANY, marks=pytest.mark.slow)]
# With lone surrogates: this is how Python represents undecodable bytes of the command line.
ANYTHING = st.text(st.characters(exclude_categories=()), max_size=40)
KNOWN = ["a", "fine", "film", "Film", "don't", "don’t", "<br />", "<BR/>", "[PAD]", "[UNK]", "映画"]
KNOWN += [
    "İstanbul",
    "ß",
    "ﬁne",
    "e\u0301",
    "🎬",
    "👩‍👧",
    "한국어",
    "\u202e",
    "\0",
    "\ud800",
    "，",
    "''",
]
WORDS = st.lists(st.sampled_from(KNOWN), max_size=12).map(" ".join)
TEXTS = ANYTHING | WORDS | WORDS


# The tokenizer


@pytest.mark.parametrize("num", NUMS)
def test_a_tokenizer_of_any_texts_encodes_any_texts(num):
    strategy = st.tuples(
        st.lists(st.one_of(st.just(""), TEXTS), max_size=6),
        st.lists(TEXTS, max_size=5),
        st.builds(
            TextSettings,
            vocab_size=st.sampled_from([3, 5, 65_536]),
            min_count=st.sampled_from([1, 1, 2, 5]),
            max_tokens=st.sampled_from([1, 2, 7, 400]),
        ),
    )

    def read(drawn):
        known, texts, settings = drawn
        tokenizer = Tokenizer.fit(known, settings)
        assert 2 < tokenizer.vocab_size <= settings.vocab_size
        encodings = _check_encodings(tokenizer, texts + known)
        _check_saved(tokenizer, settings, texts + known, encodings)

    fuzz("tokenizer", strategy, read, num)


def _check_encodings(tokenizer, texts):
    """Check ids, counts and spans of texts."""
    encodings = tokenizer.encode(texts)
    assert len(encodings) == len(texts)
    for text, encoding in zip(texts, encodings, strict=True):
        ids = encoding.ids
        assert ids.dtype == np.int32
        assert 1 <= len(ids) <= tokenizer.max_tokens
        assert 0 < ids.min() <= ids.max() < tokenizer.vocab_size
        assert encoding.truncated == (encoding.num_tokens > tokenizer.max_tokens)
        assert len(ids) == max(1, min(encoding.num_tokens, tokenizer.max_tokens))
        assert 0 <= encoding.num_unknown <= encoding.num_tokens
        assert 0 <= encoding.unknown_fraction <= 1
        _check_spans(tokenizer, text, encoding)
        alone = tokenizer.encode([text])[0]
        assert alone.ids.tolist() == ids.tolist()
    return encodings


def _check_spans(tokenizer, text, encoding):
    spans = token_spans(text)
    assert len(spans) == encoding.num_tokens
    previous_start = 0
    for start, end in spans:
        assert previous_start <= start <= end <= len(text)
        previous_start = start
    kept = tokenizer.kept_positions(encoding.num_tokens).tolist()
    assert kept == sorted(set(kept))
    assert all(0 <= position < encoding.num_tokens for position in kept)
    for position, token_id in zip(kept, encoding.ids.tolist(), strict=False):
        start, end = spans[position]
        assert token_id == UNKNOWN_ID or tokenizer.id_to_token(token_id) in normalize(
            text[start:end]
        )


def _check_saved(tokenizer, settings, texts, encodings):
    """Check that the saved tokenizer encodes like the original."""
    loaded = tokenizer_json.read(tokenizer_json.write(tokenizer).encode(), settings)
    for found, expected in zip(loaded.encode(texts), encodings, strict=True):
        assert found.ids.tolist() == expected.ids.tolist()


TOKENIZER = Tokenizer.fit(["a fine film, a dull film", "don't"], TextSettings(min_count=1))
SETTINGS = TextSettings(min_count=1)


@st.composite
def vocabularies(draw):
    """A tokenizer.json, sometimes with another vocabulary."""
    saved = json.loads(tokenizer_json.write(TOKENIZER))
    if draw(st.booleans()):
        words = draw(st.lists(TEXTS, max_size=6, unique=True))
        words = ["[PAD]", "[UNK]", *(word for word in words if word not in ("[PAD]", "[UNK]"))]
        saved["model"]["vocab"] = {word: number for number, word in enumerate(words)}
    return json.dumps(saved, ensure_ascii=draw(st.booleans()))


@pytest.mark.parametrize("num", NUMS)
def test_any_tokenizer_json_is_read_or_refused(num):
    def read(content):
        try:
            found = tokenizer_json.read(content, SETTINGS)
        except ValueError as error:
            raise LstmError(f"tokenizer.json {error}") from None
        found.encode(["a fine film", "", "映画"])

    whole = vocabularies().map(lambda text: text.encode("utf-8", "replace"))
    fuzz("tokenizer.json", whole | any_bytes(vocabularies()), read, num)


# Settings


SCALARS = ["3", "0.5", "true", "null", "~", "demo", "2e-3", "1e-3", "'x'", '"\\x41"', "-1", "1e999"]
SCALARS += [".nan", "-.inf", "0x1f", "0b1", "1_000", "1:30", "2020-01-01", "2020-13-45", "!!bool x"]
SCALARS += ["!!int x", "!!binary x", "!!timestamp x", "!!set {a}", "!!omap [a]", "*a", "&a 3", "<<"]
SCALARS += ["[" * 20_000, "{a: " * 3000, "!!int ''", "!!float x", "&a [*a]", "{<<: {a: 1}}"]
SCALARS += ["[1, 2]", "{a: 1}", "[", "{", "&b {units: 3}", "*b", "cosine", "none", "max", "", "? a"]
SCALARS += ["9" * 30, "9" * 5000, "\ud800", "\0", "naïve", "!!python/object:os.system x", "!x y"]
GOOD = {
    "data.limit": "30", "data.validation_fraction": "0.2", "text.vocab_size": "500",
    "text.min_count": "1",
    "embedding.dim": "8", "embedding.dropout": "0.1", "model.units": "5", "model.pooling": "mean",
    "model.bidirectional": "no", "train.epochs": "3", "train.decay": "linear", "seed": "7",
    "train.learning_rate": "0.001", "train.deterministic": "false", "data.test_file": "'a b.csv'",
}  # fmt: skip


@st.composite
def assignments(draw, good=14):
    """A dotted key with a value, mostly valid."""
    if draw(st.integers(0, good)):
        key = draw(st.sampled_from(sorted(GOOD)))
        return key, GOOD[key]
    key = draw(st.sampled_from([*configs.all_keys(), "model", "", "data", "model.", "a.b.c", "é"]))
    return key, draw(st.sampled_from(SCALARS) | st.sampled_from(SCALARS) | ANYTHING)


@st.composite
def yamls(draw):
    """A settings file in block style, in flow style, or with merged mappings."""
    sections = {}
    for key, value in draw(st.lists(assignments(), max_size=6)):
        section, _, name = key.rpartition(".")
        sections.setdefault(section, {})[name] = value
    lines = []
    for section, values in sections.items():
        flow = draw(st.integers(0, 3)) == 0
        if not section:
            lines += [f"{name}: {value}" for name, value in values.items()]
        elif flow:
            inside = ", ".join(f"{name}: {value}" for name, value in values.items())
            lines.append(f"{section}: {{{inside}}}")
        else:
            lines += [f"{section}:", *(f"  {name}: {value}" for name, value in values.items())]
    if draw(st.integers(0, 7)) == 0:
        depth = draw(st.integers(0, 40))
        lines.insert(0, "x0: &x0 {name: demo}")
        lines[1:1] = [f"x{i + 1}: &x{i + 1} {{<<: [*x{i}, *x{i}]}}" for i in range(depth)]
    return "\n".join(lines) + draw(st.sampled_from(["\n", "", "\n...\n", "\r\n"]))


def _check(config):
    assert isinstance(config, Config)
    text = configs.to_yaml(config)
    assert configs.from_yaml(text, "again") == config
    json.dumps(configs.to_dict(config), allow_nan=False)
    assert msgspec.convert(configs.to_dict(config), Config) == config


@pytest.mark.parametrize("num", NUMS)
def test_any_settings_file_is_read_or_refused(num, tmp_path):
    demo, digits = configs.preset_dict("demo"), configs.preset_dict("digits")
    path = tmp_path / "mine.yaml"
    whole = st.sampled_from([configs.preset_text(name) for name in configs.preset_names()])

    def read(content):
        path.write_bytes(content)
        base = digits if b"\nimage:" in content else demo
        _check(configs.load_file(path, base, {}))

    fuzz("--config FILE", any_bytes(yamls() | yamls() | whole), read, num)


@st.composite
def set_arguments(draw):
    """Arguments of `--set`, mostly valid."""
    arguments = []
    for key, value in draw(st.lists(assignments(good=3), min_size=1, max_size=3)):
        mark = draw(st.sampled_from(["=", "=", "=", "=", "=", "=", " = ", "", "=="]))
        arguments.append(f"{key}{mark}{value}")
    if draw(st.integers(0, 9)) == 0:
        arguments.append(draw(st.sampled_from(CHUNKS)).decode("utf-8", "surrogateescape"))
    return arguments


@pytest.mark.parametrize("num", NUMS)
def test_any_set_arguments_are_settings_or_refused(num):
    def read(arguments):
        _check(configs.load_preset("demo", configs.parse_overrides(arguments)))

    fuzz("--set KEY=VALUE", set_arguments(), read, num)
