"""Who may import whom and how long code may be, read from the code itself."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted((ROOT / "app").rglob("*.py"))
LONGEST_MODULE, LONGEST_FUNCTION = 400, 40
CORE = {"app.models", "app.errors"}
SERVICES = {
    "app.services",
    "app.db",
    "app.integrations",
    "app.copilot",
    "app.security",
    "app.limits",
    *CORE,
}
# Narrower prefixes first. What is not named here may import nothing of ours.
MAY_IMPORT = {
    "app.__main__": {"app"},
    "app.main": {"app"},
    "app.wiring": {"app"},
    "app.demo": {"app"},
    "app.server": {"app.settings", "app.logs"},
    "app.worker": {"app.services", "app.errors", "app.traffic"},
    "app.routes": {
        "app.routes",
        "app.deps",
        "app.schemas",
        "app.security",
        "app.services",
        "app.web",
        *CORE,
    },
    "app.deps": {"app.services", "app.security", "app.limits", *CORE},
    "app.web": {"app.display", "app.markdown", "app.people", *CORE},
    "app.display": CORE,
    "app.people": CORE,
    "app.markdown": CORE,
    "app.middleware": CORE,
    "app.security": CORE,
    "app.schemas": {"app.models", "app.schemas"},
    "app.services": SERVICES,
    "app.copilot": {"app.copilot", *CORE},
    "app.integrations.servicenow.mapping": {"app.integrations.servicenow.mapping", *CORE},
    "app.integrations": {"app.integrations", "app.limits", "app.errors"},
    # What is indexed is masked and cut into words in one place, for every writer.
    "app.db.search": {"app.db", "app.copilot.tokenizer", *CORE},
    "app.db": {"app.db", *CORE},
    "app.simulator": {"app.simulator"},
    "app.settings": {"app.errors", "app.models.time_zones"},
    "app.models": CORE,
}
ONLY_IN = {
    "httpx": {"app.integrations", "app.wiring"},
    "sqlalchemy": {"app.db", "app.services", "app.main", "app.wiring", "app.__main__"},
    "fastapi": {"app.routes", "app.deps", "app.web", "app.main", "app.server"},
    "jinja2": {"app.web"},
    "markdown_it": {"app.markdown"},
    "nh3": {"app.markdown"},
    "sklearn": {"app.copilot"},
}


def module_name(path: Path) -> str:
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return name.removesuffix(".__init__")


def within(name: str, prefixes: set[str]) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_modules_stay_in_their_layers() -> None:
    for path in MODULES:
        me = module_name(path)
        allowed = next((may for prefix, may in MAY_IMPORT.items() if within(me, {prefix})), set())
        for name in imports(path):
            if within(name, {"app"}):
                assert within(name, allowed), f"{me} must not import {name}"
            package = name.split(".")[0]
            if package in ONLY_IN:
                assert within(me, ONLY_IN[package]), f"{me} must not import {package}"


def test_only_the_command_line_and_the_demo_know_the_simulator() -> None:
    users = {
        module_name(path)
        for path in MODULES
        if any(within(name, {"app.simulator"}) for name in imports(path))
    }
    outside = {name for name in users if not within(name, {"app.simulator", "app.demo"})}
    assert outside == set()


def test_no_module_or_function_outgrows_its_limit() -> None:
    """Migrations are lists of steps: they are left out."""
    for path in MODULES:
        if "migrations" in path.parts:
            continue
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= LONGEST_MODULE, f"{path.name} is too long"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or 0) - node.lineno + 1
                assert length <= LONGEST_FUNCTION, f"{path.name}: {node.name} is too long"
