"""`python -m app evaluate`: figures of anybody's export, and what it refuses."""

import csv
import gzip
import io
import json
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from app.__main__ import main
from app.copilot.classifier import train
from app.copilot.evaluation.export import Export, read_export
from app.copilot.evaluation.measure import evaluate
from app.copilot.types import LabelledText
from app.errors import Invalid

TOPICS = {
    "Printing": ("printer", "toner", "paper", "tray", "copier", "jam"),
    "Network": ("wifi", "vpn", "cable", "router", "signal", "line"),
    "Accounts": ("password", "login", "user", "rights", "locked", "role"),
}
FILLER = ("please", "help", "today", "again", "office", "broken", "since", "monday", "new", "floor")


def rows(count: int = 240, *, seed: int = 1) -> list[dict[str, str]]:
    """Made-up tickets: three words of a topic among some that say nothing."""
    draw = random.Random(seed)
    found = []
    for n in range(count):
        topic = list(TOPICS)[n % len(TOPICS)]
        words = [*draw.choices(TOPICS[topic], k=3), *draw.choices(FILLER, k=4), f"case{n}"]
        draw.shuffle(words)
        found.append({"subject": words[0], "body": " ".join(words[1:]), "topic": topic})
    return found


def as_csv(table: Sequence[dict[str, str]], *, delimiter: str = ",") -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(table[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(table)
    return out.getvalue()


def read(path: Path, text: str = "subject,body", label: str = "topic") -> Export:
    return read_export(path, text=text.split(","), label=label)


def quiet(_: str) -> None:
    """Nobody watches."""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("zipped", [False, True])
def test_exports_are_read_however_they_were_saved(
    tmp_path: Path, encoding: str, delimiter: str, zipped: bool
) -> None:
    content = as_csv(rows(9), delimiter=delimiter).encode(encoding)
    if zipped and encoding == "utf-16":
        encoding, content = "utf-8", as_csv(rows(9), delimiter=delimiter).encode()
    path = tmp_path / "tickets.csv"
    path.write_bytes(gzip.compress(content) if zipped else content)
    found = read(path)
    assert found.rows == 9
    first = rows(9)[0]
    assert found.examples[0] == LabelledText(f"{first['subject']}\n{first['body']}", "Printing")


@pytest.mark.slow
def test_the_command_prints_every_figure_and_its_progress(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = rows()
    table += [table[0], {**table[1], "subject": "", "body": " "}, {**table[2], "topic": ""}]
    path = tmp_path / "tickets.csv"
    path.write_text(as_csv(table), encoding="utf-8")
    columns = ("--text", "subject,body", "--label", "topic")
    assert main(["evaluate", str(path), *columns, "--json", "--learning-curve"]) == 0
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert (found["rows"], found["unusable"], found["duplicates"]) == (243, 2, 1)
    assert (found["classes"], found["trained_on"]) == (3, 192)
    quality = found["quality"]
    assert quality["count"] == 48
    assert quality["accuracy"] > 0.9
    assert quality["macro_f1"] > 0.9
    assert quality["top3"] == 1
    assert quality["majority"] == pytest.approx(1 / 3)
    assert 0 <= quality["calibration_error"] < 0.3
    assert quality["coverage_95"] <= quality["coverage_90"] <= 1
    assert [one["name"] for one in found["per_class"]] == ["Accounts", "Network", "Printing"]
    assert sum(one["count"] for one in found["per_class"]) == 48
    assert [(one["trained_on"], one["draws"]) for one in found["curve"]] == [(100, 5)]
    assert found["curve"][0]["accuracy"] > 0.8
    assert found["leaks"] == []
    assert found["seconds"] > 0
    assert "Training on 192 texts of 3 categories" in said.err
    assert main(["evaluate", str(path), *columns]) == 0
    page = capsys.readouterr().out
    for words in ("Majority baseline", "Macro-F1", "Coverage at 95%", "Printing", "Tested on"):
        assert words in page


@pytest.mark.slow
def test_it_is_the_code_that_trains_the_desks_own_model() -> None:
    examples = tuple(LabelledText(f"{r['subject']} {r['body']}", r["topic"]) for r in rows(120))
    found = evaluate(Export(120, 0, examples, ()), learning_curve=False, say=quiet)
    again = evaluate(Export(120, 0, examples, ()), learning_curve=False, say=quiet)
    assert found.quality == again.quality
    assert found.threshold == again.threshold
    model = train(examples)
    assert list(model.classes) == sorted(TOPICS)
    assert np.allclose(model.shares([examples[0].text]).sum(), 1)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"subject,body\nx,y\n", "has no column topic. It has: subject, body"),
        (b"subject,body,topic\n", "header but no rows"),
        (as_csv([{"subject": "", "body": "", "topic": "a"}] * 3).encode(), "No row has both"),
        (as_csv([{**r, "topic": "One"} for r in rows(60)]).encode(), "one category only: 'One'"),
        (as_csv(rows(12)).encode(), "Not enough rows: 12 different texts. 50 are needed"),
        (as_csv(rows(60)[:1] * 60 + rows(3)).encode(), "Not enough rows: 3 different texts"),
        (b"PK\x03\x04 a workbook", "spreadsheet or archive"),
        ("subject,body,topic\nfür,ö,ä\n".encode("latin-1"), "not UTF-8 text"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "not UTF-8 text"),
        (gzip.compress(as_csv(rows()).encode())[:-40], "damaged"),
        (b"\x1f\x8b nonsense", "damaged"),
        (b'subject,body,topic\na,"' + b"x" * 1_000_100, "missing quote"),
        (b'{"subject": "a", "body": "b"}', "has no column"),
    ],
)
def test_what_cannot_be_used_is_refused_with_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, sentence: str
) -> None:
    path = tmp_path / "tickets.csv"
    path.write_bytes(content)
    status = main(["evaluate", str(path), "--text", "subject,body", "--label", "topic"])
    said = capsys.readouterr()
    assert status == 2
    assert said.out == ""
    assert sentence in said.err.splitlines()[-1]
    assert "Traceback" not in said.err


def test_files_and_columns_that_cannot_be_meant_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="was not found"):
        read(tmp_path / "nothing.csv")
    with pytest.raises(Invalid, match="cannot be read"):
        read(tmp_path)
    path = tmp_path / "tickets.csv"
    path.write_text(as_csv(rows(9)), encoding="utf-8")
    for text in ("topic,subject", ","):
        with pytest.raises(Invalid, match="different label column"):
            read_export(path, text=[one for one in text.split(",") if one], label="topic")


def test_rows_with_too_few_or_too_many_fields_are_no_reason_to_stop(tmp_path: Path) -> None:
    path = tmp_path / "tickets.csv"
    path.write_text("subject,body,topic\na,b,c\nonly\nd,e,f,g,h\n", encoding="utf-8")
    found = read(path)
    assert (found.rows, found.unusable) == (3, 1)
    assert [one.label for one in found.examples] == ["c", "f"]


def test_categories_with_few_rows_teach_and_are_named() -> None:
    examples = [LabelledText(f"{r['subject']} {r['body']}", r["topic"]) for r in rows(120)]
    examples += [LabelledText(f"parking space {n}", "Parking") for n in range(3)]
    found = evaluate(Export(123, 0, tuple(examples), ()), learning_curve=False, say=quiet)
    assert found.classes == 4
    assert found.too_rare == ("Parking",)
    assert found.trained_on == 96 + 3
    assert {one.name for one in found.per_class} == set(TOPICS)


def test_a_column_that_settles_the_label_is_reported_as_a_leak(tmp_path: Path) -> None:
    """Requests all carry the default urgency: what "predicts urgency" tells the types apart."""
    draw = random.Random(2)
    table = [
        {
            "subject": one["subject"],
            "body": one["body"],
            "type": kind,
            "site": draw.choice(("Ulm", "Leeds")),
            "urgency": "3" if kind == "request" else draw.choice("123"),
        }
        for n, one in enumerate(rows(200))
        for kind in ("request" if n % 2 else "incident",)
    ]
    path = tmp_path / "tickets.csv"
    path.write_text(as_csv(table), encoding="utf-8")
    found = read(path, label="urgency")
    assert found.leaks == ("where type is 'request' (100 rows), urgency is always '3'",)


def test_a_text_that_holds_its_own_label_is_reported_as_a_leak() -> None:
    examples = tuple(
        LabelledText(f"{r['topic']}: {r['subject']} {r['body']}", r["topic"]) for r in rows(90)
    )
    found = evaluate(Export(90, 0, examples, ()), learning_curve=False, say=quiet)
    assert found.leaks == ("90 of 90 texts contain the name of their category",)


@pytest.mark.slow
def test_a_file_of_nearly_one_category_still_has_a_learning_curve() -> None:
    examples = [LabelledText(f"{r['subject']} {r['body']}", "Common") for r in rows(1200)]
    examples += [LabelledText(f"parking space {n}", "Parking") for n in range(5)]
    found = evaluate(Export(1205, 0, tuple(examples), ()), learning_curve=True, say=quiet)
    assert found.quality.majority > 0.99
    assert all(1 <= one.draws <= 5 for one in found.curve)
    assert sum(one.draws for one in found.curve) < 15


def test_the_same_text_with_two_labels_is_said_and_counted() -> None:
    twice = [LabelledText("printer jam", label) for label in ("Printing", "Network")] * 40
    with pytest.raises(Invalid) as refused:
        evaluate(Export(80, 0, tuple(twice), ()), learning_curve=False, say=quiet)
    assert str(refused.value) == (
        "The same text has different labels in 1 cases. The last label of each text counts, and "
        "that leaves one category: 'Network'. Two are needed."
    )
    examples = [LabelledText(f"{r['subject']} {r['body']}", r["topic"]) for r in rows(120)]
    mixed = (*(LabelledText(one.text, "Network") for one in examples[:6]), *examples)
    found = evaluate(Export(126, 0, mixed, ()), learning_curve=False, say=quiet)
    assert (found.duplicates, found.contradicted) == (6, 4)
