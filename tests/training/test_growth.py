"""Training that starts from a run and has more words and more classes."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
import safetensors.numpy
from fixtures_errors import refused
from fixtures_runs import LABELS, TEXTS, make_language_run, make_multi_label_run, make_text_run
from fixtures_runs import text_config as tiny
from fixtures_training import Notes
from msgspec import structs

from lstm_cli import cli
from lstm_cli.config import load as configs
from lstm_cli.data import DataSource, load
from lstm_cli.data.source import from_config
from lstm_cli.errors import ExitCode
from lstm_cli.evaluation.evaluate import evaluate
from lstm_cli.io.signals import Interrupted
from lstm_cli.models import classifier
from lstm_cli.prediction.verify import verify
from lstm_cli.runs import directory as runs
from lstm_cli.runs import learned
from lstm_cli.training import pipeline
from lstm_cli.training.auto_settings import with_auto_settings
from lstm_cli.training.classifier_task import ClassifierTask
from lstm_cli.training.columns_of_run import with_columns_of_run
from lstm_cli.training.device import configure_backend
from lstm_cli.training.init_weights import read_initial_weights, resolve_init_from
from lstm_cli.training.labels_of_run import load_with_labels_of_run
from lstm_cli.training.learned_before import learned_by_initial_run
from lstm_cli.training.objectives.classification import ClassificationObjective
from lstm_cli.training.options import TrainOptions


def write(path, labels, words=("brandnew",)):
    """A table with some known words and some new ones, in 12 rows of each class."""
    rows = [
        f"a fine {words[i % len(words)]} film row{i % 3},{label}"
        for label in labels
        for i in range(12)
    ]
    path.write_text("\n".join(["text,label", *rows]) + "\n")
    return str(path)


@pytest.fixture
def first(tmp_path):
    """A classifier of 'negative' and 'positive' whose vocabulary is that of `TEXTS`."""
    return make_text_run(tmp_path / "runs" / "demo" / "first")


def config_for(table, run, **settings):
    changes = {
        "data.name": table,
        "train.init_from": str(run.path),
        "train.epochs": 1,
        **{key.replace("__", "."): value for key, value in settings.items()},
    }
    return configs.from_dict(configs.to_dict(tiny()), changes)


def prepared(config, notes=None):
    """The task of a training before its first step."""
    options = TrainOptions(device="cpu", reporter=notes or Notes())
    dataset, labels = load_with_labels_of_run(config, None)
    config, dataset = with_auto_settings(config, dataset, None, options.reporter)
    info = configure_backend(config, "cpu", options.reporter)
    init = read_initial_weights(config, labels)
    # No step is taken: compiling them would take most of the time.
    with patch.object(ClassifierTask, "compile_steps"):
        return pipeline.prepare(config, dataset, init, info, options)


def weights_of(run):
    return safetensors.numpy.load(run.file(runs.WEIGHTS).read_bytes())


def words_of(run):
    vocab = run.read_json(runs.TOKENIZER)["model"]["vocab"]
    return tuple(sorted(vocab, key=vocab.get))


def test_words_and_labels_are_added_and_what_is_known_stays_bit_for_bit(first, tmp_path):
    notes, labels = Notes(), ("mixed", "positive", "unsure")
    task = prepared(config_for(write(tmp_path / "more.csv", labels), first), notes)
    old, new = weights_of(first), classifier.get_weights(task.model)
    num, words = len(words_of(first)), task.tokenizer.words
    assert words[:num] == words_of(first)
    # The most frequent new word comes first, and ties are in alphabetical order.
    assert words[num:] == ("brandnew", "row0", "row1", "row2")
    assert np.array_equal(new["embedding/embeddings"][:num], old["embedding/embeddings"])
    assert np.array_equal(new["lstm_0_forward/kernel"], old["lstm_0_forward/kernel"])
    assert task.dataset.labels == ("mixed", "negative", "positive", "unsure")
    half = old["head/kernel"][:, 0] / 2
    assert np.array_equal(new["head/kernel"][:, 2], half)
    assert np.array_equal(new["head/kernel"][:, 1], -half)
    assert "4 new words" in notes
    assert f"{num - 2:,} kept" in notes
    assert "2 new labels ('mixed', 'unsure'); 2 kept" in notes
    assert "1 label of run demo/first has no example here ('negative')" in notes


def test_new_words_add_nothing_to_the_region_embedding_of_a_run(tmp_path):
    there = tiny(embedding__region_widths=[3], embedding__region_dim=4)
    run = make_text_run(tmp_path / "runs" / "demo" / "around", config=there)
    table = write(tmp_path / "more.csv", LABELS)
    config = config_for(table, run, embedding__region_widths=[3], embedding__region_dim=4)
    task = prepared(config)
    old, new = weights_of(run), classifier.get_weights(task.model)
    num = len(words_of(run))
    rows, known = new["region_embedding_3/embeddings"], old["region_embedding_3/embeddings"]
    assert np.array_equal(rows[:num], known)
    assert len(rows) > num
    assert not rows[num:].any()
    for name in ("region_embedding_3/bias", "lstm_0_forward/kernel", "head/bias"):
        assert np.array_equal(new[name], old[name])
    settings = {"embedding__region_widths": [3], "embedding__region_dim": 4}
    for changes in ({"embedding__region_dim": 5}, {"embedding__region_widths": [3, 5]}):
        other = config_for(table, run, **settings | changes)
        error = refused(read_initial_weights, other, code=ExitCode.USAGE)
        assert "embedding.region_" in error.message


def test_a_region_embedding_is_added_to_a_run_without_weight_at_first(tmp_path):
    there = tiny(model__regions=[2], model__region_units=5)
    run = make_text_run(tmp_path / "runs" / "demo" / "without", config=there)
    table = write(tmp_path / "more.csv", LABELS)
    settings = {"model__regions": [2], "model__region_units": 5}
    embedding = {"embedding__region_widths": [3], "embedding__region_dim": 4}
    task = prepared(config_for(table, run, **settings, **embedding))
    old, new = weights_of(run), classifier.get_weights(task.model)
    for name in ("lstm_0_forward/kernel", "lstm_0_backward/kernel", "regions_2/kernel"):
        dim = old[name].shape[-2]
        assert np.array_equal(new[name][..., :dim, :], old[name])
        assert new[name].shape[-2] == dim + 4
        assert not new[name][..., dim:, :].any()
    assert np.array_equal(new["head/kernel"], old["head/kernel"])
    assert new["region_embedding_3/embeddings"][2:].all(axis=1).any()
    assert "lstm_0_forward/kernel" in task.init_record["grown"]


def test_regions_are_added_and_dropped_and_the_rest_stays_bit_for_bit(tmp_path):
    there = tiny(model__regions=[4, 2], model__region_units=5)
    run = make_text_run(tmp_path / "runs" / "demo" / "regions", config=there)
    table = write(tmp_path / "more.csv", LABELS)
    config = config_for(table, run, model__regions=[2, 3], model__region_units=5)
    task = prepared(config)
    old, new = weights_of(run), classifier.get_weights(task.model)
    kept = ("lstm_0_forward/kernel", "regions_2/kernel", "regions_2/bias", "head/bias")
    assert all(np.array_equal(new[name], old[name]) for name in kept)
    lstm, four, two = np.split(old["head/kernel"], [12, 17])
    assert np.array_equal(new["head/kernel"], np.concatenate([lstm, two, 0 * four]))
    assert new["regions_3/kernel"].any()
    assert "regions_2/kernel" in task.init_record["arrays"]
    assert "regions_3/kernel" not in task.init_record["arrays"]
    # It must learn at the full rate, although its shape is the same.
    assert "head/kernel" in task.init_record["grown"]


def test_another_number_of_region_features_is_refused(tmp_path):
    there = tiny(model__regions=[2], model__region_units=5)
    run = make_text_run(tmp_path / "runs" / "demo" / "regions", config=there)
    settings = {"model__regions": [2, 3], "model__region_units": 6}
    config = config_for(write(tmp_path / "more.csv", LABELS), run, **settings)
    error = refused(read_initial_weights, config, code=ExitCode.USAGE)
    assert "--set model.region_units=5" in error.hint


def test_the_columns_of_the_run_come_first(tmp_path):
    (tmp_path / "more.csv").write_text("text,title,kind\n1,a fine film,good\n")
    data = {"name": str(tmp_path / "more.csv")}
    before = {"text_columns": ["title"], "label_column": "sentiment", "id_column": "text"}
    config, run_config = (
        configs.from_dict(
            configs.to_dict(tiny()), {f"data.{key}": value for key, value in changes.items()}
        )
        for changes in (data, before)
    )
    found = with_columns_of_run(config, run_config).data
    assert (found.text_columns, found.label_column, found.id_column) == (("title",), None, "text")
    named = structs.replace(config, data=structs.replace(config.data, text_columns=("text",)))
    assert with_columns_of_run(named, run_config).data.text_columns == ("text",)


def test_a_table_is_read_from_the_columns_of_the_run(tmp_path):
    config = configs.from_dict(configs.to_dict(tiny()), {"data.text_columns": ["title"]})
    run = make_text_run(tmp_path / "runs" / "demo" / "first", config=config)
    (tmp_path / "more.csv").write_text("text,title,label\n1,a fine film,good\n")
    new = config_for(str(tmp_path / "more.csv"), run)
    assert resolve_init_from(new, tmp_path / "runs").data.text_columns == ("title",)


def test_what_the_run_has_learned_from_is_known_and_may_be_gone_later(first, tmp_path):
    config = config_for(write(tmp_path / "more.csv", LABELS), first)
    assert learned_by_initial_run(read_initial_weights(config)) == (None, "")
    learned.write(first, np.array([3, 5], np.uint64), np.array([4, 9], np.uint64))
    first.write_manifest()
    init = read_initial_weights(config)
    found, name = learned_by_initial_run(init)
    assert (found.inputs.tolist(), found.labeled.tolist()) == ([3, 5], [4, 9])
    assert name == first.name
    shutil.rmtree(first.path)
    assert learned_by_initial_run(replace(init, kind="checkpoint")) == (None, "")


def test_without_new_words_and_labels_all_arrays_are_those_of_the_run(first, tmp_path):
    rows = [f"{text.replace(',', '')},{label}" for text in TEXTS[:3] for label in LABELS] * 4
    (tmp_path / "same.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    task = prepared(config_for(str(tmp_path / "same.csv"), first))
    old, new = weights_of(first), classifier.get_weights(task.model)
    assert task.tokenizer.words == words_of(first)
    assert old.keys() == new.keys()
    assert all(np.array_equal(new[name], old[name]) for name in old)
    assert task.init_record["grown"] == []


def test_a_classifier_of_a_language_model_has_new_words(tmp_path):
    run = make_language_run(tmp_path / "runs" / "demo" / "words")
    task = prepared(config_for(write(tmp_path / "more.csv", LABELS), run))
    old, new = weights_of(run), classifier.get_weights(task.model)
    num = len(words_of(run))
    assert np.array_equal(new["embedding/embeddings"][:num], old["embedding/embeddings"])
    assert np.array_equal(new["embedding/embeddings"][num], old["embedding/embeddings"][1])
    assert task.tokenizer.words[:num] == words_of(run)
    assert task.init_record["grown"] == ["embedding/embeddings"]


def test_a_language_model_of_a_language_model_has_new_words(tmp_path):
    run = make_language_run(tmp_path / "runs" / "demo" / "words")
    table = write(tmp_path / "more.csv", LABELS)
    task = prepared(config_for(table, run, language__window=8, language__negatives=4))
    old, new = weights_of(run), classifier.get_weights(task.model)
    num = len(words_of(run))
    for name in ("embedding/embeddings", "next_bias/embeddings"):
        assert np.array_equal(new[name][:num], old[name])
        assert len(new[name]) == task.tokenizer.vocab_size > num


def test_labels_of_another_task_do_not_stay(first, tmp_path):
    table = write(tmp_path / "topics.csv", ("art", "sport"))
    assert prepared(config_for(table, first)).dataset.labels == ("art", "sport")
    kept = prepared(config_for(table, first, train__init_labels="keep"))
    assert kept.dataset.labels == ("art", "negative", "positive", "sport")
    table = write(tmp_path / "more.csv", ("positive", "art"))
    dropped = prepared(config_for(table, first, train__init_labels="drop"))
    assert dropped.dataset.labels == ("art", "positive")
    assert "head/kernel" not in dropped.init_record["arrays"]


def test_several_labels_a_text_do_not_join_one_label_a_text(first, tmp_path):
    path = tmp_path / "sets.csv"
    rows = [f"a fine film {i},{'positive|joy' if i % 2 else 'joy'}" for i in range(40)]
    path.write_text("\n".join(["text,label", *rows]) + "\n")
    config = config_for(str(path), first, data__multi_label="|")
    assert prepared(config).dataset.labels == ("joy", "positive")
    keep = config_for(str(path), first, data__multi_label="|", train__init_labels="keep")
    error = refused(load_with_labels_of_run, keep, None, code=ExitCode.USAGE)
    assert "has one label" in error.message


def test_several_labels_a_text_grow_too(tmp_path):
    run = make_multi_label_run(tmp_path / "runs" / "demo" / "sets")
    path = tmp_path / "sets.csv"
    rows = [f"a fine film {i},{'joy|anger' if i % 2 else 'joy'}" for i in range(40)]
    rows += [f"a dull film {i},anger" for i in range(10)]
    path.write_text("\n".join(["text,label", *rows]) + "\n")
    task = prepared(config_for(str(path), run, data__multi_label="|"))
    old, new = weights_of(run), classifier.get_weights(task.model)
    assert task.dataset.labels == ("anger", "joy", "love", "pride")
    assert np.array_equal(new["head/kernel"][:, 1:], old["head/kernel"])


def test_a_vocabulary_without_room_says_so(first, tmp_path):
    table, num = write(tmp_path / "more.csv", LABELS), len(words_of(first))
    error = refused(
        read_initial_weights, config_for(table, first, text__vocab_size=num - 1), code=2
    )
    assert f"has {num} words" in error.message
    notes = Notes()
    task = prepared(config_for(table, first, text__vocab_size=num + 1), notes)
    assert task.tokenizer.words[num:] == ("brandnew",)
    assert f"--set text.vocab_size={num + 4} has room for them" in notes
    task = prepared(config_for(table, first, text__vocab_size=num + 4))
    assert task.tokenizer.vocab_size == num + 4


def test_in_folds_a_new_word_is_known_where_its_training_rows_have_it(first, tmp_path):
    rows = [f"a fine film own{i:02},{LABELS[i % 2]}" for i in range(20)]
    (tmp_path / "more.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    task = prepared(config_for(str(tmp_path / "more.csv"), first, data__folds=2))
    fold = task.start_stage(())
    is_new = fold.validation.inputs.ids >= len(words_of(first))
    assert not is_new.any()
    # 16 rows are not for testing; each has a word of its own.
    assert (fold.validation.inputs.ids == 1).sum() == 8
    assert (fold.train.inputs.ids >= len(words_of(first))).sum() == 8


def test_replayed_rows_teach_the_old_classes(first, tmp_path):
    table, notes = write(tmp_path / "more.csv", ("art", "sport")), Notes()
    old = tmp_path / "old.csv"
    old.write_text("text,label\na dull film,negative\na fine cast,positive\n")
    task = prepared(config_for(table, first, data__replay_files=[str(old)]), notes)
    # None of the labels of the table is one of the run; those of the old rows are.
    assert task.dataset.labels == ("art", "negative", "positive", "sport")
    assert task.train.labels[-2:].tolist() == [1, 2]
    assert "2 of them replayed" in notes
    assert "no example here" not in notes
    assert task.describe()["dataset"]["sizes"]["replayed"] == 2
    assert list(task.describe()["dataset"]["replay_files"]) == [str(old)]


def sentences(path, words, num=40):
    rows = [
        f"the {words[label][i % 2]} was here {i},{label}" for i in range(num) for label in words
    ]
    path.write_text("\n".join(["text,label", *rows]) + "\n")
    return str(path)


@pytest.mark.slow
def test_with_replayed_rows_the_old_classes_are_not_forgotten(tmp_path):
    old_words = {"billing": ("invoice", "payment"), "login": ("password", "account")}
    new_words = {"billing": ("invoice", "refund"), "delivery": ("parcel", "van")}
    old, more = sentences(tmp_path / "old.csv", old_words), sentences(tmp_path / "m.csv", new_words)
    learn = {"train__epochs": 12, "train__learning_rate": 0.03, "train__batch_size": 8}

    def trained(name, table, **settings):
        changes = {"data.name": table, **{k.replace("__", "."): v for k, v in settings.items()}}
        config = configs.from_dict(configs.to_dict(tiny()), changes)
        return pipeline.train(config, runs_dir=tmp_path / "runs", name=name, device="cpu")

    def accuracy(run):
        return evaluate(run, DataSource(old)).report.accuracy

    first = trained("first", old, **learn)
    begin = {**learn, "train__init_from": str(first.path)}
    forgetful = trained("alone", more, **begin)
    replayed = trained("replayed", more, data__replay_files=[old], **begin)
    assert accuracy(forgetful) < 0.6
    assert accuracy(replayed) > 0.9
    assert replayed.read_json(runs.METRICS)["test"]["accuracy"] > 0.9


def test_it_is_resumed_without_the_run_and_has_classes_that_the_data_lacks(
    first, tmp_path, monkeypatch, capsys
):
    table = write(tmp_path / "more.csv", ("mixed", "positive"))
    # The test file has a class that only the old run knows.
    test = write(tmp_path / "test.csv", ("mixed", "positive", "negative"))
    config = config_for(table, first, data__test_file=test)
    train_step = ClassificationObjective.train_step
    with monkeypatch.context() as patching, pytest.raises(Interrupted):
        patching.setattr(
            ClassificationObjective,
            "train_step",
            lambda *args: os.kill(os.getpid(), signal.SIGINT) or train_step(*args),
        )
        pipeline.train(config, runs_dir=tmp_path / "runs", name="more", device="cpu")
    shutil.rmtree(first.path)
    run = runs.RunDir(tmp_path / "runs" / "more" / "more")
    pipeline.resume(run, device="cpu")
    assert run.labels() == ("mixed", "negative", "positive")
    assert verify(run).passed
    support = [row["support"] for row in run.read_json(runs.METRICS)["test"]["classes"]]
    assert support == [12, 12, 12]
    # Its own data is read with its own classes, whether the data has them or not.
    monkeypatch.setattr(sys, "argv", ["lstm", "eval", "--run", str(run.path)])
    assert cli.run() == 0
    assert "negative" in capsys.readouterr().out


def test_classes_that_the_data_lacks_join_those_of_any_data_set():
    config = configs.load_preset("demo", {"data.demo_train": 40, "data.demo_test": 20})
    plain = load(from_config(config))
    more = load(from_config(config, labels=("neutral",)))
    assert plain.labels == ("negative", "positive")
    assert more.labels == ("negative", "neutral", "positive")
    for name, split in plain.splits.items():
        assert np.array_equal(split.labels * 2, more.splits[name].labels)
