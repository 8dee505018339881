"""The parts of a job: which files are found, and what the files of their answers are called."""

from __future__ import annotations

import pytest

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.scale.parts import check_out, find_parts


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(*names):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text("text\na film\n")
        return tmp_path

    return write


@pytest.mark.parametrize(
    ("names", "patterns", "format_", "expected"),
    [
        (("p-1.csv", "p-0.csv"), ["p-*.csv"], "auto", ["p-0.csv", "p-1.csv"]),
        (("a/p.csv", "b/p.csv"), ["*/p.csv"], "auto", ["a/p.csv", "b/p.csv"]),
        (("x/a/p.csv", "x/a/q.csv"), ["x/**/*.csv"], "auto", ["a/p.csv", "a/q.csv"]),
        (("x/a/p.csv", "x/b/q.csv"), ["x/a/*", "x/b/q.csv"], "auto", ["a/p.csv", "b/q.csv"]),
        # Another folder, which has no file yet, would change nothing.
        (("a/p.csv",), ["*/p.csv"], "auto", ["a/p.csv"]),
        (("p.csv", "q.csv"), ["p.csv", "q.csv", "p.*"], "auto", ["p.csv", "q.csv"]),
        (("p.csv.gz", "q.csv"), ["*"], "auto", ["p.csv.gz", "q.csv"]),
        (("p.csv.gz", "q.csv"), ["*"], "parquet", ["p.parquet", "q.parquet"]),
        (("p.txt",), ["p.t*"], "jsonl", ["p.jsonl"]),
        # A file of that name goes before what the pattern matches.
        (("p[1].csv", "p1.csv"), ["p[1].csv"], "auto", ["p[1].csv"]),
    ],
)
def test_the_answers_are_named_like_the_input(folder, names, patterns, format_, expected):
    folder(*names)
    parts, _ = find_parts(patterns, format_, "out")
    assert [part.out for part in parts] == expected


def test_a_part_is_known_by_its_absolute_path_and_named_as_typed(folder):
    root = folder("in/p.csv")
    (part,), format_ = find_parts(["in/*"], "auto", "out")
    assert (part.path, part.name, part.size) == (str(root / "in/p.csv"), "in/p.csv", 12)
    assert part.version == str((root / "in/p.csv").stat().st_mtime_ns)
    assert format_ == "csv"
    assert find_parts([f"file://{root}/in/p.csv"], "auto", "out")[0][0].path == part.path


@pytest.mark.parametrize(
    ("names", "patterns", "code", "reason"),
    [
        ((), ["p-*.csv"], ExitCode.DATA, r"No file matches p-\*\.csv"),
        (("p.csv", "q.jsonl"), ["*"], ExitCode.USAGE, "different formats: p.csv and q.jsonl"),
        (("p.txt",), ["*"], ExitCode.USAGE, "ends in .txt"),
        (("p.parquet", "sub/"), ["sub*"], ExitCode.DATA, "No file matches"),
    ],
)
def test_inputs_that_cannot_be_one_job_are_refused(folder, names, patterns, code, reason):
    root = folder(*(name for name in names if not name.endswith("/")))
    for name in names:
        (root / name).mkdir() if name.endswith("/") else None
    with pytest.raises(LstmError, match=reason) as caught:
        find_parts(patterns, "auto", "out")
    assert caught.value.exit_code == code


def test_two_inputs_with_one_output_are_refused(folder):
    folder("p.csv.gz", "p.csv")
    with pytest.raises(LstmError, match=r"p\.csv\.gz would both be p\.jsonl"):
        find_parts(["*"], "jsonl", "out")


def test_an_output_that_is_an_input_is_refused(folder):
    root = folder("in/p.csv")
    (root / "link").symlink_to(root / "in")
    parts, _ = find_parts(["in/*"], "auto", "out")
    check_out(parts, str(root / "out"))
    for out in (root / "in", root / "link"):
        with pytest.raises(LstmError, match="would replace"):
            check_out(parts, str(out))


def test_a_pattern_matches_no_answers(folder):
    root = folder("in/p.csv", "in/ans/p.csv", "in/answers/q.csv")
    (root / "link").symlink_to(root / "in/ans")
    for out in ("in/ans", "link/", f"file://{root}/in/ans"):
        parts, _ = find_parts(["in/**/*.csv"], "auto", out)
        assert [part.name for part in parts] == ["in/answers/q.csv", "in/p.csv"]
        with pytest.raises(LstmError, match="are in the folder of --out") as caught:
            find_parts(["in/ans/*"], "auto", out)
        assert caught.value.exit_code == ExitCode.USAGE
    assert find_parts(["in/ans/p.csv"], "auto", "in/ans")[0]
