"""All checks together: what they count, where the rows are, and what does not grow."""

from __future__ import annotations

import json
import unicodedata
from collections import defaultdict
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_cli.checks import KINDS, check_data
from lstm_cli.checks.keys import label_key
from lstm_cli.data.rows import LabeledRows, read_rows
from lstm_cli.errors import LstmError
from lstm_cli.text.equality import comparable

pytest.importorskip("ftfy")

CLEAN = (
    ("I was charged twice for one order.", "billing"),
    ("My card has not come yet.", "delivery"),
    ("Where do I change my address?", "account"),
    ("Le café était fermé à midi.", "delivery"),
)


def rows(pairs, name="train.csv", first=2):
    texts, labels = zip(*pairs, strict=True)
    return LabeledRows(name, texts, labels, range(first, first + len(texts)))


def finding(check, kind):
    (found,) = (each for each in check.findings if each.kind == kind)
    return found


def places(check, kind):
    return [[row.place for row in group.rows] for group in finding(check, kind).groups]


def counts(check):
    return {found.kind: found.num for found in check.findings if found.num}


def test_nothing_is_found_in_clean_data():
    other = [("Can I pay by bank transfer?", "billing"), ("The parcel is broken!", "delivery")]
    check = check_data([rows(CLEAN), rows(other, "test.csv")])
    assert counts(check) == {}
    assert [found.kind for found in check.findings] == list(KINDS)


def test_copies_are_told_apart_within_a_file_and_between_files():
    train = [*CLEAN, ("my card has  not come YET.", "delivery")]
    test = [("My card has not come yet.", "delivery"), ("Nothing else.", "account")]
    check = check_data([rows(train), rows(test, "test.csv")])
    assert counts(check) == {"leak": 1, "duplicate": 1}
    assert places(check, "leak") == [["test.csv:2", "train.csv:3", "train.csv:6"]]
    assert places(check, "duplicate") == [["train.csv:3", "train.csv:6"]]
    assert finding(check, "leak").note == ""


def test_a_leak_of_short_texts_says_so():
    check = check_data([rows([("Thank you!", "a")]), rows([("thank you!", "a")], "test.csv")])
    assert "1 of them have 3 words or less" in finding(check, "leak").note


def test_one_text_with_two_labels_is_a_conflict_and_with_two_spellings_of_one_is_not():
    train = [("It is late.", "delivery"), ("It is  late.", "Delivery"), ("It is cheap.", "billing")]
    assert counts(check_data([rows(train)])) == {"duplicate": 1, "labels": 2}
    check = check_data([rows([*train, ("it is late.", "billing")])])
    assert counts(check)["conflict"] == 3
    assert places(check, "conflict") == [["train.csv:2", "train.csv:3", "train.csv:5"]]
    lacking = check_data([rows([("It is late.", "delivery"), ("It is late.", "")])])
    assert counts(lacking) == {"duplicate": 1, "no-label": 1}


def test_of_a_conflict_of_many_rows_each_label_is_shown_and_counted():
    train = [("same text here", "a")] * 50 + [("same text here", "b")] * 3
    (group,) = finding(check_data([rows(train)]), "conflict").groups
    assert (group.num_rows, len(group.rows)) == (53, 6)
    assert {row.label for row in group.rows} == {"a", "b"}
    assert group.detail == "50 'a', 3 'b'"


def test_near_copies_come_with_both_rows_and_different_labels_first():
    text = "I was charged twice for one order and nobody at your office answers me"
    test = [(f"{text} please", "billing"), (f"{text}!", "account")]
    check = check_data([rows([*CLEAN, (text, "billing")]), rows(test, "test.csv")])
    assert counts(check) == {"near-leak": 2, "near-duplicate": 1}
    assert places(check, "near-leak") == [
        ["test.csv:3", "train.csv:6"],
        ["test.csv:2", "train.csv:6"],
    ]
    details = [group.detail for group in finding(check, "near-leak").groups]
    assert details[0] == "the same words, labels differ"
    assert details[1].endswith("% alike")


@pytest.mark.parametrize(
    ("labels", "difference"),
    [
        (("pos", "Pos"), "case"),
        (("sign in", "sign_in"), "spaces"),
        (("\u2764", "\u2764\ufe0f"), "invisible characters"),
        (("\uff21", "A"), "composed letters"),
        (("1", "1.00"), "numbers or signs"),
        (("good", '"good"'), "quotes"),
        (("good", "g\u043eod"), "alphabets"),
        (("a b", "A_B"), "case, spaces"),
    ],
)
def test_labels_that_look_alike_are_named_with_their_difference(labels, difference):
    pairs = [(f"text number {i}", label) for i, label in enumerate(labels * 2)]
    found = finding(check_data([rows(pairs)]), "labels")
    assert found.num == 2
    (group,) = found.groups
    assert group.detail.startswith(f"differ in {difference}: 2 '")
    assert [row.place for row in group.rows] == ["train.csv:2", "train.csv:3"]


def test_labels_that_are_equal_for_training_count_as_one():
    decomposed = unicodedata.normalize("NFD", "caf\u00e9")
    pairs = [("text one", "caf\u00e9"), ("text two", decomposed), ("text three", "bar")]
    check = check_data([rows(pairs), rows([("text four", "caf\u200b\u00e9")], "test.csv")])
    (group,) = finding(check, "labels").groups
    assert group.detail.startswith("count as one: 1 'caf\u00e9', 1 'cafe\\u0301', 1 'caf\\u200b")
    assert finding(check, "new-label").num == 0


def test_labels_that_train_lacks_are_new_and_others_are_not():
    test = [("Please call me back.", "phone"), ("Where is it?", "delivery")]
    check = check_data([rows(CLEAN), rows(test, "test.csv")])
    assert counts(check) == {"new-label": 1}
    assert places(check, "new-label") == [["test.csv:2"]]


def test_empty_and_short_texts_are_listed():
    train = [*CLEAN, ("", "account"), (" \u200b", "account"), ("好", "account"), ("?!", "billing"),
             ("好吃", "account"), ("Thanks", "account")]  # fmt: skip
    check = check_data([rows(train)])
    assert places(check, "empty") == [["train.csv:6"], ["train.csv:7"]]
    assert places(check, "one-word") == [["train.csv:8"], ["train.csv:9"], ["train.csv:11"]]
    assert counts(check) == {"empty": 2, "one-word": 3}


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("Le cafÃ© est ici.", "probably 'café'"),
        ("l\x92addition arrive", "probably 'l’addition'"),
        ("It â€” or not â€” is", "probably '—'"),
        ("a sister\ufffdcity", "lost characters (U+FFFD)"),
        ("Россия".encode().decode("latin-1") + " is a word", "probably 'Россия'"),
    ],
)
def test_texts_decoded_wrongly_are_found_with_what_was_meant(text, detail):
    (group,) = finding(check_data([rows([*CLEAN, (text, "account")])]), "mojibake").groups
    assert group.detail == detail


@pytest.mark.parametrize(
    "text",
    ["Größe: 5 m² – «très» naïve…", "Россия и Україна", "味道不错，速度很快！", "مرحبا بالعالم",
     "Ελληνικά “quotes” ’n’ ½ €5", "ÀÉÎÕÜ ÃO PAULO", "fine 😊👍🏽 ❤️", "x" * 100_000 + "é"],
)  # fmt: skip
def test_correct_text_of_any_script_is_no_mojibake(text):
    assert finding(check_data([rows([(text, "a")])]), "mojibake").num == 0


def test_of_a_long_text_the_part_is_shown_that_matters():
    text = f"{'all is well here. ' * 40}Then the cafÃ© closed."
    (group,) = finding(check_data([rows([(text, "a")])]), "mojibake").groups
    assert "cafÃ©" in group.rows[0].text
    assert len(group.rows[0].text) <= 165


def test_files_are_summarized_with_words_that_the_first_does_not_have():
    test = [("My card is late, late!", "delivery"), ("Card?", "billing")]
    first, second = check_data([rows(CLEAN), rows(test, "test.csv")]).files
    assert (first.num_rows, first.num_classes, first.largest) == (4, 3, ("delivery", 2))
    assert first.word_percentiles == (6, 7, 7, 7)
    assert first.unseen is None
    assert second.unseen.most_frequent == (("late", 2), ("is", 1))
    assert (second.unseen.num, second.unseen.num_words) == (2, 4)
    assert second.unseen.fraction == pytest.approx(3 / 6)


def test_kinds_between_files_are_skipped_with_one_file_and_refused_if_required():
    check = check_data([rows(CLEAN)])
    assert {kind for kind, _ in check.skipped} == {"leak", "near-leak", "new-label"}
    with pytest.raises(LstmError, match="one file only") as error:
        check_data([rows(CLEAN)], required=["conflict", "leak"])
    assert error.value.exit_code == 2


def test_without_ftfy_mojibake_is_skipped_and_refused_if_required(monkeypatch):
    monkeypatch.setattr("lstm_cli.checks.check.find_spec", lambda name: None)
    check = check_data([rows(CLEAN)])
    assert "ftfy" in dict(check.skipped)["mojibake"]
    with pytest.raises(LstmError, match="ftfy"):
        check_data([rows(CLEAN)], required=["mojibake"])


def test_the_result_does_not_grow_with_rows_classes_or_labels():
    def size(num):
        train = [(f"text {i // 2} of a class", f"Class {i}") for i in range(num)]
        train += [("the same", f"class {i}") for i in range(num)] + [("", "")] * num
        test = [(f"text {i} of a class", f"new {i}") for i in range(num)]
        check = check_data([rows(train), rows(test, "test.csv")], limit=3)
        assert all(len(each.groups) <= 3 for each in check.findings)
        assert all(len(group.rows) <= 6 for each in check.findings for group in each.groups)
        return len(json.dumps(check, default=lambda value: value.__dict__))

    assert abs(size(800) - size(200)) < 300
    empty = check_data([rows([("a", "b"), ("a", "c")])], limit=0)
    assert [each.groups for each in empty.findings] == [()] * len(empty.findings)
    assert counts(empty)["conflict"] == 2


TEXTS = st.sampled_from(["a", "A ", "b", "a b", "a  b", "B", "", " ", "é", "e\u0301", "a!"])
LABELS = st.sampled_from(["x", "X", "y", "z", ""])
FILES = st.lists(
    st.lists(st.tuples(TEXTS, LABELS), min_size=1, max_size=12), min_size=1, max_size=3
)


@settings(max_examples=25)
@given(FILES)
def test_what_is_counted_is_what_a_slow_and_simple_count_gives(files):
    check = check_data([rows(pairs, f"{i}.csv") for i, pairs in enumerate(files)], limit=100)
    by_text = defaultdict(list)
    for file, pairs in enumerate(files):
        for line, (text, label) in enumerate(pairs, start=2):
            if comparable(text):
                by_text[comparable(text)].append((file, line, label_key(label)))
    groups = by_text.values()
    duplicates = {
        f"{row[0]}.csv:{row[1]}" for group in groups for i, row in enumerate(group)
        if row[0] in {other[0] for other in group[:i]}
    }  # fmt: skip
    leaks = {f"{r[0]}.csv:{r[1]}" for group in groups for r in group if r[0] > group[0][0]}
    conflicts = {
        f"{r[0]}.csv:{r[1]}" for group in groups for r in group
        if r[2] and {other[2] for other in group} - {r[2], ""}
    }  # fmt: skip
    expected = {"duplicate": duplicates, "conflict": conflicts}
    if len(files) > 1:
        expected["leak"] = leaks
    for kind, rows_found in expected.items():
        found = finding(check, kind)
        assert found.num == len(rows_found), kind
        shown = {row.place for group in found.groups for row in group.rows}
        if all(group.num_rows == len(group.rows) for group in found.groups):
            assert rows_found <= shown
    empty = sum(not comparable(text) for pairs in files for text, _ in pairs)
    assert finding(check, "empty").num == empty
    assert finding(check, "no-label").num == sum(not label for ps in files for _, label in ps)


# Several labels of a text


def several(rows):
    return ["text,label", *(f"{text},{labels}" for text, labels in rows)]


def test_the_labels_of_a_text_count_one_by_one_and_none_is_no_fault(tmp_path):
    train = [("I am glad.", "joy|love"), ("You are kind.", "love"), ("What joy this is!", "joy"),
             ("It is noon.", ""), ("I am glad.", "love|joy"), ("How proud I am.", "Joy|pride"),
             ("It is late now.", "love|pride"), ("It is late now.", "pride")]  # fmt: skip
    test = [("Go away please.", "anger|joy"), ("You came back.", "pride|love")]
    for name, pairs in (("train.csv", train), ("test.csv", test)):
        (tmp_path / name).write_text("\n".join(several(pairs)))
    files = [str(tmp_path / name) for name in ("test.csv", "train.csv")]
    check = check_data(read_rows(files, multi_label="|"))
    assert counts(check) == {"conflict": 2, "duplicate": 2, "labels": 2, "new-label": 1}
    assert places(check, "conflict") == [["train.csv:8", "train.csv:9"]]
    assert places(check, "labels") == [["train.csv:2", "train.csv:7"]]
    assert places(check, "new-label") == [["test.csv:2"]]
    first = check.files[0]
    assert (first.num_classes, first.largest, first.imbalance) == (4, ("love", 4), "")
    (whole,) = read_rows([str(tmp_path / "test.csv")], multi_label="none")
    assert (whole.label_sets, list(whole.labels)) == (None, ["anger|joy", "pride|love"])


def test_how_several_labels_are_written_is_found_in_train_and_holds_for_test(tmp_path):
    train = [("a b", "joy|love"), ("c d", "joy"), ("e f", "love|pride"), ("g h", "pride")]
    for name, pairs in (("train.csv", train), ("test.csv", [("i j", "fear|hope")])):
        (tmp_path / name).write_text("\n".join(several(pairs)))
    first, second = read_rows([str(tmp_path / name) for name in ("test.csv", "train.csv")])
    assert first.label_sets[0] == ("joy", "love")
    assert list(second.label_sets) == [("fear", "hope")]


def test_label_columns_and_lists_are_read_as_for_training(tmp_path):
    table, lines = tmp_path / "a.csv", tmp_path / "a.jsonl"
    table.write_text("text,joy,love\nI am glad.,1,1\nIt is noon.,0,\n")
    lines.write_text('{"text": "I am glad.", "label": ["joy", "love"]}\n{"text": "x"}\n')
    (columns,) = read_rows([str(table)], label_columns=("joy", "love"))
    (lists,) = read_rows([str(lines)])
    assert list(columns.label_sets) == list(lists.label_sets) == [("joy", "love"), ()]
    with pytest.raises(LstmError, match="hate"):
        read_rows([str(table)], label_columns=("joy", "hate"))


# Rows


def test_rows_of_tables_are_lines_and_train_comes_first(tmp_path):
    train, test = tmp_path / "my-train.csv", tmp_path / "held.jsonl"
    train.write_text('text,label\n"two\nlines",a\n\nb c,b\n')
    test.write_text('\n{"text": "d", "label": 3}\n{"text": "e"}\n')
    first, second = read_rows([str(test), str(train)])
    assert [first.place(i) for i in range(2)] == ["my-train.csv:2", "my-train.csv:5"]
    assert [second.place(i) for i in range(2)] == ["held.jsonl:2", "held.jsonl:3"]
    assert list(second.labels) == ["3", ""]


def test_rows_of_folders_are_files_and_those_of_data_sets_numbers(tmp_path):
    for name in ("train/a/1.txt", "train/b/2.txt", "test/a/1.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("A text.\n")
    parts = read_rows([str(tmp_path)])
    name = tmp_path.name
    found = [part.place(i) for part in parts for i in range(len(part.texts))]
    assert found == [f"{name}/train/a/1.txt", f"{name}/train/b/2.txt", f"{name}/test/a/1.txt"]
    train, test = read_rows(["demo"])
    assert (train.place(0), test.place(999)) == ("demo train:1", "demo test:1000")


def test_files_of_one_name_are_told_apart_and_one_file_twice_is_refused(tmp_path):
    files = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        files.append(tmp_path / folder / "data.csv")
        files[-1].write_text("text,label\na,b\n")
    parts = read_rows([str(file) for file in files])
    assert [part.name for part in parts] == ["one/data.csv", "two/data.csv"]
    with pytest.raises(LstmError, match="twice"):
        read_rows([str(files[0])] * 2)


def test_images_and_missing_files_are_refused(monkeypatch):
    with pytest.raises(LstmError, match="missing"):
        read_rows(["missing.csv"])
    images = SimpleNamespace(kind="image")
    monkeypatch.setattr("lstm_cli.data.rows.open_raw", lambda source: images)
    with pytest.raises(LstmError, match="images"):
        read_rows(["digits"])
