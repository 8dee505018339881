from __future__ import annotations

import copy
import shlex

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from lstm_cli.evaluation import metrics
from lstm_cli.io.text_format import clean
from lstm_cli.report.model_card import escape, model_card

GFM = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def scored(num, num_classes, names, seed=0):
    generator = np.random.default_rng(seed)
    labels = (np.arange(num) % num_classes).astype(np.int32)
    logits = generator.normal(size=(num, num_classes))
    logits[np.arange(num), labels] += 3.0
    exp = np.exp(logits)
    probabilities = (exp / exp.sum(axis=1, keepdims=True)).astype(np.float32)
    return metrics.compute(labels, probabilities, tuple(names)).to_dict()


def text_run(labels=("neg", "pos"), **changes):
    run = {
        "name": "imdb/20261121-2148-ab12",
        "dataset": {
            "name": "imdb",
            "source": "TFDS imdb_reviews/plain_text 1.0.0",
            "kind": "text",
            "labels": list(labels),
            "sizes": {"train": 22_500, "validation": 2_500},
            "notes": ["3 rows without a label were skipped"],
        },
        "config": {
            "data": {"name": "imdb"},
            "text": {"vocab_size": 30_000, "max_tokens": 301},
            "embedding": {"dim": 64, "bigram_buckets": 200_000, "bigram_dim": 32},
            "image": None,
            "model": {"units": 48, "layers": 1, "bidirectional": True, "pooling": "max"},
        },
        "parameters": 8_363_137,
        "command": "lstm train imdb --seed 7",
        "seed": 7,
        "epochs": 3,
        "best_epoch": 2,
        "seconds": 185.2,
        "device": "cpu",
        "kernel": "TF while loop",
        "metrics": {
            "validation": scored(300, len(labels), labels, seed=1),
            "test": scored(500, len(labels), labels, seed=2),
        },
        "plots": ["curves.png", "confusion.png", "a b.png"],
        "versions": {"python": "3.11.7", "lstm-cli": "0.1.0"},
    }
    return run | changes


def image_run():
    run = text_run(labels=[str(i) for i in range(10)])
    run["dataset"] |= {"name": "mnist", "kind": "image", "notes": []}
    run["config"] |= {
        "text": None,
        "embedding": None,
        "image": {"shift": 1},
        "model": {"units": 128, "layers": 2, "bidirectional": False, "pooling": "max_mean"},
    }
    return run


def tokens(card, kind):
    """Every Markdown token of a kind, nested ones included."""
    flat = [inner for token in GFM.parse(card) for inner in [token, *(token.children or [])]]
    return [token for token in flat if token.type == kind]


def shown(card):
    """What a reader sees of a card, without markup."""
    return " ".join(t.content for kind in ("text", "fence") for t in tokens(card, kind))


def test_a_card_has_its_sections_in_order():
    headings = [
        token.children[0].content
        for before, token in zip(
            GFM.parse(model_card(text_run())), GFM.parse(model_card(text_run()))[1:], strict=False
        )
        if before.type == "heading_open"
    ]
    assert headings == [
        "imdb/20261121-2148-ab12",
        "Data",
        "Model",
        "Training",
        "Results",
        "Use",
        "Limits",
        "Versions",
    ]


def test_the_summary_gives_test_accuracy_with_interval_and_baseline():
    run = text_run()
    test = run["metrics"]["test"]
    low, high = test["accuracy_interval"]
    summary = model_card(run).split("\n\n")[1]
    assert f"**{test['accuracy']:.1%}** of 500 test examples" in summary
    assert f"{low:.1%} to {high:.1%}" in summary
    assert "would be on 50.0%" in summary
    assert "sorts texts into neg and pos, trained on imdb" in summary


def test_results_stand_side_by_side_for_validation_and_test():
    run = text_run()
    card = model_card(run)
    validation, test = run["metrics"]["validation"], run["metrics"]["test"]
    assert "|  | validation | test |" in card
    assert f"| accuracy | {validation['accuracy']:.4f} | {test['accuracy']:.4f} |" in card
    for key, row in (
        ("loss", "loss (nats)"),
        ("precision", "precision, mean of classes"),
        ("recall", "recall, mean of classes"),
        ("f1", "F1, mean of classes"),
        ("roc_auc", "area under the ROC curve"),
        ("calibration_error", "calibration error"),
        ("baseline_accuracy", "always the commonest class"),
    ):
        assert f"| {row} | {validation[key]:.4f} | {test[key]:.4f} |" in card
    assert "| examples | 300 | 500 |" in card
    pos = test["classes"][1]
    assert f"| pos | {pos['precision']:.3f} | {pos['recall']:.3f} | {pos['f1']:.3f} | 250 |" in card


def test_the_data_is_named_with_source_sizes_classes_and_notes():
    card = shown(model_card(text_run()))
    assert "Source: TFDS imdb_reviews/plain_text 1.0.0" in card
    assert "Classes: neg, pos" in card
    assert "3 rows without a label were skipped" in card
    markdown = model_card(text_run())
    for row in ("| train | 22,500 |", "| validation | 2,500 |", "| test | 500 |"):
        assert row in markdown


def test_the_text_model_is_one_sentence():
    assert (
        "Word vectors of 64 numbers, with 32 more for each pair of neighbouring words, go through "
        "an LSTM of 48 units in each of two directions; the largest output of each unit over all "
        "words is kept, and a sigmoid unit makes probabilities of it. There are 8,363,137 "
        "parameters."
    ) in model_card(text_run())


def test_the_image_model_is_one_sentence():
    assert (
        "The rows of an image, from top to bottom, go through 2 LSTM layers, each of 128 units; "
        "the largest and the mean output of each unit over all rows are kept, and a softmax over "
        "10 classes makes probabilities of it."
    ) in model_card(image_run())


@pytest.mark.parametrize("pooling", ["last", "max", "mean", "max_mean"])
def test_every_pooling_has_words(pooling):
    run = text_run()
    run["config"]["model"]["pooling"] = pooling
    assert "{step}" not in model_card(run)
    assert "output" in model_card(run).split("## Model")[1].split("## Training")[0]


def test_training_can_be_repeated_from_the_card():
    card = model_card(text_run())
    assert "```sh\nlstm train imdb --seed 7\n```" in card
    assert "3 epochs; the weights are those of epoch 2" in card
    assert "3 min 05 s for the whole command, on cpu (TF while loop), with seed 7" in card
    assert "python 3.11.7, lstm-cli 0.1.0" in card
    links = [token.attrs["href"] for token in tokens(card, "link_open")]
    assert links == ["config.yaml", "history.jsonl"]


def test_plots_are_embedded_by_relative_path_where_they_belong():
    images = tokens(model_card(text_run()), "image")
    assert [i.attrs["src"] for i in images] == [
        "plots/curves.png",
        "plots/confusion.png",
        "plots/a%20b.png",
    ]
    assert all(image.content for image in images)
    training = model_card(text_run()).split("## Results")[0]
    assert "curves.png" in training
    assert "confusion.png" not in training


def test_python_on_the_card_is_python_and_loads_this_run():
    for run in (text_run(name='we"ird/$run\\'), image_run()):
        card = model_card(run)
        (code,) = (t.content for t in tokens(card, "fence") if t.info == "python")
        compile(code, "card", "exec")
        assert "lstm_cli.load(" in code


@pytest.mark.parametrize(
    ("run", "typed"),
    [(text_run(name="it's $HOME"), "A text to classify."), (image_run(), "picture.png")],
)
def test_the_command_on_the_card_names_this_run(run, typed):
    shell = [t.content for t in tokens(model_card(run), "fence") if t.info == "sh"][-1]
    assert shlex.split(shell) == ["lstm", "predict", "--run", run["name"], typed]


def test_a_text_run_says_what_is_cut_and_an_image_run_does_not():
    assert "more than 301 tokens it reads the first 151 and the last 150" in model_card(text_run())
    assert "tokens" not in model_card(image_run())


@pytest.mark.parametrize(
    ("confidence", "words"),
    [(0.99, "too sure of itself"), (0.8, "about as sure"), (0.6, "less sure than it could be")],
)
def test_the_card_says_which_way_probabilities_lean(confidence, words):
    labels = np.asarray([1, 1, 1, 1, 0] * 20, np.int32)
    probabilities = np.tile(np.asarray([1 - confidence, confidence], np.float32), (100, 1))
    run = text_run()
    run["metrics"]["test"] = metrics.compute(labels, probabilities, ("neg", "pos")).to_dict()
    assert words in model_card(run)
    assert f"off by {abs(confidence - 0.8):.3f} on average on test" in model_card(run)


@pytest.mark.parametrize("missing", ["none", "absent"])
def test_without_a_test_split_the_card_says_that_figures_flatter(missing):
    run = text_run()
    if missing == "none":
        run["metrics"]["test"] = None
    else:
        del run["metrics"]["test"]
    card = model_card(run)
    assert "There was no test split" in card
    assert "300 validation examples" in card
    assert "|  | validation |\n| --- | ---: |" in card
    assert "There was no test split" not in model_card(text_run())


def test_classes_with_few_examples_are_named():
    few = text_run(labels=[f"c{i}" for i in range(25)])
    assert "Fewer than 30 test examples, so scores that say little: c0, c1," in model_card(few)
    assert "Fewer than 30" not in model_card(text_run())


def test_many_classes_are_counted_instead_of_listed():
    card = model_card(text_run(labels=[f"c{i}" for i in range(40)]))
    assert "c29 and 10 more" in card
    assert "| c3 |" not in card
    assert "into 40 classes" in card


def test_a_metric_without_a_value_says_why():
    run = text_run()
    run["metrics"]["test"] |= {"roc_auc": None, "roc_auc_reason": "no example of 'neg'"}
    assert "none: no example of 'neg' |" in model_card(run)


def test_the_card_leaves_the_run_as_it_was():
    run = text_run()
    before = copy.deepcopy(run)
    model_card(run)
    assert run == before


MARKUP = (
    *("link_open", "image", "html_inline", "html_block", "em_open", "strong_open", "s_open"),
    *("code_inline", "fence", "heading_open", "tr_open", "td_open", "list_item_open"),
)
HOSTILE = "[x](javascript:alert(1)) <b>|*_`~~\n# $m$ &amp; \\ www.a.b http://a.b\x1b[31m ![i](j)"


def test_hostile_names_stay_text():
    run = text_run(labels=[HOSTILE, "- item"], name=HOSTILE, command=f"lstm ```\n{HOSTILE}")
    run["dataset"] |= {"name": HOSTILE, "source": HOSTILE, "notes": [HOSTILE, "1. one", "# two"]}
    run["device"] = run["kernel"] = HOSTILE
    run["versions"] = {HOSTILE: HOSTILE}
    tame = model_card(text_run())
    card = model_card(run)
    for kind in MARKUP:
        extra = 2 if kind == "list_item_open" else 0  # two more notes
        assert len(tokens(card, kind)) == len(tokens(tame, kind)) + extra, kind
    assert "\x1b" not in card


@given(st.one_of(st.text(), st.text("_*ab `[]()<>\\|~!#-+=.1:/&;\n\t$")))
@example("_a_ __b__ a_b _ a__b *c* ~~d~~ `e`")
@example("- a")
@example("1. a")
@example("12) a")
@example("=== ")
@example("# a #")
@example("a\\")
@example("\\!")
@example("[a]: b")
@example("&lt;b&gt; <i>")
def test_escaped_data_shows_as_it_is_in_a_line_a_cell_and_a_heading(text):
    expected = " ".join(clean(text).split())
    escaped = escape(text)
    for card in (escaped, f"| a | b |\n| --- | --- |\n| {escaped} | c |", f"# {escaped}"):
        seen = "".join(t.content for t in tokens(card, "text") if t.content)
        if card.startswith("|"):
            assert seen == f"ab{expected}c"
            assert len(tokens(card, "td_open")) == 2
        else:
            assert seen == expected


def test_bare_addresses_do_not_become_links():
    # GitHub looks for "://" and "www." as written.
    assert escape("see http://a.b, WWW.a.b, wwww.b") == r"see http:\//a.b, WWW\.a.b, wwww.b"
