from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from lstm_cli.data import DataSource, load
from lstm_cli.data.readers import tfds_download, tfds_prepared
from lstm_cli.data.registry import open_raw
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.fields import join_fields

ARCHIVES = {
    "train-images-idx3-ubyte.gz": 9_912_422,
    "train-labels-idx1-ubyte.gz": 28_881,
    "t10k-images-idx3-ubyte.gz": 1_648_877,
    "t10k-labels-idx1-ubyte.gz": 4_542,
}


def _real(*parts: str) -> Path:
    folder = Path(os.environ.get("TFDS_DATA_DIR", ""), *parts)
    if not os.environ.get("TFDS_DATA_DIR") or not (folder / "dataset_info.json").is_file():
        pytest.skip(f"TFDS_DATA_DIR does not lead to {'/'.join(parts)}")
    return folder


# Without network


def _load_offline(name: str, folder: Path, proxy: str = "http://127.0.0.1:9") -> tuple[str, float]:
    code = (
        "import sys\n"
        "from lstm_cli.data import DataSource, load\n"
        "from lstm_cli.errors import LstmError\n"
        "try: load(DataSource(sys.argv[1]))\n"
        "except LstmError as error: print(int(error.exit_code), error.message, error.hint)\n"
        "print({'tensorflow'} & {*sys.modules})\n"
    )
    proxies = {"http_proxy": proxy, "https_proxy": proxy, "no_proxy": ""}
    environment = {**os.environ, **proxies, "TFDS_DATA_DIR": str(folder)}
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code, name],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "set()" in done.stdout, "TensorFlow was imported without need"
    return done.stdout, time.monotonic() - start


def test_offline_fails_fast_and_suggests_alternatives(tmp_path):
    message, seconds = _load_offline("imdb", tmp_path)
    assert seconds < 5
    assert message.startswith(f"3 TFDS imdb_reviews/plain_text is not in {tmp_path}")
    assert "ai.stanford.edu cannot be reached" in message
    assert "--data-dir" in message
    assert f"aclImdb_v1.tar.gz (84,125,825 bytes) into {tmp_path}/downloads/manual" in message
    assert "lstm train demo" in message


def test_offline_a_data_set_known_only_to_tfds_fails_as_fast(tmp_path):
    message, seconds = _load_offline("tfds:ag_news_subset", tmp_path / "new")
    assert seconds < 5
    assert message.startswith("3 TFDS ag_news_subset is not in")
    assert "there is no such folder" in message
    assert "ag_news_csv.tar.gz" in message


def test_a_network_that_does_not_answer_times_out(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.getsockname()[1]}")
        monkeypatch.setattr(tfds_download, "PROBE_SECONDS", 0.3)
        start = time.monotonic()
        assert re.search(r"0\.3 s|timed out", tfds_download.probe("http://example.invalid/"))
        assert time.monotonic() - start < 1


def test_a_slow_name_resolution_times_out(monkeypatch):
    monkeypatch.setattr(tfds_download, "_request", lambda url: time.sleep(3))
    monkeypatch.setattr(tfds_download, "PROBE_SECONDS", 0.2)
    start = time.monotonic()
    assert tfds_download.probe("http://example.invalid/") == "does not answer within 0.2 s"
    assert time.monotonic() - start < 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [("200 OK", ""), ("404 Not Found", ""), ("403 Forbidden", "answers 403 Forbidden")],
)
def test_a_probe_distinguishes_an_answer_from_a_block(monkeypatch, answer, reason):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def reply() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(f"HTTP/1.0 {answer}\r\n\r\n".encode())

        server.settimeout(5)
        replying = threading.Thread(target=reply, daemon=True)
        replying.start()
        for name in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.delenv(name, raising=False)
        assert tfds_download.probe(f"http://127.0.0.1:{server.getsockname()[1]}/") == reason
        replying.join()


def test_an_archive_of_the_wrong_size_is_refused_before_anything_is_imported(tmp_path):
    manual = tmp_path / "downloads" / "manual"
    manual.mkdir(parents=True)
    (manual / "aclImdb_v1.tar.gz").write_text("<html>Please log in</html>")
    with pytest.raises(LstmError, match="expected 84,125,825 bytes, found 26") as caught:
        load(DataSource("imdb", data_dir=tmp_path))
    assert caught.value.exit_code == ExitCode.DATA
    assert "web page" in caught.value.hint


def test_an_archive_with_the_right_size_and_wrong_content_is_refused(tmp_path, monkeypatch):
    manual = tmp_path / "downloads" / "manual"
    manual.mkdir(parents=True)
    for name, size in ARCHIVES.items():
        with (manual / name).open("wb") as file:
            file.truncate(size)
    monkeypatch.setattr(tfds_download, "probe", lambda url: pytest.fail("no need for a network"))
    with pytest.raises(LstmError, match="not what TFDS expects") as caught:
        load(DataSource("mnist", data_dir=tmp_path))
    assert caught.value.exit_code == ExitCode.DATA
    assert str(tmp_path / "downloads") in caught.value.hint


def test_a_data_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(tfds_download, "probe", lambda url: "")
    with pytest.raises(LstmError, match="Cannot write to the data folder") as caught:
        load(DataSource("imdb", data_dir=tmp_path / "file"))
    assert caught.value.exit_code == ExitCode.DATA


# Preparing


def test_the_second_process_waits_and_does_not_prepare_again(tmp_path, monkeypatch):
    monkeypatch.setattr(tfds_download, "probe", lambda url: "")
    monkeypatch.setattr(tfds_download, "_prepare", lambda *args: pytest.fail("prepared twice"))
    found = []
    waiting = threading.Thread(
        target=lambda: found.append(
            tfds_download.ensure_prepared(tfds_prepared.TfdsName("mnist"), tmp_path)
        ),
        daemon=True,
    )
    with FileLock(tmp_path / ".lstm-mnist.lock"):
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive()
        _create_versions(tmp_path / "mnist", "3.0.1")
    waiting.join(5)
    assert found == [tmp_path / "mnist" / "3.0.1"]


def test_the_lock_of_a_killed_process_is_released(tmp_path, monkeypatch):
    code = (
        "import filelock, os, sys\n"
        "filelock.FileLock(sys.argv[1]).acquire()\n"
        "os.kill(os.getpid(), 9)\n"
    )
    lock = tmp_path / ".lstm-mnist.lock"
    assert subprocess.run([sys.executable, "-c", code, lock], check=False).returncode == -9
    assert lock.exists()
    monkeypatch.setattr(tfds_download, "probe", lambda url: "")
    monkeypatch.setattr(tfds_download, "_prepare", lambda wanted, folder: folder / "done")
    assert (
        tfds_download.ensure_prepared(tfds_prepared.TfdsName("mnist"), tmp_path)
        == tmp_path / "done"
    )


def test_a_missing_data_set_is_prepared_without_output_on_stdout(tmp_path, monkeypatch, capfd):
    with warnings.catch_warnings(), tfds_download.suppress_native_logs():
        warnings.simplefilter("ignore")
        import tensorflow_datasets as tfds

    class TinyReviews(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            text, label = tfds.features.Text(), tfds.features.ClassLabel(names=["bad", "good"])
            features = tfds.features.FeaturesDict({"text": text, "label": label})
            return tfds.core.DatasetInfo(builder=self, features=features)

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples(20)}

        def _generate_examples(self, num):
            yield from ((i, {"text": f"film {i}", "label": i % 2}) for i in range(num))

    monkeypatch.setattr(tfds_download, "probe", lambda url: "")
    data = load(DataSource("tfds:tiny_reviews", data_dir=tmp_path))
    assert sum(len(split) for split in data.splits.values()) == 20
    assert capfd.readouterr().out == ""


# Names and places


@pytest.mark.parametrize("name", ["tfds:", "tfds:a b", "tfds:../x", "tfds:a/b/c", "tfds:a:1"])
def test_malformed_names_are_refused(name):
    with pytest.raises(LstmError, match="is not of the form"):
        tfds_prepared.parse_name(name)


def test_names_are_parsed():
    assert tfds_prepared.parse_name("tfds:glue/sst2:2.0.0") == tfds_prepared.TfdsName(
        "glue", "sst2", "2.0.0"
    )
    assert tfds_prepared.parse_name("imdb") == tfds_prepared.TfdsName("imdb_reviews", "plain_text")


def test_an_unknown_tfds_name_suggests_the_nearest(tmp_path):
    with pytest.raises(LstmError, match="no data set 'ag_news_subst'") as caught:
        load(DataSource("tfds:ag_news_subst", data_dir=tmp_path))
    assert "'ag_news_subset'" in caught.value.hint
    assert caught.value.exit_code == ExitCode.USAGE


def test_the_data_folder_is_the_option_then_the_variable_then_the_default(monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", "/variable")
    assert tfds_prepared.resolve_data_dir(DataSource("imdb", data_dir=Path("/option"))) == Path(
        "/option"
    )
    assert tfds_prepared.resolve_data_dir(DataSource("imdb")) == Path("/variable")
    monkeypatch.delenv("TFDS_DATA_DIR")
    assert (
        tfds_prepared.resolve_data_dir(DataSource("imdb"))
        == Path("~/tensorflow_datasets").expanduser()
    )


def _create_versions(folder: Path, *versions: str) -> None:
    for version in versions:
        (folder / version).mkdir(parents=True)
        (folder / version / "dataset_info.json").write_text("{}")


def test_the_newest_version_is_found_and_an_unfinished_one_is_not(tmp_path):
    _create_versions(tmp_path / "set", "2.0.0", "10.0.0")
    (tmp_path / "set" / "11.0.0.incompleteXYZ").mkdir()
    found = tfds_prepared.find_prepared(tfds_prepared.TfdsName("set"), tmp_path)
    assert found == tmp_path / "set" / "10.0.0"
    found = tfds_prepared.find_prepared(tfds_prepared.TfdsName("set", version="2.0.0"), tmp_path)
    assert found == tmp_path / "set" / "2.0.0"
    assert (
        tfds_prepared.find_prepared(tfds_prepared.TfdsName("set", version="3.0.0"), tmp_path)
        is None
    )
    assert tfds_prepared.find_prepared(tfds_prepared.TfdsName("other"), tmp_path) is None


def test_the_default_configuration_is_used_and_else_the_user_must_choose(tmp_path):
    _create_versions(tmp_path / "set" / "plain", "1.0.0")
    assert tfds_prepared.find_prepared(tfds_prepared.TfdsName("set"), tmp_path).parts[-2] == "plain"
    _create_versions(tmp_path / "set" / "rich", "1.0.0")
    with pytest.raises(LstmError, match="plain, rich"):
        tfds_prepared.find_prepared(tfds_prepared.TfdsName("set"), tmp_path)
    (tmp_path / "set" / ".config").mkdir()
    metadata = tmp_path / "set" / ".config" / "metadata.json"
    metadata.write_text('{"default_config_name": "rich"}')
    assert tfds_prepared.find_prepared(tfds_prepared.TfdsName("set"), tmp_path).parts[-2] == "rich"


# Reading, from small data sets written by TFDS itself


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    with warnings.catch_warnings(), tfds_download.suppress_native_logs():
        warnings.simplefilter("ignore")
        import tensorflow as tf
        import tensorflow_datasets as tfds

    folder = tmp_path_factory.mktemp("tfds")
    text, label = tfds.features.Text(), tfds.features.ClassLabel(names=["sport", "art", "food"])

    def store(name, features, **columns):
        splits = {
            split: tf.data.Dataset.from_tensor_slices(values) for split, values in columns.items()
        }
        tfds.dataset_builders.store_as_tfds_dataset(
            name=name,
            version="1.0.0",
            features=tfds.features.FeaturesDict(features),
            split_datasets=splits,
            data_dir=folder,
            disable_shuffling=True,
        )

    texts = [b"caf\xc3\xa9 %d" % i for i in range(30)]
    labels = np.arange(30, dtype=np.int64) % 3
    plain = {"text": texts, "label": labels}
    store("both", {"text": text, "label": label}, train=plain, test=plain)
    store("lone", {"text": text, "label": label}, train=plain)
    hidden = {"text": texts, "label": np.full(30, -1, np.int64)}
    store("hidden", {"text": text, "label": label}, train=plain, test=hidden)
    partly = {"text": texts, "label": np.where(labels == 2, -1, labels)}
    store("partly", {"text": text, "label": label}, train=partly)
    titled = {**plain, "title": texts}
    store("titled", {"text": text, "title": text, "label": label}, train=titled)
    store("bare", {"text": text}, train={"text": texts})
    images = np.arange(30 * 4 * 3, dtype=np.uint8).reshape(30, 4, 3, 1)
    image = tfds.features.Image(shape=(4, 3, 1))
    store("pictures", {"image": image, "label": label}, train={"image": images, "label": labels})
    # TFDS writes small data sets into one file; these two have 20 files of 0 to 57 examples.
    for name, ordered in (("shuffled", False), ("ordered", True)):
        _write_shards(folder / name / "1.0.0", folder / "lone" / "1.0.0", name, ordered)
    return folder


def _write_shards(target, source, name, ordered):
    import tensorflow as tf

    shutil.copytree(source, target)
    next(target.glob("*.tfrecord*")).unlink()
    lengths = [3 * shard for shard in range(20)]
    for shard, length in enumerate(lengths):
        path = target / f"{name}-train.tfrecord-{shard:05}-of-00020"
        with tf.io.TFRecordWriter(str(path)) as writer:
            for i in range(length):
                features = {
                    "text": tf.train.Feature(
                        bytes_list=tf.train.BytesList(value=[b"%d/%d" % (shard, i)])
                    ),
                    "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[i % 3])),
                }
                example = tf.train.Example(features=tf.train.Features(feature=features))
                writer.write(example.SerializeToString())
    info = json.loads((target / "dataset_info.json").read_text())
    info |= {"name": name, "disableShuffling": ordered}
    info["splits"][0]["shardLengths"] = [str(length) for length in lengths]
    (target / "dataset_info.json").write_text(json.dumps(info))


def test_texts_labels_and_order_are_those_of_tfds(folder):
    data = load(DataSource("tfds:both", data_dir=folder))
    assert data.name == "tfds-both"
    assert data.source == "TFDS both/1.0.0"
    assert data.labels == ("sport", "art", "food")
    assert list(data.splits["test"].inputs) == [f"café {i}" for i in range(30)]
    np.testing.assert_array_equal(data.splits["test"].labels, np.arange(30) % 3)
    assert {name: len(split) for name, split in data.splits.items()} == {
        "train": 27,
        "validation": 3,
        "test": 30,
    }


def test_the_test_split_is_read_only_on_request(folder, monkeypatch):
    from lstm_cli.data.readers import tfds

    parse, texts = tfds.parse_example, []

    def parse_and_count(record):
        texts.append(parse(record)["text"])
        return parse(record)

    monkeypatch.setattr(tfds, "parse_example", parse_and_count)
    load(DataSource("tfds:both", data_dir=folder), ["train", "validation"])
    assert len(texts) == 1 + 30  # the first test example tells whether the split has labels
    load(DataSource("tfds:both", data_dir=folder), ["test"])
    assert len(texts) == 2 * 31


@pytest.mark.parametrize("name", ["shuffled", "ordered", "both"])
def test_the_order_of_several_files_is_that_of_tfds(folder, name):
    import tensorflow_datasets as tfds

    read = open_raw(DataSource(f"tfds:{name}", data_dir=folder)).read["train"]()
    builder = tfds.builder_from_directory(folder / name / "1.0.0")
    expected = list(tfds.as_numpy(builder.as_dataset(split="train")))
    assert len(read) == len(expected)
    assert list(read.inputs) == [example["text"].decode() for example in expected]
    assert read.labels.tolist() == [example["label"] for example in expected]


@pytest.mark.parametrize("name", ["lone", "hidden"])
def test_a_data_set_without_a_usable_test_split_gets_one_cut(folder, name):
    data = load(DataSource(f"tfds:{name}", data_dir=folder))
    assert len(data.splits["test"]) == 6
    assert len({*data.splits["train"].inputs, *data.splits["test"].inputs}) == 21 + 6
    assert all("no labels" in note for note in data.notes)
    assert len(data.notes) == (name == "hidden")


def test_examples_without_a_label_are_left_out(folder):
    data = load(DataSource("tfds:partly", data_dir=folder))
    assert sum(np.bincount(split.labels) for split in data.splits.values()).tolist() == [10, 10]


def test_with_several_texts_the_column_must_be_named(folder):
    with pytest.raises(LstmError, match=r"one text feature.*text \(Text\).*title \(Text\)"):
        load(DataSource("tfds:titled", data_dir=folder))
    data = load(DataSource("tfds:titled", data_dir=folder, text_columns=("title",)))
    assert len(data.splits["train"]) == 21
    both = load(DataSource("tfds:titled", data_dir=folder, text_columns=("title", "text")))
    other = load(DataSource("tfds:titled", data_dir=folder, text_columns=("text",)))
    parts = [loaded.splits["train"].inputs for loaded in (data, other)]
    assert both.splits["train"].inputs == [join_fields(pair) for pair in zip(*parts, strict=True)]
    assert both.fingerprint not in (data.fingerprint, other.fingerprint)


def test_without_a_label_the_features_are_listed(folder):
    with pytest.raises(LstmError, match=r"one label feature, and has none among: text \(Text\)"):
        load(DataSource("tfds:bare", data_dir=folder))


def test_gray_images_come_as_bytes(folder):
    data = load(DataSource("tfds:pictures", data_dir=folder))
    assert data.kind == "image"
    assert data.splits["train"].inputs.shape == (21, 4, 3)
    assert data.splits["train"].inputs.dtype == np.uint8


def test_a_lost_shard_is_reported_as_damage(folder, tmp_path):
    shutil.copytree(folder / "both", tmp_path / "both")
    next((tmp_path / "both" / "1.0.0").glob("*test.tfrecord*")).write_bytes(b"torn")
    with pytest.raises(LstmError, match="incomplete or damaged") as caught:
        load(DataSource("tfds:both", data_dir=tmp_path), ["test"])
    assert caught.value.exit_code == ExitCode.DATA


@pytest.mark.parametrize("offset", [3, 9, 30, -10, -1])
def test_a_changed_byte_is_reported_as_damage(folder, tmp_path, offset):
    shutil.copytree(folder / "both", tmp_path / "both")
    path = next((tmp_path / "both" / "1.0.0").glob("*test.tfrecord*"))
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)
    with pytest.raises(LstmError) as caught:
        load(DataSource("tfds:both", data_dir=tmp_path), ["test"])
    assert caught.value.exit_code == ExitCode.DATA


def test_a_missing_example_is_reported_as_damage(folder, tmp_path):
    shutil.copytree(folder / "both", tmp_path / "both")
    info = tmp_path / "both" / "1.0.0" / "dataset_info.json"
    info.write_text(info.read_text().replace('"30"', '"31"'))
    with pytest.raises(LstmError, match="30 of 31 examples") as caught:
        load(DataSource("tfds:both", data_dir=tmp_path), ["test"])
    assert caught.value.exit_code == ExitCode.DATA


def test_a_prepared_data_set_is_read_without_tensorflow(folder):
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from lstm_cli.data import DataSource, load\n"
        "for name in ('both', 'pictures', 'hidden'):\n"
        "    load(DataSource(f'tfds:{name}', data_dir=Path(sys.argv[1])))\n"
        "print({'tensorflow', 'tensorflow_datasets'} & {*sys.modules})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"


def test_the_fingerprint_depends_on_the_column(folder):
    first = load(DataSource("tfds:titled", data_dir=folder, text_columns=("title",)), ["train"])
    second = load(DataSource("tfds:titled", data_dir=folder, text_columns=("text",)), ["train"])
    assert first.fingerprint != second.fingerprint


# Real data


@pytest.mark.realdata
def test_imdb_is_whole_and_balanced():
    _real("imdb_reviews", "plain_text", "1.0.0")
    data = load(DataSource("imdb"))
    assert data.labels == ("neg", "pos")
    sizes = {name: np.bincount(split.labels).tolist() for name, split in data.splits.items()}
    assert sizes == {
        "train": [11_250, 11_250],
        "validation": [1250, 1250],
        "test": [12_500, 12_500],
    }


@pytest.mark.realdata
def test_mnist_is_whole():
    _real("mnist", "3.0.1")
    data = load(DataSource("mnist"), ["test"])
    assert data.splits["test"].inputs.shape == (10_000, 28, 28)
    assert data.labels == tuple("0123456789")
