"""The version: one number, in pyproject.toml, shown to those who run the app."""

import re
import tomllib
from pathlib import Path

from fastapi import FastAPI
from fastapi.testclient import TestClient

from tests.html import soup

ROOT = Path(__file__).resolve().parent.parent
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


def footer(page: str) -> str:
    found = soup(page).select_one("footer")
    assert found is not None
    return found.get_text(" ", strip=True)


def test_health_and_the_description_of_the_api_name_the_version(app: FastAPI) -> None:
    stranger = TestClient(app)
    assert stranger.get("/healthz").json() == {"status": "alive", "version": VERSION}
    assert stranger.get("/openapi.json").json()["info"]["version"] == VERSION


def test_admins_see_the_version_below_each_page(
    admin: TestClient, agent: TestClient, app: FastAPI
) -> None:
    for path in ("/", "/nosuch"):
        assert f"Version {VERSION}" in footer(admin.get(path).text)
    for other in (agent.get("/"), TestClient(app).get("/login")):
        assert VERSION not in footer(other.text)


def test_the_number_stands_in_one_place() -> None:
    for folder in ("app", "templates", "partials"):
        for path in (ROOT / folder).rglob("*.*"):
            if path.suffix in (".py", ".html"):
                assert VERSION not in path.read_text(encoding="utf-8"), path.name


def test_the_changelog_begins_with_the_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## (\S+)", text, re.MULTILINE)
    assert newest is not None
    assert newest[1] == VERSION
