"""The house: imports go downward, in no circle, and only three doors are public."""

from __future__ import annotations

import ast
import importlib
import re
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

__all__: list[str] = []

SRC = Path(__file__).resolve().parent.parent / "src"

# From the roof down. A room imports rooms of lower floors, and neighbours where that makes no
# circle. A new room is given its floor here.
FLOORS: list[set[str]] = [
    {"testing"},
    {"__init__"},
    {"_relay", "_carrier", "asgi"},
    {"_bus"},
    {"_catalogue", "_describing", "_living", "_publishing", "_subscribing"},
    {"_lifespan"},
    {"_parts"},
    {"_actor", "_agreement", "_composing", "_drain", "_emit", "_group", "_groups", "_host", "_live"}
    | {"_inside", "_publisher", "_reports", "_request", "_sealing", "_settings", "_spec"}
    | {"_stopping", "_subscription", "_threads"},
    {"_open", "_dead", "_charting"},
    {
        "_consumer",
        "_batching",
        "_crew",
        "_failing",
        "_intake",
        "_invoke",
        "_keeper",
        "_members",
        "_returns",
        "_single",
        "_suspects",
        "_worker",
    },
    {"_blame", "_insist", "_settle", "_lanes", "_handling", "_routes", "_runtime"},
    {"_verdict", "_routing", "_channels", "_convert", "_declared", "_declaring", "_handlers"}
    | {"_asyncapi", "_components", "_schemas"}
    | {"_event_of", "_limited", "middleware", "codec", "memory"},
    {
        "_context",
        "_fields",
        "_letter",
        "_options",
        "_patterns",
        "_pydantic",
        "_replies",
        "_run",
        "_typeddict",
    }
    | {"_segments", "_topics", "_trie"},
    {"transport"},
    {"message"},
    {"errors"},
    {"_background", "_clock", "_media", "_moment", "_tasks", "_uuid7"},
]

DOORS = {"busway", "busway.transport", "busway.testing", "busway.middleware", "busway.codec"}
DOORS |= {"busway.asgi"}
# What adapters share that is no part of the contract.
DOORS |= {"busway.transport.options"}
# Rooms behind the doors: named without an underscore, reached through a door.
REACHED = {"busway.errors", "busway.message"}
# Public as each adapter's own package is: who makes a transport in code imports it from there.
ADAPTERS = {"busway.memory"}

DEPENDENCIES = {"anyio", "msgspec"}
# What a room may import beside them. Only a program that runs on trio gets to the import of it, and
# only one that has models of pydantic to that.
BESIDE = {"_background": {"trio"}, "_pydantic": {"pydantic"}, "testing": {"pytest", "trio"}}


def modules() -> dict[str, Path]:
    """Every module of the core by its dotted name."""
    found = {}
    for path in sorted((SRC / "busway").rglob("*.py")):
        parts = path.relative_to(SRC).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports_of(module: str) -> Iterator[tuple[str, str | None]]:
    """Each import as (module, name), wherever it stands: in a function, or for types only."""
    path = MODULES[module]
    package = module if path.stem == "__init__" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")
            base = parents[: len(parents) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((source, alias.name) for alias in node.names)


def edges_of(module: str) -> set[str]:
    """The modules of the core that a module imports."""
    found = set()
    for source, name in imports_of(module):
        if f"{source}.{name}" in MODULES:
            found.add(f"{source}.{name}")
        elif source in MODULES:
            found.add(source)
    return found - {module}


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


def floor(module: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if room(module) in rooms)


def offered(module: str) -> list[str]:
    """A module's ``__all__``, read and not imported."""
    for node in ast.parse(MODULES[module].read_text()).body:
        match node:
            case ast.Assign(targets=[ast.Name(id="__all__")], value=value):
                return list(ast.literal_eval(value))
            case ast.AnnAssign(target=ast.Name(id="__all__"), value=ast.List() as value):
                return list(ast.literal_eval(value))
    return []


def test_every_room_has_a_floor() -> None:
    rooms = {room(module) for module in MODULES}
    assert rooms - set().union(*FLOORS) == set(), "give it a floor in FLOORS"


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_downward(module: str) -> None:
    """Counting imports in functions and for types only."""
    upward = {each for each in edges_of(module) if floor(each) < floor(module)}
    assert upward == set()


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Counting imports in functions and for types only."""
    try:
        TopologicalSorter({module: edges_of(module) for module in MODULES}).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


@pytest.mark.parametrize("module", MODULES)
def test_no_module_reaches_into_another_packages_private_modules(module: str) -> None:
    """``busway.memory._feed`` is for ``busway.memory`` alone."""
    home = module if MODULES[module].stem == "__init__" else module.rpartition(".")[0]
    for other in edges_of(module):
        package, _, name = other.rpartition(".")
        if name.startswith("_"):
            assert f"{home}.".startswith(f"{package}."), f"{module} imports {other}"


@pytest.mark.parametrize("module", MODULES)
def test_the_core_depends_on_anyio_and_msgspec_only(module: str) -> None:
    allowed = DEPENDENCIES | {"busway"} | BESIDE.get(room(module), set())
    allowed |= set(sys.stdlib_module_names)
    imported = {source.split(".")[0] for source, _ in imports_of(module)}
    assert imported - allowed == set()


def test_only_the_three_doors_are_public() -> None:
    public = {module for module in MODULES if not re.search(r"\._", module)}
    assert public - REACHED - ADAPTERS - DOORS - submodules_of_testing() == set()


def submodules_of_testing() -> set[str]:
    return {module for module in MODULES if module.startswith("busway.testing.")}


@pytest.mark.parametrize("module", sorted(REACHED & set(MODULES)))
def test_what_the_rooms_offer_is_reached_through_a_door(module: str) -> None:
    """``from busway.errors import …`` is nobody's business outside."""
    behind = set().union(*(offered(door) for door in DOORS if door in MODULES))
    assert set(offered(module)) - behind == set()


@pytest.mark.parametrize("door", sorted(DOORS & set(MODULES)))
def test_a_door_has_the_names_it_says(door: str) -> None:
    names = offered(door)
    assert len(names) == len(set(names)), "each once"
    opened = importlib.import_module(door)
    assert [name for name in names if not hasattr(opened, name)] == []


def test_the_front_door_holds_the_applications_names_and_nothing_else() -> None:
    """What completion offers after ``busway.`` is what an application may use."""
    rooms = {room(module) for module in MODULES}
    there = {name for name in vars(importlib.import_module("busway")) if name[0] != "_"}
    assert there - set(offered("busway")) - rooms - {"annotations"} == set()


@pytest.mark.parametrize("module", [each for each in MODULES if room(each) == "memory"])
def test_memory_uses_only_what_an_outside_adapter_may_use(module: str) -> None:
    for source, name in imports_of(module):
        if source.split(".")[0] != "busway" or source.startswith("busway.memory"):
            continue
        door = source if source in DOORS else "busway"
        assert name in offered(door), f"{source}.{name} is behind no door"


@pytest.mark.parametrize("module", MODULES)
def test_a_module_begins_with_what_it_offers(module: str) -> None:
    """``__all__`` stands before the first class and function."""
    body = ast.parse(MODULES[module].read_text()).body
    definitions = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in body:
        assert not isinstance(node, definitions), "a definition comes before __all__"
        match node:
            case (
                ast.Assign(targets=[ast.Name(id="__all__")])
                | ast.AnnAssign(target=ast.Name(id="__all__"))
            ):
                return
    assert body == [], "it has no __all__"
