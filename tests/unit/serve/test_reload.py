"""A run is replaced by a newer one while the server answers."""

from __future__ import annotations

import asyncio
import gc
import shutil
import threading
import time
import weakref
import zipfile
from functools import partial
from types import SimpleNamespace

import pytest
from fixtures_runs import TEXTS, make_image_run, make_text_run, text_config
from fixtures_serve import (
    BlockingPredictor,
    explainer_of,
    in_thread,
    sources_thread,
)

from lstm_cli.prediction.predictor import Predictor
from lstm_cli.runs import archive
from lstm_cli.runs import directory as runs
from lstm_cli.runs.directory import RunDir
from lstm_cli.runs.find import find
from lstm_cli.serve import reload, shared_compute
from lstm_cli.serve.batch_workers import BatchWorkers
from lstm_cli.serve.models import Model, Models, ModelSource
from lstm_cli.serve.run_state import read_version

_SECONDS = 0.05


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two text runs that answer differently, and an image run."""
    folder = tmp_path_factory.mktemp("made")
    return {
        "old": make_text_run(folder / "demo" / "old"),
        "new": make_text_run(
            folder / "demo" / "new",
            config=text_config(model__units=5),
            started="2026-02-01T00:00:00+00:00",
        ),
        "image": make_image_run(folder / "demo" / "image"),
    }


@pytest.fixture
def root(made, tmp_path):
    """A folder with the run `demo/old` only."""
    shutil.copytree(made["old"].path, tmp_path / "demo" / "old")
    return tmp_path


@pytest.fixture
def lines():
    return []


def served(root, lines, wrap=lambda predictor: predictor, **options):
    """Serve the newest run of the data set `demo`, and look for newer ones."""

    def look():
        return find(root, "demo")

    def load():
        return explainer_of(wrap(Predictor.load(look())))

    source = ModelSource("demo", look(), load, look)
    return sources_thread([source], reload_seconds=_SECONDS, report=lines.append, **options)


def add(root, run):
    """Add a finished run at once, as `train` does by writing the manifest last."""
    shutil.copytree(run.path, root / "tmp" / run.path.name)
    (root / "tmp" / run.path.name).rename(root / "demo" / run.path.name)


def wait_for(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def run_of(server):
    return server.get("/v1/model").json()["run"]


def test_no_request_fails_under_load(root, made, lines):
    """Clients ask without a pause, before, during and after the change."""
    expected = {
        name: Predictor.load(made[name]).predict(TEXTS[0])[0].probability for name in ("old", "new")
    }
    assert abs(expected["old"] - expected["new"]) > 0.01
    answers, stop = [], threading.Event()

    def ask(server):
        while not stop.is_set():
            answers.append(server.predict({"text": TEXTS[0]}))

    with served(root, lines) as server:
        threads = [in_thread(ask, server)[0] for _ in range(4)]
        wait_for(lambda: len(answers) > 20)
        add(root, made["new"])
        wait_for(lambda: lines)
        num_before = len(answers)
        wait_for(lambda: len(answers) > num_before + 20)
        stop.set()
        for thread in threads:
            thread.join()
        assert server.get("/v1/models").json()["models"][0]["name"] == "demo"
        assert (
            'lstm_model_info{model="demo",run="demo/new"}' in server.get("/metrics").body.decode()
        )
    assert {answer.status for answer in answers} == {200}
    found = {"old": 0, "new": 0}
    for answer in answers:
        content = answer.json()
        name = content["run"].removeprefix("demo/")
        assert content["predictions"][0]["probability"] == pytest.approx(expected[name], abs=1e-6)
        found[name] += 1
    assert min(found.values()) >= 20
    assert lines == ["Model demo: demo/new answers in place of demo/old."]


def test_requests_in_flight_finish_with_the_old_run_which_is_then_freed(root, made, lines):
    blocked, freed = [], []

    def wrap(predictor):
        freed.append(weakref.ref(predictor))
        blocked.append(BlockingPredictor(predictor))
        return blocked[0]

    with served(root, lines, wrap) as server:
        old = in_thread(server.predict, {"text": TEXTS[0]})
        assert blocked[0].started.wait(20)
        add(root, made["new"])
        wait_for(lambda: lines)
        assert server.predict({"text": TEXTS[0]}).json()["run"] == "demo/new"
        blocked[0].release.set()
        old[0].join()
        assert (old[1][0].status, old[1][0].json()["run"]) == (200, "demo/old")
        blocked.clear()
        wait_for(lambda: gc.collect() >= 0 and freed[0]() is None)


def test_requests_in_the_queue_are_answered_by_the_old_run(root, made, lines, monkeypatch):
    monkeypatch.setattr(shared_compute, "BatchWorkers", partial(BatchWorkers, num_workers=1))
    blocked = []

    def wrap(predictor):
        blocked.append(BlockingPredictor(predictor))
        return blocked[0]

    with served(root, lines, wrap) as server:
        asked = [in_thread(server.predict, {"text": TEXTS[0]})]
        assert blocked[0].started.wait(20)
        asked += [in_thread(server.predict, {"text": text}) for text in TEXTS[:2]]
        waiting = 'lstm_queue_inputs{model="demo"} 2.0'
        wait_for(lambda: waiting in server.get("/metrics").body.decode())
        add(root, made["new"])
        wait_for(lambda: lines)
        asked.append(in_thread(server.predict, {"text": TEXTS[0]}))
        blocked[0].release.set()
        for thread, _ in asked:
            thread.join()
        assert [found.status for _, (found,) in asked] == [200] * 4
        found = [found.json()["run"] for _, (found,) in asked]
        assert found == ["demo/old", "demo/old", "demo/old", "demo/new"]


def test_a_bad_run_is_refused_once_and_taken_when_it_is_whole(root, made, lines, monkeypatch):
    """Its weights are another number: only the checks notice that."""
    answered, load = [], reload.Explainer.load

    def load_and_ask(run):
        answered.append(run_of(server))
        try:
            return load(run)
        finally:
            answered.append(run_of(server))

    shutil.copytree(made["new"].path, root / "away")
    weights = root / "away" / runs.WEIGHTS
    content = weights.read_bytes()
    weights.write_bytes(content[:-4] + bytes([content[-4] ^ 1]) + content[-3:])
    with served(root, lines) as server:
        monkeypatch.setattr(reload.Explainer, "load", load_and_ask)
        (root / "away").rename(root / "demo" / "new")
        wait_for(lambda: lines)
        time.sleep(4 * _SECONDS)
        assert len(lines) == 1, lines
        assert "demo/old keeps answering" in lines[0]
        assert runs.WEIGHTS in lines[0]
        assert server.predict({"text": TEXTS[0]}).json()["run"] == "demo/old"
        metrics = server.get("/metrics").body.decode()
        assert 'lstm_reloads_total{model="demo",result="refused"} 1.0' in metrics
        (root / "demo" / "new" / runs.WEIGHTS).write_bytes(content)
        wait_for(lambda: len(lines) > 1)
        assert run_of(server) == "demo/new"
    assert set(answered) == {"demo/old"}


def test_a_run_of_another_kind_is_refused(root, made, lines):
    with served(root, lines) as server:
        shutil.rmtree(root / "demo" / "old")
        add(root, made["image"])
        wait_for(lambda: lines)
        assert "reads images" in lines[0]
        assert server.predict({"text": TEXTS[0]}).json()["run"] == "demo/old"


def test_a_folder_that_holds_another_run_is_taken(root, made, lines):
    with served(root, lines) as server:
        before = server.predict({"text": TEXTS[0]}).json()["predictions"]
        docs = server.get("/openapi.json").body
        shutil.rmtree(root / "demo" / "old")
        shutil.copytree(made["new"].path, root / "tmp" / "old")
        (root / "tmp" / "old").rename(root / "demo" / "old")
        wait_for(lambda: any("has changed" in line for line in lines))
        assert server.predict({"text": TEXTS[0]}).json()["predictions"] != before
        assert server.get("/openapi.json").body != docs


def test_an_archive_that_is_replaced_is_taken_and_the_old_one_deleted(made, tmp_path, lines):
    path = tmp_path / "model.zip"
    archive.write(made["old"], path)

    def look():
        return find(tmp_path, str(path))

    run = look()
    source = ModelSource("model", run, lambda: explainer_of(Predictor.load(run)), look)
    with sources_thread([source], reload_seconds=_SECONDS, report=lines.append) as server:
        archive.write(made["new"], path)
        wait_for(lambda: lines)
        assert run_of(server) == "demo/new"
        assert server.predict({"text": TEXTS[0]}).status == 200
        assert server.get("/docs").status == 200
        wait_for(lambda: not run.path.exists())


def test_an_archive_that_is_refused_is_deleted_and_opened_again_only_if_it_changes(
    made, tmp_path, lines, monkeypatch
):
    monkeypatch.setenv("LSTM_CACHE_DIR", str(tmp_path / "cache"))
    path, bad = tmp_path / "model.zip", tmp_path / "bad.zip"
    archive.write(made["old"], path)
    with zipfile.ZipFile(bad, "w") as file:
        for name in made["new"].path.iterdir():
            content = name.read_bytes() + b" " if name.name == runs.MODEL else name.read_bytes()
            file.writestr(f"demo/new/{name.name}", content)
    looks = []

    def look():
        looks.append(find(tmp_path, str(path)))
        return looks[-1]

    def folders():
        return [folder for folder in (tmp_path / "cache" / "temp").iterdir() if folder.is_dir()]

    run = look()
    source = ModelSource("model", run, lambda: explainer_of(Predictor.load(run)), look)
    with sources_thread([source], reload_seconds=_SECONDS, report=lines.append) as server:
        bad.rename(path)
        wait_for(lambda: lines)
        assert runs.MODEL in lines[0]
        num_looks = len(looks)
        time.sleep(4 * _SECONDS)
        assert len(looks) == num_looks
        assert folders() == [run.path.parent.parent]
        assert server.predict({"text": TEXTS[0]}).json()["run"] == "demo/old"
        archive.write(made["new"], path)
        wait_for(lambda: len(lines) > 1)
        assert run_of(server) == "demo/new"
        wait_for(lambda: folders() == [looks[-1].path.parent.parent])


def test_an_archive_that_another_model_serves_stays_if_one_refuses_it(made, tmp_path, monkeypatch):
    path = tmp_path / "model.zip"
    archive.write(made["old"], path)
    runs_found = []

    def look():
        runs_found.append(find(tmp_path, str(path)))
        return runs_found[-1]

    def load(run):
        if len(runs_found) == 3:
            raise MemoryError
        return SimpleNamespace(predictor=SimpleNamespace(run=run, kind="text"))

    def build(name, explainer, version):
        run = explainer.predictor.run
        described = SimpleNamespace(run=run.name, labels=[], kind="text")
        return Model(name, explainer, None, described, version)

    old = look()
    models = Models([build(name, load(old), read_version(old)) for name in "ab"])
    server = SimpleNamespace(
        models=models, build=build, replace=models.replace, observe_refused=lambda _: None
    )
    archive.write(made["new"], path)
    monkeypatch.setattr(reload.Explainer, "load", load)
    sources = [ModelSource(name, old, None, look) for name in "ab"]
    asyncio.run(reload.Reloader(sources, server, lambda _: None).reload())
    new = models.get("a").run
    assert (new, models.get("b").run) == (runs_found[1], old)
    assert new != old
    assert new.path.exists()
    assert old.path.exists()


def test_a_run_that_is_replaced_while_the_server_opens_it_is_taken(root, made, lines):
    old = root / "demo" / "old"

    def load():
        explainer = explainer_of(Predictor.load(RunDir(old)))
        shutil.rmtree(old)
        shutil.copytree(made["new"].path, old)
        return explainer

    source = ModelSource("demo", RunDir(old), load, lambda: RunDir(old))
    with sources_thread([source], reload_seconds=_SECONDS, report=lines.append):
        wait_for(lambda: lines)
        assert lines == ["Model demo: demo/old was read again, because it has changed."]
