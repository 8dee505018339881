from __future__ import annotations

import copy
import shlex
from dataclasses import replace

import numpy as np
import pytest
from fixtures_runs import image_config, text_config
from markdown_it import MarkdownIt

from lstm_cli.evaluation import metrics
from lstm_cli.report.metric_rows import metric_rows
from lstm_cli.report.model_card import language_card, model_card
from lstm_cli.runs.metrics_schema import BaselineScores

GFM = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def scored(num, num_classes, names, seed=0):
    generator = np.random.default_rng(seed)
    labels = (np.arange(num) % num_classes).astype(np.int32)
    logits = generator.normal(size=(num, num_classes))
    logits[np.arange(num), labels] += 3.0
    exp = np.exp(logits)
    probabilities = (exp / exp.sum(axis=1, keepdims=True)).astype(np.float32)
    return metrics.compute(labels, probabilities, tuple(names))


def text_run(labels=("neg", "pos"), **changes):
    run = {
        "name": "imdb/20261121-2148-ab12",
        "dataset": {
            "name": "imdb",
            "source": "TFDS imdb_reviews/plain_text 1.0.0",
            "kind": "text",
            "labels": list(labels),
            "sizes": {"train": 22_500, "validation": 300, "test": 500},
            "notes": ["3 rows without a label were skipped"],
        },
        "config": text_config(
            data__name="imdb",
            text__max_tokens=301,
            embedding__dim=64,
            embedding__bigram_buckets=200_000,
            embedding__bigram_dim=32,
            model__units=48,
            model__bidirectional=True,
            model__pooling="max",
        ),
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


def image_run(**overrides):
    run = text_run(labels=[str(i) for i in range(10)])
    run["dataset"] |= {"name": "mnist", "kind": "image", "notes": []}
    run["config"] = image_config(
        model__units=128,
        model__layers=2,
        model__bidirectional=False,
        model__pooling="max_mean",
        **overrides,
    )
    return run


def tokens(card, kind):
    """Return every Markdown token of a kind, nested ones included."""
    flat = [inner for token in GFM.parse(card) for inner in [token, *(token.children or [])]]
    return [token for token in flat if token.type == kind]


def shown(card):
    """Return what a reader sees of a card, without markup."""
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


def test_the_summary_has_test_accuracy_with_interval_and_baseline():
    run = text_run()
    test = run["metrics"]["test"]
    low, high = test.accuracy_interval
    summary = model_card(run).split("\n\n")[1]
    assert f"500 test examples is **{test.accuracy:.1%}**" in summary
    assert f"{low:.1%} to {high:.1%}" in summary
    assert "50.0%" in summary
    assert "texts as neg or pos, trained on imdb" in summary


def test_only_epoch_is_described():
    sentence = "One epoch was trained: loss 0.1."
    assert sentence in model_card({**text_run(), "only_epoch": sentence})
    assert "One epoch" not in model_card(text_run())


def test_baselines_are_in_the_summary():
    run = text_run()
    summary = model_card(run).split("\n\n")[1]
    assert "linear part" not in summary
    test = replace(run["metrics"]["test"], linear=BaselineScores(accuracy=0.625, f1=0.6))
    summary = model_card({**run, "metrics": {**run["metrics"], "test": test}}).split("\n\n")[1]
    assert "Its linear part alone has an accuracy of 62.5%." in summary
    assert "Always predicting the most common class would reach 50.0%." in summary


def test_results_are_side_by_side_for_validation_and_test():
    run = text_run()
    card = model_card(run)
    validation, test = run["metrics"]["validation"], run["metrics"]["test"]
    assert "|  | validation | test |" in card
    assert "| examples | 300 | 500 |" in card
    for row in metric_rows(validation, test):
        assert f"| {row.label} | {row.cell(validation)} | {row.cell(test)} |" in card
    pos = test.classes[1]
    assert f"| pos | {pos.precision:.3f} | {pos.recall:.3f} | {pos.f1:.3f} | 250 |" in card


def test_the_data_is_named_with_source_sizes_classes_and_notes():
    card = shown(model_card(text_run()))
    assert "Source: TFDS imdb_reviews/plain_text 1.0.0" in card
    assert "Classes: neg, pos" in card
    assert "3 rows without a label were skipped" in card
    markdown = model_card(text_run())
    for row in ("| train | 22,500 |", "| validation | 300 |", "| test | 500 |"):
        assert row in markdown


def section(card, heading):
    return card.split(f"## {heading}\n")[1].split("\n## ")[0]


def test_a_text_model_is_described():
    model = section(model_card(text_run()), "Model")
    for fact in ("64 values", "32 more", "bigram", "1 LSTM layer with 48 units", "two directions"):
        assert fact in model
    for fact in ("the maximum of each unit over all words is", "sigmoid", "8,363,137 parameters"):
        assert fact in model
    assert "linear" not in model


def test_an_image_model_is_described():
    model = section(model_card(image_run()), "Model")
    for fact in ("row by row", "2 LSTM layers with 128 units.", "softmax over 10 classes"):
        assert fact in model
    assert "the maximum and the mean of each unit over all rows are" in model
    assert "bigram" not in model


def test_an_image_model_that_reads_several_rows_a_step_is_described():
    model = section(model_card(image_run(image__window=4)), "Model")
    assert "in steps of 4 rows" in model
    assert "over all steps are" in model


def test_linear_model_and_peepholes_are_named():
    run = text_run()
    run["config"] = text_config(linear__buckets=1024, model__cell="peephole")
    model = section(model_card(run), "Model")
    assert "linear model" in model
    assert "1 peephole LSTM layer" in model


@pytest.mark.parametrize("pooling", ["last", "max", "mean", "max_mean"])
def test_every_pooling_is_described(pooling):
    run = text_run()
    run["config"] = text_config(model__pooling=pooling)
    assert "outputs, the " in section(model_card(run), "Model")


def test_regions_are_described():
    run = text_run()
    assert "regions" not in section(model_card(run), "Model")
    run["config"] = text_config(model__regions=[2, 3], model__region_units=17)
    model = section(model_card(run), "Model")
    assert "regions of 2, 3 neighbouring words have 17 features" in model


def test_region_embeddings_are_described():
    run = text_run()
    assert "words around it" not in section(model_card(run), "Model")
    run["config"] = text_config(embedding__region_widths=[5, 9], embedding__region_dim=17)
    model = section(model_card(run), "Model")
    assert "17 values for each of 2 regions around it (5, 9 words)" in model


def test_training_can_be_repeated_from_the_card():
    card = model_card(text_run())
    assert "```sh\nlstm train imdb --seed 7\n```" in card
    assert "3 epochs; the weights are those of epoch 2" in card
    assert "3 min 05 s for the whole command, on cpu (TF while loop), with seed 7" in card
    assert "python 3.11.7, lstm-cli 0.1.0" in card
    links = [token.attrs["href"] for token in tokens(card, "link_open")]
    assert links == ["config.yaml", "history.jsonl"]


def test_a_run_started_from_python_has_no_command():
    training = section(model_card(text_run(command=None)), "Training")
    assert "```" not in training
    assert "Python" in training
    assert "None" not in language_card(LANGUAGE_RUN | {"command": None})


def test_plots_are_embedded_by_relative_path_in_their_section():
    images = tokens(model_card(text_run()), "image")
    assert [i.attrs["src"] for i in images] == [
        "plots/curves.png",
        "plots/confusion.png",
        "plots/a%20b.png",
    ]
    assert all(image.content for image in images)
    training = section(model_card(text_run()), "Training")
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


def test_the_card_of_a_text_run_describes_truncation():
    assert "301 tokens it reads the first 151 and the last 150" in model_card(text_run())
    assert "tokens" not in model_card(image_run())


@pytest.mark.parametrize(
    ("confidence", "words"),
    [(0.99, " overconfident"), (0.8, "neither overconfident"), (0.6, " underconfident")],
)
def test_the_card_says_whether_the_model_is_overconfident(confidence, words):
    labels = np.asarray([1, 1, 1, 1, 0] * 20, np.int32)
    probabilities = np.tile(np.asarray([1 - confidence, confidence], np.float32), (100, 1))
    run = text_run()
    run["metrics"]["test"] = metrics.compute(labels, probabilities, ("neg", "pos"))
    assert words in model_card(run)
    assert f"error on test is {abs(confidence - 0.8):.3f}" in model_card(run)


def test_classes_with_few_examples_are_named():
    few = text_run(labels=[f"c{i}" for i in range(25)])
    assert "fewer than 30 test examples" in section(model_card(few), "Limits")
    assert ": c0, c1," in section(model_card(few), "Limits")
    assert "fewer than 30" not in model_card(text_run())


def test_many_classes_are_counted_instead_of_listed():
    card = model_card(text_run(labels=[f"c{i}" for i in range(40)]))
    assert "c29 and 10 more" in card
    assert "40 classes" in card


def test_a_long_label_is_shortened():
    labels = ["x" * 50_000, "y" * 50_000]
    assert len(model_card(text_run(labels=labels))) < 10_000


def test_of_many_classes_those_with_the_lowest_f1_are_listed():
    run = text_run(labels=[f"c{i}" for i in range(40)])
    test = run["metrics"]["test"]
    rows = [line.split(" | ") for line in model_card(run).split("\n") if line.startswith("| c")]
    (start,) = (i for i, row in enumerate(rows) if "classes with the lowest F1" in row[0])
    listed = rows[start + 1 :]
    worst = sorted(scores.f1 for scores in test.classes)[:15]
    assert [row[3] for row in listed] == [f"{f1:.3f}" for f1 in worst]


def test_uneven_classes_are_judged_by_macro_f1():
    labels = np.asarray([0] * 90 + [1] * 10, np.int32)
    probabilities = np.tile(np.asarray([0.9, 0.1], np.float32), (100, 1))
    run = text_run(missed_classes="Class 'pos' is never predicted.")
    run["metrics"]["test"] = metrics.compute(labels, probabilities, ("neg", "pos"))
    card = model_card(run)
    assert "macro F1 on 100 test examples is **0.474**" in card
    assert "accuracy is 90.0%" in card
    assert "Class 'pos' is never predicted." in shown(card)
    assert "macro F1 on" not in model_card(text_run())
    results = section(card, "Results")
    assert results.index("| macro F1 (main figure) |") < results.index("| accuracy |")


def test_a_metric_without_a_value_has_a_reason():
    run = text_run()
    report = run["metrics"]["test"]
    run["metrics"]["test"] = replace(report, roc_auc=None, roc_auc_reason="no example of 'neg'")
    assert "(no example of 'neg') |" in model_card(run)


def test_the_card_does_not_change_the_run():
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


LANGUAGE_RUN = {
    "name": "wiki/lm one",
    "dataset": {
        "name": "wiki",
        "source": "texts <b>",
        "sizes": {"train": 1000, "held_out": 30},
        "words": {"train": 9999, "held_out": 88},
        "unlabeled": 7,
    },
    "held_out": {
        "loss": 1.5,
        "perplexity": 4.48,
        "num_words": 88,
        "unigram_perplexity": 300.0,
        "forward": {"loss": 1.4, "perplexity": 4.06},
    },
    "config": text_config(data__name="wiki"),
    "vocab_size": 30_000,
    "parameters": 123_456,
    "command": "lstm pretrain wiki",
    "seed": 0,
    "epochs": 1,
    "best_epoch": 1,
    "seconds": {"total": 12.2},
    "device": "cpu",
    "kernel": "loop",
    "versions": {"python": "3.11", "keras": "3.15"},
}


def test_the_card_of_a_language_model_has_perplexities_and_the_next_command():
    card = language_card(LANGUAGE_RUN)
    assert "| forward | 1.4000 | 4.1 |" in card
    assert "| word frequencies alone | 5.7038 | 300.0 |" in card
    assert "backward" not in card
    next_command, texts, command = (token.content for token in tokens(card, "fence"))
    assert shlex.split(next_command) == ["lstm", "train", "wiki", "--init-from", "wiki/lm one"]
    assert shlex.split(texts) == ["lstm", "generate", "--run", "wiki/lm one", "The"]
    assert command == "lstm pretrain wiki\n"
    assert "texts <b>" in shown(card)
    both = LANGUAGE_RUN["held_out"] | {"backward": {"loss": 1.6, "perplexity": 4.9}}
    card = language_card(LANGUAGE_RUN | {"held_out": both})
    assert "| backward | 1.6000 | 4.9 |" in card
