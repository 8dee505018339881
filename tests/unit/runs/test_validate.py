"""Runs made by an attacker are refused with a reason, in bounded time and memory.

Each has a manifest that matches: whoever can change a file can change the manifest too.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
from pathlib import Path

import fixtures_attacks as attacks
import numpy as np
import pytest
from fixtures_attacks import edit_json, edit_model, put, put_json, refused, sign, within
from fixtures_runs import make_image_run

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.prediction import predictor
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.prediction.verify import verify
from lstm_cli.runs import arrays, find, lock, validate
from lstm_cli.runs import directory as runs
from lstm_cli.runs.arrays import check_finite
from lstm_cli.runs.directory import RunDir
from lstm_cli.text import tokenizer_json


@pytest.fixture(scope="module")
def templates(tmp_path_factory):
    root = tmp_path_factory.mktemp("templates")
    text = attacks.text_run(root / "demo" / "text")
    return {"text": text, "image": attacks.image_run(root / "digits" / "image")}


@pytest.fixture
def copied(templates, tmp_path):
    """Copy a run for one test: `copied("text")`."""

    def copy(kind, name="one"):
        path = tmp_path / "runs" / kind / name
        return RunDir(Path(shutil.copytree(templates[kind].path, path)))

    return copy


@pytest.fixture
def run(copied):
    return copied("text")


@pytest.fixture
def image_run(copied):
    return copied("image")


NEEDED = [runs.CONFIG, runs.LABELS, runs.TOKENIZER, runs.GOLDEN, runs.MODEL]


@pytest.mark.parametrize("kind", ["text", "image"])
def test_unchanged_run_is_loaded(kind, copied):
    run = copied(kind)
    Predictor.load(run)
    assert [check.detail for check in verify(run).failures] == []


@pytest.mark.parametrize("pooling", ["last", "max", "mean", "max_mean"])
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"model__layers": 3, "model__bidirectional": False},
        {"model__regions": (2, 3), "model__region_units": 4},
        {"linear__buckets": 50},
        {"linear__buckets": 50, "linear__word_ngrams": 3, "linear__char_ngrams": "all"},
        {"linear__buckets": 50, "linear__char_ngrams": "unknown", "linear__char_buckets": 9},
    ],
)
def test_every_kind_of_model_is_loaded(pooling, more, tmp_path):
    buckets = 0 if more else 11
    settings = {"model__pooling": pooling, "embedding__bigram_buckets": buckets, **more}
    Predictor.load(attacks.text_run(tmp_path / "demo" / "run", **settings))


def test_images_need_not_be_square(tmp_path):
    run = make_image_run(tmp_path / "digits" / "run", shape=(6, 5))
    assert Predictor.load(run).shape == (6, 5)


# Names that lead out


NAMES_OUTSIDE = [
    "../secret",
    "/etc/passwd",
    "plots/../../secret",
    "..",
    ".",
    "",
    "./config.yaml",
    "plots//curves.png",
    "plots/",
    "C:\\secret",
    "C:secret",
    "plots\\..\\..\\secret",
    "a\0b",
    "x" * 5000,
]


@pytest.mark.parametrize("name", NAMES_OUTSIDE)
def test_manifest_with_a_name_outside_the_run_is_refused(name, run):
    manifest = run.read_json(runs.MANIFEST)
    manifest["files"][name] = {"bytes": 0, "sha256": "0" * 64}
    run.write_json(runs.MANIFEST, manifest)
    refused(run, "folder")


@pytest.mark.parametrize(
    "entry",
    [
        {},
        [],
        None,
        5,
        {"bytes": -1, "sha256": "0"},
        {"bytes": 1.0, "sha256": "0"},
        {"bytes": True, "sha256": "0"},
        {"bytes": "1", "sha256": "0"},
        {"bytes": 2**70},
        {"bytes": 1, "sha256": ["0"]},
    ],
)
def test_invalid_manifest_entry_is_refused(entry, run):
    manifest = run.read_json(runs.MANIFEST)
    manifest["files"][runs.MODEL] = entry
    run.write_json(runs.MANIFEST, manifest)
    refused(run, runs.MODEL)


# Links


@pytest.mark.parametrize("name", [*NEEDED, runs.RUN, runs.WEIGHTS, runs.METRICS, runs.MANIFEST])
def test_link_in_place_of_a_file_is_refused(name, run, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    run.file(name).rename(elsewhere)
    run.file(name).symlink_to(elsewhere)
    refused(run, "symbolic link")


def test_link_to_a_file_of_the_run_is_refused(run):
    run.file("copy.json").symlink_to(runs.LABELS)
    refused(run, "symbolic link")


@pytest.mark.parametrize("name", [runs.PLOTS, runs.REPORTS, runs.CHECKPOINTS, ".hidden"])
def test_linked_folder_is_refused(name, run, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    run.file(name).symlink_to(tmp_path / "elsewhere")
    refused(run, "symbolic link")


def test_link_in_a_subfolder_is_refused(run, tmp_path):
    run.write_bytes("plots/deep/one.png", b"x")
    sign(run)
    Predictor.load(run)
    run.file("plots/deep/two.png").symlink_to("/etc/passwd")
    refused(run, "symbolic link")


def test_linked_lock_is_never_written(run, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("precious")
    run.file(runs.LOCK).symlink_to(secret)
    refused(run, "symbolic link")
    run.write_json(runs.RUN, {"status": "running"})
    assert run.status == "interrupted"
    with pytest.raises(LstmError), lock.acquire(run.path):
        pass
    assert secret.read_text() == "precious"


def test_run_reached_through_a_link_is_loaded(run, tmp_path):
    (tmp_path / "latest").symlink_to(run.path)
    Predictor.load(RunDir(tmp_path / "latest"))
    assert verify(RunDir(tmp_path / "latest")).passed


# Neither files nor folders


@pytest.mark.parametrize("name", [*NEEDED, runs.WEIGHTS, runs.RUN, runs.MANIFEST, "plots/pipe"])
def test_named_pipe_is_refused_without_waiting(name, run):
    run.file(runs.PLOTS).mkdir()
    run.file(name).unlink(missing_ok=True)
    os.mkfifo(run.file(name))
    refused(run, "named pipe")


def test_listing_runs_does_not_wait_for_a_pipe(run):
    root = run.path.parents[1]
    run.file(runs.RUN).unlink()
    os.mkfifo(run.file(runs.RUN))
    with within(5):
        assert [(found.name, found.status) for found in find.all_runs(root)] == [
            ("text/one", "broken")
        ]
    run.file(runs.RUN).unlink()
    run.write_json(runs.RUN, {"status": "running"})
    os.mkfifo(run.file(runs.LOCK))
    with within(5):
        assert run.status == "interrupted"


def test_socket_is_refused(run, monkeypatch):
    run.file(runs.GOLDEN).unlink()
    monkeypatch.chdir(run.path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(runs.GOLDEN)
        refused(run, "socket")


def test_device_is_refused(run):
    run.file(runs.GOLDEN).unlink()
    try:
        os.mknod(run.file(runs.GOLDEN), 0o600 | stat.S_IFCHR, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("only root makes devices")
    refused(run, "device")


@pytest.mark.parametrize("name", [*NEEDED, runs.MANIFEST])
def test_folder_in_place_of_a_file_is_refused(name, run):
    run.file(name).unlink()
    run.file(name).mkdir()
    refused(run, name)


# Pickles and archives


def archive(path):
    content = io.BytesIO()
    np.savez(content, np.array([attacks.Tripwire(path)], object))
    return content.getvalue()


OTHER_FILE_TYPES = {
    "pickle": (attacks.pickled, "pickle"),
    "npz": (archive, "zip archive"),
    "npy": (lambda path: b"\x93NUMPY" + attacks.pickled(path), "NumPy"),
    "hdf5": (lambda path: b"\x89HDF\r\n\x1a\n" + bytes(900), "HDF5"),
    "gzip": (lambda path: b"\x1f\x8b\x08" + bytes(900), "gzip"),
}


@pytest.mark.parametrize("name", [runs.WEIGHTS, runs.MODEL, runs.TOKENIZER])
@pytest.mark.parametrize("kind", OTHER_FILE_TYPES)
def test_pickle_or_archive_is_named_and_never_opened(kind, name, run, tmp_path):
    make, reason = OTHER_FILE_TYPES[kind]
    trap = tmp_path / "sprung"
    refused(put(run, name, make(trap)), reason, "UTF-8")
    assert not trap.exists()


@pytest.mark.parametrize("name", [runs.CONFIG, runs.LABELS, runs.GOLDEN, runs.MANIFEST])
def test_pickle_in_place_of_a_text_file_is_refused(name, run, tmp_path):
    put(run, name, attacks.pickled(tmp_path / "sprung"))
    if name == runs.MANIFEST:
        run.file(name).write_bytes(attacks.pickled(tmp_path / "sprung"))
    refused(run, name)
    assert not (tmp_path / "sprung").exists()


# The graph


def named(table):
    return pytest.mark.parametrize("change", table.values(), ids=table.keys())


@named(attacks.OTHER_GRAPHS)
def test_other_graph_is_refused(change, run):
    edit, reason = change
    refused(edit_model(run, edit), reason)


@named(attacks.EXTERNAL_DATA)
def test_external_data_is_refused(change, run, tmp_path):
    (tmp_path / "runs" / "secret").write_bytes(bytes(10_000))
    edit, reason = change
    refused(edit_model(run, edit), reason)


@named(attacks.WRONG_SHAPES)
def test_wrong_shapes_are_refused(change, run):
    edit, reason = change
    refused(edit_model(run, edit), reason)


@named(attacks.WRONG_TYPES)
def test_wrong_dtypes_are_refused(change, run):
    edit, reason = change
    refused(edit_model(run, edit), reason)


@named(attacks.NOT_FINITE)
def test_non_finite_values_are_refused(change, run):
    edit, reason = change
    refused(edit_model(run, edit), reason)


def test_one_nan_among_many_values_is_found():
    numbers = np.zeros(3 * arrays._CHUNK + 7, np.float32)
    check_finite({"table": numbers})
    for index in (
        0,
        arrays._CHUNK - 1,
        arrays._CHUNK,
        2 * arrays._CHUNK + 5,
        len(numbers) - 1,
    ):
        changed = numbers.copy()
        changed[index] = np.nan
        with pytest.raises(ValueError, match="table"):
            check_finite({"table": changed})


def test_graph_of_the_other_kind_is_refused(run, image_run):
    put(run, runs.MODEL, image_run.file(runs.MODEL).read_bytes())
    refused(run, "not the network")


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ("units: 3", "units: 4", "hidden_size"),
        ("dim: 4", "dim: 3", "'embedding'"),
        ("bigram_buckets: 11", "bigram_buckets: 12", "'bigram_buckets'"),
        ("bigram_buckets: 11", "bigram_buckets: 0", "nodes in the graph, more"),
        ("pooling: max_mean", "pooling: max", "nodes in the graph, more"),
        ("layers: 1", "layers: 8", "node"),
        ("bidirectional: true", "bidirectional: false", "bidirectional"),
        ("units: 3", "units: 16384", "hidden_size"),
    ],
)
def test_settings_of_another_model_are_refused(before, after, reason, run):
    text = run.read_text(runs.CONFIG)
    assert before in text
    put(run, runs.CONFIG, text.replace(before, after).encode())
    refused(run, runs.WEIGHTS)
    run.file(runs.WEIGHTS).unlink()
    refused(sign(run), reason)


@pytest.mark.parametrize("labels", [["a", "b", "c"], ["a"], ["a", "a"], [], "ab", [1, 2], [["a"]]])
def test_labels_that_do_not_match_the_model_are_refused(labels, run):
    refused(put_json(run, runs.LABELS, labels), "labels", runs.LABELS)


# The settings


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.mkdir ['{trap}']",
        "data: !!python/object/apply:os.mkdir ['{trap}']",
        "data: {name: !!python/name:os.system }",
        "data: {name: demo, evil: 1}",
        "data: {name: demo}\nmodel: {units: 1e9}",
        "",
        "- a",
        "\0",
    ],
)
def test_invalid_settings_are_refused(text, run, tmp_path):
    trap = tmp_path / "sprung"
    refused(put(run, runs.CONFIG, text.replace("{trap}", str(trap)).encode()), runs.CONFIG)
    assert not trap.exists()


# The tokenizer


def model(key, value):
    return lambda saved: saved["model"].update({key: value})


def vocab(change):
    return lambda saved: change(saved["model"]["vocab"])


def part(name, value):
    return lambda saved: saved.update({name: value})


def pattern(saved):
    saved["pre_tokenizer"]["pattern"] = {"Regex": "(a+)+$"}


SLOW_PATTERN = {"type": "Replace", "pattern": {"Regex": "(.*a){30}b"}, "content": ""}
BPE = {"type": "BPE", "vocab": {"a": 0}, "merges": [], "unk_token": "[UNK]"}
OTHER_TOKENIZERS = {
    "a pattern of its own": (pattern, "pre_tokenizer"),
    "a replacement of its own": (part("normalizer", SLOW_PATTERN), "normalizer"),
    "no normalizer": (part("normalizer", None), "normalizer"),
    "no splitting": (part("pre_tokenizer", None), "pre_tokenizer"),
    "a post-processor": (part("post_processor", {"type": "ByteLevel"}), "post_processor"),
    "a decoder": (part("decoder", {"type": "ByteLevel"}), "decoder"),
    "padding without end": (part("padding", {"strategy": {"Fixed": 2**40}}), "padding"),
    "truncation": (part("truncation", {"max_length": 1}), "truncation"),
    "a mark of its own": (part("added_tokens", [{"id": 1, "content": "[UNK]"}]), "added_tokens"),
    "another version": (part("version", "2.0"), "version"),
    "something more": (part("evil", 1), "evil"),
    "nothing": (lambda s: [], "object"),
    "no model": (lambda s: s.pop("model") and None, "model"),
    "byte pairs": (part("model", BPE), "model"),
    "word pieces": (model("type", "WordPiece"), "WordLevel"),
    "another unknown mark": (model("unk_token", "a"), "WordLevel"),
    "a cache in the model": (model("cache", 2**40), "cache"),
    "two words of one id": (vocab(lambda v: v.update(fine=v["a"])), "missing or used twice"),
    "an id left out": (vocab(lambda v: v.update(fine=len(v))), "missing or used twice"),
    "an id out of range": (vocab(lambda v: v.update(fine=70_000)), "<= 65535"),
    "an id below zero": (vocab(lambda v: v.update(fine=-1)), ">= 0"),
    "an id with a point": (vocab(lambda v: v.update(fine=1.5)), "int"),
    "an id of many digits": (vocab(lambda v: v.update(fine=10**40)), "vocab", "range"),
    "an id that is a text": (vocab(lambda v: v.update(fine="1")), "int"),
    "an id that is none": (vocab(lambda v: v.update(fine=None)), "int"),
    "no words": (model("vocab", {}), "has 0 words"),
    "marks swapped": (vocab(lambda v: v.update({"[PAD]": 1, "[UNK]": 0})), "does not begin"),
    "a word too many": (vocab(lambda v: v.update(new=len(v))), "'embedding", "expected F32 [13"),
    "a word too few": (vocab(lambda v: v.pop(max(v, key=v.get)) and None), "expected F32 [11"),
}


@named(OTHER_TOKENIZERS)
def test_other_tokenizer_is_refused(change, run):
    edit, *reason = change
    refused(edit_json(run, runs.TOKENIZER, edit), *reason)


def test_vocabulary_over_the_limit_of_the_settings_is_refused(run):
    text = run.read_text(runs.CONFIG).replace("vocab_size: 20000", "vocab_size: 5")
    refused(put(run, runs.CONFIG, text.encode()), "text.vocab_size")


def test_duplicate_keys_in_a_tokenizer_have_no_effect(run):
    """Parsers differ in which of two equal keys they take; the tokenizer is built from ours."""
    text = run.read_text(runs.TOKENIZER)
    evil = json.dumps(json.loads(text)["pre_tokenizer"] | {"pattern": {"Regex": "(a+)+$"}})
    for doubled in (
        '{"pre_tokenizer":' + evil + "," + text[1:],
        text.replace('"model":{', '"model":{"type":"BPE",'),
    ):
        put(run, runs.TOKENIZER, doubled.encode())
        found = validate.read_tokenizer(run.with_manifest(), run.config())
        assert tokenizer_json.write(found) == text


def test_tokenizer_must_match_the_kind_of_the_run(run, image_run):
    put(image_run, runs.TOKENIZER, run.file(runs.TOKENIZER).read_bytes())
    refused(image_run, "do not belong together")
    run.file(runs.TOKENIZER).unlink()
    refused(sign(run), "do not belong together")


# Golden inputs


def inputs(make):
    def change(golden):
        golden["inputs"] = make(golden["inputs"])
        golden["probabilities"] = [golden["probabilities"][0]] * len(golden["inputs"])

    return change


INVALID_TEXTS = {
    "none": inputs(lambda texts: []),
    "too many": inputs(lambda texts: ["a"] * 65),
    "too long": inputs(lambda texts: ["a " * 3000]),
    "numbers": inputs(lambda texts: [1, 2]),
    "lists": inputs(lambda texts: [["a"], ["b"]]),
    "a text": lambda golden: golden.update(inputs="fine"),
    "fewer answers": lambda golden: golden["probabilities"].pop() and None,
    "answers of three classes": lambda golden: (
        [p.append(0.0) for p in golden["probabilities"]] and None
    ),
    "answers in words": lambda golden: golden.update(probabilities=[["a", "b"]]),
    "answers of many digits": lambda golden: golden.update(probabilities=[[10**400, 0]]),
    "answers of no form": lambda golden: golden.update(probabilities=[[1, 0], [1]]),
    "nothing": lambda golden: {},
    "a list": lambda golden: [golden],
}
INVALID_IMAGES = {
    "none": inputs(lambda images: []),
    "too many": inputs(lambda images: images[:1] * 65),
    "no rows": inputs(lambda images: [[], []]),
    "no columns": inputs(lambda images: [[[]] * 8]),
    "rows of two lengths": inputs(lambda images: [[[1] * 8, [1] * 7]]),
    "images of two sizes": inputs(lambda images: [images[0], images[0][:-1]]),
    "another height": inputs(lambda images: [image[:-1] for image in images]),
    "another width": inputs(lambda images: [[row[:-1] for row in image] for image in images]),
    "a bright pixel": inputs(lambda images: [[[256] * 8] * 8]),
    "a dark pixel": inputs(lambda images: [[[-1] * 8] * 8]),
    "half a pixel": inputs(lambda images: [[[0.5] * 8] * 8]),
    "words": inputs(lambda images: [[["a" * 1000] * 8] * 8]),
    "deeper": inputs(lambda images: [images]),
    "texts": inputs(lambda images: ["a", "b"]),
}


@named(INVALID_TEXTS)
def test_invalid_golden_texts_are_refused(change, run):
    refused(edit_json(run, runs.GOLDEN, change), runs.GOLDEN)


@named(INVALID_IMAGES)
def test_invalid_golden_images_are_refused(change, image_run):
    edit_json(image_run, runs.GOLDEN, change)
    refused(image_run, runs.GOLDEN, "other inputs", "'lstm_0_forward/kernel'")


def test_golden_images_have_the_rows_of_a_step(image_run):
    text = image_run.read_text(runs.CONFIG).replace("window: 1", "window: 9")
    refused(put(image_run, runs.CONFIG, text.encode()), runs.GOLDEN)


def test_image_height_must_match_the_golden_images(image_run):
    def higher(model):
        model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 2**31

    refused(edit_model(image_run, higher), "other inputs")


# The weights


def tensor(**fields):
    """Change the entry of the first array in a safetensors header."""

    def change(header):
        header["embedding/embeddings"].update(fields)

    return change


def overlap(header):
    begin, _ = header["lstm_0_forward/bias"]["data_offsets"]
    header["head/bias"]["data_offsets"] = [begin, begin + 4]


INVALID_HEADERS = {
    "doubles": tensor(dtype="F64"),
    "no type": tensor(dtype=None),
    "a shape that overflows": tensor(shape=[2**62, 4]),
    "a shape of other size": tensor(shape=[2**31, 2**31]),
    "a negative dimension": tensor(shape=[-1, 4]),
    "a shape that is a string": tensor(shape="4"),
    "offsets beyond the end": tensor(data_offsets=[2**40, 2**40 + 4]),
    "negative offsets": tensor(data_offsets=[-4, 0]),
    "offsets in reverse order": tensor(data_offsets=[4, 0]),
    "offsets too close": tensor(data_offsets=[0, 4]),
    "one offset": tensor(data_offsets=[0]),
    "offsets that are floats": tensor(data_offsets=[0.0, 4.0]),
    "an unknown field": tensor(evil=1),
    "two arrays at the same offsets": overlap,
    "an unexpected array": lambda h: h.update(evil=h["head/bias"]),
    "a missing array": lambda h: h.pop("head/bias") and None,
    "metadata": lambda h: h.update(__metadata__={"a": "b"}),
    "a list": lambda h: [h],
}


def split(content):
    """Split a safetensors file into header and data."""
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), content[8 + length :]


@named(INVALID_HEADERS)
def test_invalid_weights_header_is_refused(change, run):
    header, data = split(run.file(runs.WEIGHTS).read_bytes())
    changed = change(header)
    content = attacks.weights_with_header(header if changed is None else changed, data)
    refused(put(run, runs.WEIGHTS, content), runs.WEIGHTS)


@pytest.mark.parametrize("change", [lambda d: d[:-4], lambda d: d + b"\0\0\0\0"])
def test_weights_of_wrong_size_are_refused(change, run):
    header, data = split(run.file(runs.WEIGHTS).read_bytes())
    content = attacks.weights_with_header(header, change(data))
    refused(put(run, runs.WEIGHTS, content), runs.WEIGHTS)


def test_array_described_twice_is_refused(run):
    header, data = split(run.file(runs.WEIGHTS).read_bytes())
    text = json.dumps(header).encode()
    text = b'{"head/bias":' + json.dumps(header["head/bias"]).encode() + b"," + text[1:]
    put(run, runs.WEIGHTS, attacks.weights_with_header(text, data))
    refused(run, "twice")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_non_finite_weights_are_refused(value, run):
    attacks.edit_weights(run, lambda weights: weights["head/bias"].fill(value))
    verified = run.with_manifest()
    config, labels = verified.config(), verified.labels()
    tokenizer = validate.read_tokenizer(verified, config)
    golden = validate.read_golden(verified, config, len(labels))
    plan = validate.graph_plan(config, labels, tokenizer, golden)
    with pytest.raises(LstmError, match="NaN") as caught:
        validate.read_weights(verified, plan)
    assert caught.value.exit_code == ExitCode.INTEGRITY
    assert [check.name for check in verify(run).failures] == ["weights"]


def test_run_without_weights_still_predicts(run):
    run.file(runs.WEIGHTS).unlink()
    Predictor.load(run)
    assert not verify(run).passed


# What was checked is what is used


def exchange(path, other):
    path.unlink()
    shutil.copy2(other, path)


def overwrite(path, other):
    path.write_bytes(other.read_bytes())


def link(path, other):
    path.unlink()
    path.symlink_to(other)


def touch(path, other):
    assert other.exists()
    path.write_bytes(path.read_bytes())


@pytest.mark.parametrize("change", [exchange, overwrite, link, touch])
@pytest.mark.parametrize("when", ["before", "after"])
def test_model_replaced_between_check_and_opening_is_refused(
    change, when, run, copied, monkeypatch
):
    other = copied("text", "other").file(runs.MODEL)
    opened = predictor.open_session

    def exchanging(path):
        if when == "before":
            change(path, other)
        session = opened(path)
        if when == "after":
            change(path, other)
        return session

    monkeypatch.setattr(predictor, "open_session", exchanging)
    with pytest.raises(LstmError, match=runs.MODEL) as caught:
        Predictor.load(run)
    assert caught.value.exit_code == ExitCode.INTEGRITY


# Bombs

MIB = 1 << 20
ALLOWED = 256 * MIB
SECONDS = 10
CHILD = """
import json, resource, sys, time
from pathlib import Path
from lstm_cli.errors import LstmError
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.runs.directory import RunDir
from lstm_cli.prediction.verify import verify

def memory(name):
    return int(Path("/proc/self/status").read_text().split(name)[1].split()[0]) * 1024

honest, *bombs = [RunDir(Path(path)) for path in sys.argv[1:]]
Predictor.load(honest)
assert verify(honest).passed
# So that a test that fails does not take the machine with it.
resource.setrlimit(resource.RLIMIT_AS, (memory("VmSize:") + (2 << 30),) * 2)
found = []
for bomb in bombs:
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    before, began = memory("VmRSS:"), time.process_time()
    try:
        Predictor.load(bomb)
        reason = [0, "loaded"]
    except LstmError as error:
        reason = [int(error.exit_code), error.message]
    failed = [check.detail for check in verify(bomb).failures]
    seconds, taken = time.process_time() - began, memory("VmHWM:") - before
    found.append([*reason, failed, seconds, taken])
print(json.dumps(found))
"""


def sparse(name, num_bytes):
    """Make a sparse file of any size, and put that size into the manifest."""

    def change(run):
        os.truncate(run.file(name), num_bytes)
        manifest = run.read_json(runs.MANIFEST)
        manifest["files"][name]["bytes"] = num_bytes
        run.write_json(runs.MANIFEST, manifest)

    return change


def content(name, make):
    return lambda run: put(run, name, make() if callable(make) else make)


def yaml_bomb(first, step, levels=60):
    lines = [f"a0: &a0 {first}"]
    lines += [f"a{n}: &a{n} {step.format(n - 1)}" for n in range(1, levels)]
    return "\n".join(lines).encode()


def in_message(depth, inner=b""):
    """Protobuf messages in messages, as field 7 (the graph of a model) of each."""
    for _ in range(depth):
        size, length = len(inner), bytearray()
        while size > 127:
            length.append(size & 127 | 128)
            size >>= 7
        inner = b"\x3a" + bytes(length) + bytes([size]) + inner
    return inner


FRAME = b"\x08\x08\x42\x04\x0a\x00\x10\x11"  # version 8, operators 17


def long_names(run):
    edit_model(run, lambda m: setattr(m.graph.node[0], "op_type", "x" * (MIB // 2)))


BOMBS = {
    "header length of 2**64 - 1": content(runs.WEIGHTS, b"\xff" * 8 + b"{}"),
    "header length beyond the file": content(
        runs.WEIGHTS, attacks.weights_with_header(b"{}", length=200 * MIB)
    ),
    "header of 2 MiB": content(
        runs.WEIGHTS, lambda: attacks.weights_with_header(b" " * 2 * MIB + b"{}")
    ),
    "header of lists": content(
        runs.WEIGHTS, lambda: attacks.weights_with_header(b"[" + b"[]," * 20_000 + b"[]]")
    ),
    "header without an end": content(
        runs.WEIGHTS, lambda: attacks.weights_with_header(b"[" * 60_000)
    ),
    "weights of 4 TiB": sparse(runs.WEIGHTS, 4 << 40),
    "model of 4 TiB": sparse(runs.MODEL, 4 << 40),
    "model of messages in messages": content(runs.MODEL, lambda: FRAME + in_message(100_000)),
    "model of graphs in graphs": content(runs.MODEL, lambda: FRAME + in_message(200, b"\x0a\x00")),
    "model of empty nodes": content(
        runs.MODEL, lambda: FRAME + in_message(1, b"\x0a\x00" * 500_000)
    ),
    "model of empty constants": content(
        runs.MODEL, lambda: FRAME + in_message(1, b"\x2a\x00" * 500_000)
    ),
    "model of operator sets": content(runs.MODEL, b"\x42\x00" * 500_000),
    "number without an end": content(runs.MODEL, b"\xff" * 500_000),
    "length of 2**63": content(runs.MODEL, b"\x3a" + b"\xff" * 9 + b"\x01"),
    "length behind the end": content(runs.MODEL, b"\x3a\xff\xff\xff\xff\x0f"),
    "field of number zero": content(runs.MODEL, b"\x00" * 500_000),
    "groups in groups": content(runs.MODEL, b"\x3b" * 500_000),
    "name of a megabyte": long_names,
    "settings of 4 TiB": sparse(runs.CONFIG, 4 << 40),
    "settings of aliases": content(runs.CONFIG, yaml_bomb("[x, x]", "[*a{0}, *a{0}]")),
    "settings of merges": content(runs.CONFIG, yaml_bomb("{{x: 1}}", "{{<<: [*a{0}, *a{0}]}}")),
    "settings of itself": content(runs.CONFIG, b"data: &a\n  name: *a"),
    "settings in lists in lists": content(runs.CONFIG, b"data: " + b"[" * 60_000),
    "settings in mappings in mappings": content(runs.CONFIG, b"{a: " * 16_000),
    "settings in questions": content(runs.CONFIG, b"? " * 30_000),
    "settings of keys": content(runs.CONFIG, b"".join(b"k%d: 1\n" % n for n in range(6500))),
    "number of digits": content(runs.CONFIG, b"seed: " + b"9" * 60_000),
    "number to the base of sixty": content(runs.CONFIG, b"seed: 1" + b":59" * 20_000),
    "golden inputs of 100 MB": sparse(runs.GOLDEN, 100 * MIB),
    "golden inputs without an end": content(runs.GOLDEN, b"[" * 15 * MIB),
    "golden inputs of empty lists": content(
        runs.GOLDEN, lambda: b'{"inputs":[' + b"[]," * 5 * MIB + b"[]]}"
    ),
    "golden inputs of lists below the bound": content(
        runs.GOLDEN, lambda: b'{"inputs":[' + b"[]," * 1_900_000 + b"[]]}"
    ),
    "golden inputs of mappings below the bound": content(
        runs.GOLDEN, lambda: b'{"inputs":[' + b"{}," * 1_900_000 + b"{}]}"
    ),
    "labels of 100 MB": sparse(runs.LABELS, 100 * MIB),
    "labels of empty lists": content(runs.LABELS, lambda: b"[" + b"[]," * MIB + b"[]]"),
    "labels without an end": content(runs.LABELS, b"[" * 3 * MIB),
    "words of 100 MB": sparse(runs.TOKENIZER, 100 * MIB),
    "words without an end": content(runs.TOKENIZER, b'{"version":' + b"[" * 500_000),
    "millions of words": content(
        runs.TOKENIZER,
        lambda: (
            b'{"model":{"vocab":{' + b",".join(b'"%d":1' % n for n in range(4_000_000)) + b"}}}"
        ),
    ),
    "lists in lists below the bound of words": content(
        runs.TOKENIZER, lambda: b'{"version":[' + (b"[" * 250 + b"]" * 250 + b",") * 60_000 + b"1]}"
    ),
    "manifest of 100 MB": lambda run: os.truncate(run.file(runs.MANIFEST), 100 * MIB),
    "manifest without an end": lambda run: run.file(runs.MANIFEST).write_bytes(b"[" * 3 * MIB),
    "manifest of a million files": lambda run: run.file(runs.MANIFEST).write_bytes(
        b'{"files":{' + b'"a":0,' * 600_000 + b'"b":0}}'
    ),
}


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs /proc")
def test_bombs_take_little_memory_and_time(copied):
    made = [copied("text", f"bomb-{number}") for number in range(len(BOMBS))]
    for run, arm in zip(made, BOMBS.values(), strict=True):
        arm(run)
    code = [sys.executable, "-c", CHILD, str(copied("text").path)]
    done = subprocess.run(
        [*code, *(str(run.path) for run in made)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    for name, (code, reason, failed, seconds, taken) in zip(BOMBS, found, strict=True):
        assert code == ExitCode.INTEGRITY, f"{name}: {reason}"
        assert failed, name
        assert seconds < SECONDS, f"{name}: {seconds:.1f} s"
        assert taken < ALLOWED, f"{name}: {taken / MIB:.0f} MiB"
