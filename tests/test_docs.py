"""The documents: what code cites exists, and links lead somewhere."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("app", "tests", "templates", "partials", "static", ".ci")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
# A path to a document, and the section behind it: "docs/servicenow.md 2.4".
CITATION = re.compile(r"(?<![\w*}])([\w./-]*\w\.md)\b(?:,? (?:section )?(\d+(?:\.\d+)*))?")
HEADING = re.compile(r"^#+ (?P<text>(?P<number>\d+(?:\.\d+)*)?.*)$", re.MULTILINE)
LINK = re.compile(
    r"!?\[[^\]]*\]\((?!https?:|mailto:)(?P<target>[^)\s#]*)(?:#(?P<place>[^)\s]+))?\)"
)
# A file or folder of the project, written as code; a placeholder such as <noun> names none.
NAMED = re.compile(r"`((?:app|tests|templates|partials|static|docs)/[\w./-]*)`")
# A control in italics, as in *Retry now*; behind arrows it stands last.
CONTROL = re.compile(r"(?<!\*)\*(?:[\w ]+ → )*([A-Z][^*→]+)\*(?!\*)")
# Controls of ServiceNow and Replit.
ELSEWHERE = {"Web service access only", "Application Registry", "Secrets"}


def texts() -> list[Path]:
    """The files of code and tests that people read."""
    found = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*"))
    kinds = {".py", ".html", ".js", ".css", ""}
    readable = [path for path in found if path.is_file() and path.suffix in kinds]
    return [*readable, ROOT / ".env.example", ROOT / "pyproject.toml", ROOT / "requirements.txt"]


def citations() -> list[tuple[str, str, str]]:
    """(file, document, section) of each reference to a document in code and tests."""
    return sorted(
        (str(path.relative_to(ROOT)), cited[1], cited[2] or "")
        for path in texts()
        if path != Path(__file__).resolve()
        for cited in CITATION.finditer(path.read_text(encoding="utf-8"))
    )


def sections(document: str) -> set[str]:
    text = (ROOT / document).read_text(encoding="utf-8")
    return {one["number"] for one in HEADING.finditer(text) if one["number"]}


def places(path: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    headings = HEADING.finditer(path.read_text(encoding="utf-8"))
    plain = (re.sub(r"[^\w\- ]", "", one["text"].lower()) for one in headings)
    return {text.strip().replace(" ", "-") for text in plain}


def test_code_cites_documents_and_sections_that_exist() -> None:
    cited = citations()
    assert len({document for _, document, _ in cited}) >= 1
    for path, document, section in cited:
        assert (ROOT / document).is_file(), f"{path} cites {document}, which is not in the project"
        assert not section or section in sections(document), f"{path}: {document} has no {section}"


def test_sections_of_a_document_have_different_numbers() -> None:
    for path in DOCUMENTS:
        headings = HEADING.finditer(path.read_text(encoding="utf-8"))
        numbers = [one["number"] for one in headings if one["number"]]
        assert len(numbers) == len(set(numbers)), path.name


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    for link in LINK.finditer(path.read_text(encoding="utf-8")):
        target = (path.parent / unquote(link["target"])).resolve() if link["target"] else path
        assert target.exists(), f"{path.name} links to {link['target']}"
        if link["place"] and target.suffix == ".md":
            assert link["place"] in places(target), f"{target.name} has no #{link['place']}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_files_that_documents_name_exist(path: Path) -> None:
    for name in NAMED.findall(path.read_text(encoding="utf-8")):
        assert (ROOT / name).exists(), f"{path.name} names {name}"


@pytest.mark.parametrize("document", ["README.md", "docs/operations.md"])
def test_the_controls_that_documents_name_are_on_the_pages(document: str) -> None:
    pages = [path for folder in ("templates", "partials") for path in (ROOT / folder).rglob("*.*")]
    shown = "\n".join(path.read_text(encoding="utf-8") for path in pages)
    text = " ".join((ROOT / document).read_text(encoding="utf-8").split())
    named = set(CONTROL.findall(text)) - ELSEWHERE
    assert len(named) >= 3
    for name in named:
        assert name in shown, f"{document} names *{name}*, which is on no page"
