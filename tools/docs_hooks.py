"""What the documentation's build adds to MkDocs.

- The navigation: the pages in the order of ORDER, and every page of a folder in order of its name.
- ``--8<-- "FILE"`` on a line of its own puts a file of the repository in its place.
- A link to a file outside docs/ (a test, an example) leads to a page that shows this file, so the
  same link works on the site and in the repository. ``…/test_x.py#test_name`` leads to that test.
"""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

__all__ = ["on_config", "on_files", "on_page_markdown"]

ROOT = Path(__file__).resolve().parent.parent
ORDER = [
    "index.md",
    "why.md",
    "tutorial.md",
    "how-to",
    "semantics.md",
    "writing-a-transport.md",
    "reference",
    "adr",
    "changelog.md",
    "contributing.md",
]
SECTIONS = {"how-to": "How-to", "reference": "Reference", "adr": "Decisions"}

INCLUDE = re.compile(r'^--8<-- "([^"]+)"$', re.MULTILINE)
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#|/)([^)#\s]+)(#[^)\s]*)?(?=\))")
FENCED = re.compile(r"(^[ \t]*```.*?^[ \t]*```[ \t]*$)", re.MULTILINE | re.DOTALL)
LANGUAGES = {".py": "python", ".toml": "toml", ".yml": "yaml", ".md": "markdown"}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    docs = Path(config.docs_dir)
    others = sorted(each.name for each in docs.glob("*.md") if each.name not in ORDER)
    config.nav = []
    for name in [*ORDER[:-2], *others, *ORDER[-2:]]:
        if name in SECTIONS:
            pages = sorted(page.relative_to(docs).as_posix() for page in docs.glob(f"{name}/*.md"))
            pages.sort(key=lambda page: not page.endswith("/index.md"))
            config.nav += [{SECTIONS[name]: list(pages)}] if pages else []
        elif (docs / name).exists():
            config.nav.append(name)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for target in sorted(shown(Path(config.docs_dir))):
        page = File.generated(config, source_page(target), content=show(target))
        page.inclusion = page.inclusion.NOT_IN_NAV
        files.append(page)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    here = page.file.src_uri
    if here.startswith("source/"):
        return markdown
    return rewritten(markdown, f"docs/{here}", here)


def rewritten(text: str, origin: str, here: str) -> str:
    """The text of ORIGIN, its links as they must be in the page HERE."""

    def link(match: re.Match[str]) -> str:
        target, anchor = resolve(origin, match[1]), match[2] or ""
        page = target.removeprefix("docs/") if target.startswith("docs/") else source_page(target)
        return posixpath.relpath(page, posixpath.dirname(here) or ".") + anchor

    done = []
    for number, part in enumerate(INCLUDE.split(text)):
        if number % 2:
            done.append(rewritten((ROOT / part).read_text(), part, here))
        else:
            done += [LINK.sub(link, prose) if prose else code for prose, code in split(part)]
    return "".join(done)


def split(text: str) -> Iterator[tuple[str, str]]:
    """The text in its order, as pairs of which one is empty: prose, or a block of code."""
    for number, part in enumerate(FENCED.split(text)):
        yield ("", part) if number % 2 else (part, "")


def shown(docs: Path) -> set[str]:
    """The files outside docs/ that the pages link to."""
    found: set[str] = set()
    for page in docs.rglob("*.md"):
        origin = page.relative_to(ROOT).as_posix()
        text = page.read_text()
        for name in INCLUDE.findall(text):
            found |= set(targets((ROOT / name).read_text(), name))
        found |= set(targets(text, origin))
    return found


def targets(text: str, origin: str) -> Iterator[str]:
    for prose, _ in split(text):
        for match in LINK.finditer(prose):
            target = resolve(origin, match[1])
            if not target.startswith(("docs/", "..")) and (ROOT / target).exists():
                yield target


def resolve(origin: str, link: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(origin), link))


def source_page(target: str) -> str:
    return f"source/{target}.md"


def show(target: str) -> str:
    """A page that shows a file, or lists a folder."""
    path = ROOT / target
    if path.is_dir():
        names = sorted(each.name for each in path.iterdir() if not each.name.startswith((".", "_")))
        return f"# {target}/\n\n" + "".join(f"- `{name}`\n" for name in names)
    lines = path.read_text().split("\n")
    starts = {0: ""} | (definitions(path) if path.suffix == ".py" else {})
    ends = [*list(starts)[1:], len(lines)]
    language = LANGUAGES.get(path.suffix, "text")
    page = [f"# {target}\n"]
    for (start, name), end in zip(starts.items(), ends, strict=True):
        code = "\n".join(lines[start:end])
        anchor = f"[](){{ #{name} }}\n\n" if name else ""
        page.append(f'{anchor}````{language} linenums="{start + 1}"\n{code}\n````\n')
    return "\n".join(page)


def definitions(path: Path) -> dict[int, str]:
    """Where each class, function and method begins, its decorators and all."""
    tree = ast.parse(path.read_text())
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    found = [node for node in tree.body if isinstance(node, kinds)]
    found += [
        method
        for each in found
        if isinstance(each, ast.ClassDef)
        for method in each.body
        if isinstance(method, kinds)
    ]
    return dict(sorted((first_line(node) - 1, node.name) for node in found))


def first_line(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return min([node.lineno, *(each.lineno for each in node.decorator_list)])
