"""Pages as tests read them: what a test looks for must be there, and attributes are text."""

from collections.abc import Mapping
from typing import Protocol, cast

from bs4 import BeautifulSoup


class Element(Protocol):
    """What tests use of a BeautifulSoup tag. Attributes of several words stay one text."""

    name: str
    attrs: Mapping[str, str]

    @property
    def text(self) -> str: ...
    @property
    def parent(self) -> "Element": ...
    def __getitem__(self, attribute: str) -> str: ...
    def get(self, attribute: str, default: str = "") -> str: ...
    def get_text(self, separator: str = "", *, strip: bool = False) -> str: ...
    def select(self, selector: str) -> list["Element"]: ...
    def select_one(self, selector: str) -> "Element | None": ...
    def find_parent(self, name: str) -> "Element": ...
    def find_all(self, name: str | list[str]) -> list["Element"]: ...


def soup(html: str) -> Element:
    return cast("Element", BeautifulSoup(html, "html.parser", multi_valued_attributes=None))


def find(within: Element, selector: str) -> Element:
    """The first element that matches. Fails the test when there is none."""
    found = within.select_one(selector)
    assert found is not None, f"nothing matches {selector}"
    return found
