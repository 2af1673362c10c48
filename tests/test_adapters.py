"""The house of the adapters: each knows the core by its public doors, and its client alone."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_architecture import DOORS, offered

__all__: list[str] = []

ROOT = Path(__file__).resolve().parent.parent
ADAPTERS = {each.parent.name: each.parent for each in ROOT.glob("adapters/*/pyproject.toml")}
MODULES = {
    path.relative_to(ROOT / "adapters").as_posix(): path
    for adapter in ADAPTERS.values()
    for path in sorted((adapter / "src").rglob("*.py"))
}


def project_of(adapter: str) -> dict[str, object]:
    project = tomllib.loads((ADAPTERS[adapter] / "pyproject.toml").read_text())["project"]
    assert isinstance(project, dict)
    return project


def imports_of(path: Path) -> Iterator[tuple[str, str | None]]:
    """Each import of something else as (module, name), wherever it stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from ((node.module or "", alias.name) for alias in node.names)


def test_the_adapters_are_found() -> None:
    assert "redis" in ADAPTERS
    assert "redis/src/busway_redis/__init__.py" in MODULES


@pytest.mark.parametrize("module", MODULES)
def test_an_adapter_imports_only_the_public_doors(module: str) -> None:
    for source, name in imports_of(MODULES[module]):
        if source.split(".")[0] != "busway":
            continue
        if f"{source}.{name}" in DOORS:
            continue
        assert source in DOORS, f"{source} is no door"
        assert name in offered(source), f"{source} does not offer {name}"


@pytest.mark.parametrize("module", MODULES)
def test_an_adapter_imports_only_what_it_declares(module: str) -> None:
    adapter = module.split("/")[0]
    declared = project_of(adapter)["dependencies"]
    assert isinstance(declared, list)
    names = {re.split(r"[^A-Za-z0-9_-]", str(each))[0] for each in declared}
    own = {each.name for each in (ADAPTERS[adapter] / "src").iterdir()}
    imported = {source.split(".")[0] for source, _ in imports_of(MODULES[module])}
    assert imported - names - own - set(sys.stdlib_module_names) == set()


@pytest.mark.parametrize("module", MODULES)
def test_a_module_of_an_adapter_begins_with_what_it_offers(module: str) -> None:
    """``__all__`` stands before the first class and function."""
    for node in ast.parse(MODULES[module].read_text()).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(each, ast.Name) and each.id == "__all__" for each in targets):
            return
        definitions = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        assert not isinstance(node, definitions), "a definition comes before __all__"
    pytest.fail("it has no __all__")


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_the_core_offers_an_extra_for_each_adapter(adapter: str) -> None:
    core = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    project = project_of(adapter)
    assert core["optional-dependencies"][adapter] == [project["name"]]
    assert project["requires-python"] == core["requires-python"]
    assert project["version"] == core["version"]


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_an_adapter_says_how_it_may_be_used(adapter: str) -> None:
    licence = (ADAPTERS[adapter] / "LICENSE").read_text()
    assert licence == (ROOT / "LICENSE").read_text()


def test_the_core_names_no_client_of_a_broker() -> None:
    """Not for types, nor in a function: see the dependencies in test_architecture.py, too."""
    clients = {"aiokafka", "asyncpg", "hiredis", "redis", *(f"busway_{name}" for name in ADAPTERS)}
    for path in (ROOT / "src").rglob("*.py"):
        imported = {source.split(".")[0] for source, _ in imports_of(path)}
        assert imported & clients == set(), path
