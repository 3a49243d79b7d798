"""A sweep over all templates and partials: they compile, say what they need, keep to the policy."""

import re
from pathlib import Path

import pytest
from jinja2 import Environment

from app.web import ROOT, make_templates
from tests.html import soup

FILES = sorted([*(ROOT / "templates").rglob("*.html"), *(ROOT / "partials").rglob("*.html")])
JINJA = re.compile(r"\{[%#].*?[%#]\}|\{\{.*?\}\}", re.DOTALL)
# What htmx 4.0.1 knows and our policy allows (no script in attributes).
HTMX = {
    "boost",
    "disable",
    "get",
    "headers",
    "include",
    "indicator",
    "morph-skip",
    "post",
    "push-url",
    "replace-url",
    "select",
    "status",
    "swap",
    "swap-oob",
    "sync",
    "target",
    "trigger",
}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.fixture(scope="module")
def templates() -> Environment:
    return make_templates(demo=False, click_seconds=15).env


def test_they_compile_under_the_name_that_routes_use(templates: Environment) -> None:
    for path in FILES:
        name = name_of(path).removeprefix("templates/")
        assert templates.get_template(name).filename == str(path)


def test_their_first_line_says_what_they_need() -> None:
    for path in FILES:
        head = path.read_text(encoding="utf-8").split("#}")[0]
        assert head.startswith("{# "), name_of(path)
        assert "Needs:" in head, name_of(path)


def test_they_hold_no_script_no_style_and_no_unescaped_text() -> None:
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        assert "|safe" not in text.replace(" ", ""), name_of(path)
        html = soup(JINJA.sub("", text))
        assert not html.select("style, script:not([src]), [style]"), name_of(path)
        for tag in html.select("*"):
            for attribute, value in tag.attrs.items():
                assert not attribute.startswith("on"), f"{attribute} in {name_of(path)}"
                assert "javascript:" not in str(value), f"{attribute} in {name_of(path)}"


def test_their_htmx_attributes_exist_in_htmx_4() -> None:
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        used = {name.split(":")[0] for name in re.findall(r"\shx-([a-z-]+)", text)}
        assert used <= HTMX, name_of(path)


def test_every_form_and_link_works_without_scripts() -> None:
    for path in FILES:
        html = soup(path.read_text(encoding="utf-8"))
        for form in html.select("form[hx-post]"):
            assert form["method"] == "post", name_of(path)
            assert form["action"] == form["hx-post"], name_of(path)
        for link in html.select("a[hx-get]"):
            assert link["href"].startswith("/"), name_of(path)


def test_pages_have_a_title_of_their_own() -> None:
    for path in (ROOT / "templates").rglob("*.html"):
        if path.name != "base.html":
            assert "{% block title %}" in path.read_text(encoding="utf-8"), name_of(path)


# The last word of an address behind which something goes that people cannot bring back alone.
DESTRUCTIVE = {"delete", "deactivate", "revoke", "undo", "unlink", "discard", "reset"}
# Makes a link for somebody; nothing goes.
HARMLESS = {"/admin/users/{{ person.id }}/reset", "/reset/{{ request.path_params.token }}"}


def test_what_cannot_be_undone_is_asked_about_with_scripts_off_too() -> None:
    asked = set()
    for path in FILES:
        html = soup(path.read_text(encoding="utf-8"))
        for part in html.select("form[action], button[formaction]"):
            address = str(part.get("formaction") or part["action"])
            word = address.rsplit("/", 1)[-1]
            if (word in DESTRUCTIVE and address not in HARMLESS) or "danger" in str(
                part.select_one("button")
            ):
                assert part.find_parent("details"), f"{address} in {name_of(path)}"
                asked.add(word)
    assert {"delete", "unlink", "discard", "reset"} <= asked
