"""The picture in docs/architecture.md shows the imports as they are, and names files that exist."""

import re

from tests.test_layers import MODULES, ROOT, imports, module_name

TEXT = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
BASE, START = "base", "start"
FILE = re.compile(r"`([a-z_]+(?:/[\w-]+)*(?:\.py|/))`")


def drawn_parts() -> dict[str, str]:
    """The part that each package or module belongs to, by its full name."""
    named = re.findall(r'^  (\w+)\["([^"]+)"\]$', TEXT, re.MULTILINE)
    for part in (BASE, START):
        outside = re.search(rf"\*\*The {part}\*\*[^:]*:([^.]*)\.", TEXT)
        assert outside is not None
        named.append((part, ", ".join(re.findall(r"`(\w+)`", outside[1]))))
    return {
        f"app.{name.replace('/', '.')}": part for part, names in named for name in names.split(", ")
    }


PARTS = drawn_parts()


def part_of(module: str) -> str:
    """The part of the nearest package that is named; "" where none is."""
    while module and module not in PARTS:
        module = module.rpartition(".")[0]
    return PARTS.get(module, "")


def arrows() -> set[tuple[str, str]]:
    """(importing part, imported part) of every import that leaves its part."""
    found = set()
    for path in MODULES:
        mine = part_of(module_name(path))
        theirs = {part_of(name) for name in imports(path) if name.startswith("app.")}
        found |= {(mine, other) for other in theirs - {mine}}
    return found


def test_each_module_has_its_part_in_the_picture() -> None:
    unnamed = [name for path in MODULES if not part_of(name := module_name(path)) and name != "app"]
    assert unnamed == []


def test_the_arrows_are_the_imports() -> None:
    drawn = set(re.findall(r"^  (\w+) --> (\w+)$", TEXT, re.MULTILINE))
    real = {(one, other) for one, other in arrows() if one != START and other != BASE}
    assert drawn == real


def test_nothing_imports_the_start_and_the_base_imports_nothing_above_it() -> None:
    assert {one for one, other in arrows() if other == START} == set()
    assert {other for one, other in arrows() if one == BASE} == set()


def test_the_files_that_are_named_exist() -> None:
    named = FILE.findall(TEXT)
    assert len(named) > 40
    for name in named:
        places = [ROOT / name, ROOT / "app" / name]
        assert any(place.exists() for place in places), name


def test_each_flow_has_ten_lines() -> None:
    flows = re.split(r"^### 2\.\d .*$", TEXT.partition("## 3")[0], flags=re.MULTILINE)[1:]
    assert [len(re.findall(r"^\d+\. ", flow, re.MULTILINE)) for flow in flows] == [10] * 5
