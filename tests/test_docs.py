"""Every Python block of the READMEs, of docs/ and of the docstrings runs.

The blocks of one document are one program, from top to bottom, in a process of its own, so that a
page can build on what it showed before. ``<!-- new program -->`` between two blocks begins
another one. Each docstring is a document. There is no way to exclude a Python block.

Where a program names a server by one of the addresses of ``SERVERS``, it gets a real one, empty.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from sybil import Sybil
from sybil.document import PythonDocStringDocument
from sybil.parsers.markdown import CodeBlockParser

from tests.emptying import emptied
from tests.servers import KafkaServer, RedisCluster, RedisSentinel, RedisServer
from tests.servers.plugin import started_or_skip

__all__: list[str] = []

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "adapters").glob("*/README.md")),
]
MODULES = [
    *sorted((ROOT / "src").rglob("*.py")),
    *sorted((ROOT / "adapters").glob("*/src/**/*.py")),
]

NEW_PROGRAM = "<!-- new program -->"
INDENTED = re.compile(r"^([ \t]*)\S*.*::\n\n((?:\1[ \t]+\S.*\n|\n)+)", re.MULTILINE)
FENCE = re.compile(r"^[ \t]*(```+|~~~+)[ \t]*([^\n`]*)$", re.MULTILINE)
# What is shown and not run. Python is not among them under any other name.
SHOWN = {
    "console",
    "dockerfile",
    "ini",
    "java",
    "javascript",
    "json",
    "makefile",
    "markdown",
    "mermaid",
    "sql",
    "text",
    "toml",
    "yaml",
}

BLOCKS = Sybil(
    parsers=[CodeBlockParser(language="python", evaluator=lambda example: None)],
    document_types={".py": PythonDocStringDocument},
)


class Block(NamedTuple):
    line: int
    start: int
    code: str


class Program(NamedTuple):
    document: str
    blocks: list[Block]

    @property
    def source(self) -> str:
        """The blocks on the lines where they stand in the document."""
        lines: list[str] = []
        for block in self.blocks:
            lines += [""] * (block.line - len(lines))
            lines += block.code.rstrip("\n").split("\n")
        return "\n".join(lines) + "\n"


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks_of(path: Path) -> list[Block]:
    found = BLOCKS.parse(path).examples()
    return [Block(each.line, each.start, str(each.parsed)) for each in found]


def programs_of_page(path: Path) -> Iterator[Program]:
    text = path.read_text()
    blocks: list[Block] = []
    end = 0
    for block in blocks_of(path):
        if blocks and NEW_PROGRAM in text[end : block.start]:
            yield Program(name_of(path), blocks)
            blocks = []
        blocks.append(block)
        end = block.start
    if blocks:
        yield Program(name_of(path), blocks)


def programs_of_module(path: Path) -> Iterator[Program]:
    blocks = blocks_of(path)
    if not blocks:
        return
    for first, last in docstrings(path):
        inside = [block for block in blocks if first <= block.line <= last]
        if inside:
            yield Program(name_of(path), inside)


def docstrings(path: Path) -> Iterator[tuple[int, int]]:
    """The first and the last line of each. A string below an attribute is one as well."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node.lineno, node.end_lineno or node.lineno


PROGRAMS = [
    *(program for page in PAGES for program in programs_of_page(page)),
    *(program for module in MODULES for program in programs_of_module(module)),
]


@pytest.fixture(scope="module")
def documents_redis() -> Iterator[RedisServer]:
    """One that no other test has keys in: programs of the documents use the default prefix."""
    with started_or_skip(RedisServer) as server:
        yield server


@pytest.fixture(scope="module")
def documents_kafka() -> Iterator[KafkaServer]:
    with started_or_skip(KafkaServer) as server:
        yield server


def _kafka(request: pytest.FixtureRequest) -> str:
    server: KafkaServer = request.getfixturevalue("documents_kafka")
    return emptied(server).servers


def _single(request: pytest.FixtureRequest) -> str:
    server: RedisServer = request.getfixturevalue("documents_redis")
    server.command("FLUSHALL")
    return f"127.0.0.1:{server.port}"


def _sentinels(request: pytest.FixtureRequest) -> str:
    servers: RedisSentinel = request.getfixturevalue("redis_sentinel")
    servers.master.command("FLUSHALL")
    return servers.url.partition("://")[2].removesuffix("/0")


def _cluster(request: pytest.FixtureRequest) -> str:
    servers: RedisCluster = request.getfixturevalue("redis_cluster")
    for server in servers.servers:
        if server.info("replication")["role"] == "master":
            server.command("FLUSHALL")
    return servers.url.partition("://")[2]


SERVERS: dict[str, Callable[[pytest.FixtureRequest], str]] = {
    "localhost:6379": _single,
    "localhost:9092": _kafka,
    "sentinel-1:26379,sentinel-2:26379,sentinel-3:26379/mymaster": _sentinels,
    "node-1:6379,node-2:6379,node-3:6379": _cluster,
}


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda it: f"{it.document}:{it.blocks[0].line}")
def test_every_python_block_runs(program: Program, request: pytest.FixtureRequest) -> None:
    source = program.source
    for shown, real in SERVERS.items():
        if shown in source:
            source = source.replace(shown, real(request))
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, "-W", "error", ROOT / "tests" / "_run_document.py", program.document],
        input=source,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, f"{program.document}\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_of_a_page_says_what_it_is(page: Path) -> None:
    """Else a block without a language, or `py` for `python`, would never run."""
    languages = [language for _, language in fences(page.read_text())]
    unknown = [each for each in languages if each not in SHOWN and each != "python"]
    assert unknown == [], f"write one of python, {', '.join(sorted(SHOWN))}"
    assert languages.count("python") == len(blocks_of(page)), "a python block was not found"


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_every_block_of_a_docstring_is_run(module: Path) -> None:
    """Docstrings show code as python blocks: a doctest prompt, or `::`, would be run by nobody."""
    text = module.read_text()
    assert ">>> " not in text
    assert [block for _, block in INDENTED.findall(text) if is_python(block)] == []
    languages = [language for _, language in fences(text)]
    assert [each for each in languages if each not in SHOWN and each != "python"] == []
    held = [block for program in programs_of_module(module) for block in program.blocks]
    assert languages.count("python") == len(held)


def is_python(block: str) -> bool:
    try:
        ast.parse(textwrap.dedent(block))
    except SyntaxError:
        return False
    return True


def fences(text: str) -> Iterator[tuple[str, str]]:
    """The marker and the language of each block."""
    inside = ""
    for marker, rest in FENCE.findall(text):
        if not inside:
            inside = marker
            yield marker, rest.strip()
        elif marker.startswith(inside) and not rest.strip():
            inside = ""
