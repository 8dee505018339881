"""A job: finished parts are not predicted again, and the engines write the same bits."""

from __future__ import annotations

import pytest
from fixtures_reports import text_run

from lstm_cli.data.readers.read_options import ReadOptions
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.worker import Worker
from lstm_cli.prediction.answers import Rule
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.prediction.write_file import Content
from lstm_cli.scale import local_engine
from lstm_cli.scale.job import Job
from lstm_cli.scale.parts import find_parts
from lstm_cli.scale.predict_part import PartSettings


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    return Predictor.load(text_run(tmp_path_factory.mktemp("run") / "demo" / "one"))


@pytest.fixture
def make_job(tmp_path, predictor):
    for number in range(3):
        path = tmp_path / f"in/p-{number}.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text("id,text\n" + f"{number},a fine film\n" * (number + 1) + "bad\n")

    def make(out="out", files="in/*", **options):
        content = Content(options.pop("format", "csv"), keep="all")
        rule = Rule(stop=options.pop("stop", False))
        settings = PartSettings(str(tmp_path / out), content, rule, (), ReadOptions(**options))
        parts, _ = find_parts([str(tmp_path / files)], content.format, settings.out)
        return Job(predictor, parts, settings)

    return make


def run(job, engine=None):
    with job.opened() as (finished, waiting):
        outcomes = [*(engine or job.on_this_machine(1, 1))(waiting)]
    return finished, outcomes


def answers(folder):
    return {path.name: path.read_bytes() for path in folder.glob("p-*")}


def test_a_bad_row_is_a_record_with_its_reason(tmp_path, make_job):
    _, outcomes = run(make_job())
    assert [(o.finished.num_inputs, o.finished.num_bad) for o in outcomes] == [
        (2, 1),
        (3, 1),
        (4, 1),
    ]
    last = (tmp_path / "out/p-2.csv").read_text().splitlines()[-1]
    assert last.startswith(",,") and "line 5: expected 2 fields" in last


def test_finished_parts_are_not_predicted_again(tmp_path, make_job):
    run(make_job())
    before = answers(tmp_path / "out")
    (tmp_path / "out/p-1.csv").unlink()
    (tmp_path / "in/p-2.csv").write_text("id,text\n9,a dull film\n")
    times = (tmp_path / "out/p-0.csv").stat()
    finished, outcomes = run(make_job())
    assert [record.output for record in finished] == ["p-0.csv"]
    assert [outcome.part.out for outcome in outcomes] == ["p-1.csv", "p-2.csv"]
    after = answers(tmp_path / "out")
    assert after["p-1.csv"] == before["p-1.csv"] and b"a dull film" in after["p-2.csv"]
    assert (tmp_path / "out/p-0.csv").stat() == times


def test_a_damaged_record_costs_its_part_only(tmp_path, make_job):
    run(make_job())
    (tmp_path / "out/_lstm_predict/parts/p-1.csv.json").write_bytes(b"{")
    _, outcomes = run(make_job())
    assert [outcome.part.out for outcome in outcomes] == ["p-1.csv"]


def test_temporary_files_of_a_killed_process_are_removed(tmp_path, make_job):
    run(make_job())
    left = tmp_path / "out/.p-1.csv.abcd1234.part"
    left.write_text("half")
    run(make_job())
    assert not left.exists()


def test_a_folder_with_other_files_is_refused(tmp_path, make_job):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.csv").write_text("text\n")
    # What another process is writing there.
    foreign = tmp_path / "out/runs/.weights.safetensors.abcd1234.part"
    foreign.parent.mkdir()
    foreign.write_text("half")
    with pytest.raises(LstmError, match=r"has files already, such as mine\.csv") as caught:
        run(make_job())
    assert caught.value.exit_code == ExitCode.USAGE
    assert foreign.exists()


def test_other_settings_are_refused(make_job):
    run(make_job())
    with pytest.raises(LstmError, match="input encoding was auto, and is now latin-1"):
        run(make_job(encoding="latin-1"))


def test_settings_of_a_job_without_a_finished_part_bind_nobody(tmp_path, make_job):
    _, outcomes = run(make_job(format="csv", encoding="utf-32"))
    assert all(outcome.finished is None for outcome in outcomes)
    _, outcomes = run(make_job())
    assert [outcome.message for outcome in outcomes] == [""] * 3
    (tmp_path / "out/_lstm_predict/parts/p-1.csv.json").unlink()
    with pytest.raises(LstmError, match="other settings"):
        run(make_job(encoding="latin-1"))


def test_answers_of_another_input_are_not_replaced(tmp_path, make_job):
    run(make_job())
    before = answers(tmp_path / "out")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/p-1.csv").write_text("id,text\n7,a dull film\n")
    with pytest.raises(LstmError, match=r"in/p-1\.csv, .* by those of .*other/p-1\.csv") as caught:
        run(make_job(files="other/*"))
    assert caught.value.exit_code == ExitCode.USAGE
    assert answers(tmp_path / "out") == before


def test_links_that_lead_nowhere_do_not_stop_a_job(tmp_path, make_job):
    run(make_job())
    (tmp_path / "out/gone").symlink_to("nowhere")
    (tmp_path / "out/loop").symlink_to("loop")
    finished, _ = run(make_job())
    assert len(finished) == 3


def test_answers_below_the_pattern_are_not_inputs(tmp_path, make_job):
    for _ in range(2):
        finished, _ = run(make_job("in/answers", files="in/**/*.csv"))
    assert [record.output for record in finished] == ["p-0.csv", "p-1.csv", "p-2.csv"]


def test_two_processes_do_not_write_to_one_folder(make_job):
    with make_job().opened(), pytest.raises(LstmError, match="Another process writes to"):
        run(make_job())


def test_a_part_that_cannot_be_read_does_not_stop_the_others(tmp_path, make_job):
    (tmp_path / "in/p-1.csv").write_bytes(b"PK\x03\x04 a workbook")
    _, outcomes = run(make_job())
    assert [outcome.finished is None for outcome in outcomes] == [False, True, False]
    assert outcomes[1].message
    assert sorted(answers(tmp_path / "out")) == ["p-0.csv", "p-2.csv"]


def test_stop_fails_the_part_of_a_bad_row(make_job):
    _, outcomes = run(make_job(stop=True))
    assert all("expected 2 fields" in outcome.message for outcome in outcomes)


def test_a_process_that_dies_costs_its_part_only(tmp_path, make_job, monkeypatch):
    # One of the two processes ends while it has its first part.
    starts = iter([True, *[False] * 9])
    real = local_engine.new_worker

    def new_worker() -> Worker:
        worker = real()
        if next(starts):
            worker._process.kill()
        return worker

    monkeypatch.setattr(local_engine, "new_worker", new_worker)
    run(make_job("one"))
    job = make_job("two")
    _, outcomes = run(job, job.on_this_machine(2, 1))
    assert not any(outcome.message for outcome in outcomes)
    assert answers(tmp_path / "one") == answers(tmp_path / "two")


def test_a_process_that_dies_twice_fails_its_part(tmp_path, make_job, monkeypatch):
    monkeypatch.setattr(local_engine, "new_worker", Worker)
    job = make_job()
    _, outcomes = run(job, job.on_this_machine(2, 1))
    assert all("ended twice" in outcome.message for outcome in outcomes)
    assert len(outcomes) == 3
    assert answers(tmp_path / "out") == {}
