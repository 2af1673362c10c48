"""Find dead links in every Markdown file of the repository.

    make links

A relative link must lead to a file or a folder that is there, ``…/test_x.py#test_name`` to a
function or a class of that name, ``…/page.md#heading`` to a heading (in docs/ the strict build
sees to that, which knows the reference's headings too). Links into the web are not followed: a
check must not fail because somebody else's server is down.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLACES = ["*.md", "docs/**/*.md", "adapters/**/*.md", "examples/**/*.md", "tests/**/*.md"]
IGNORED = {".venv", ".venv-lowest", "node_modules", "site"}

FENCED = re.compile(r"^[ \t]*(```|~~~).*?^[ \t]*\1[ \t]*$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?![a-z]+:|/)([^)#\s]*)(?:#([^)\s]*))?\)")
INCLUDE = re.compile(r'^--8<-- "([^"]+)"$', re.MULTILINE)
HEADING = re.compile(r"^#{1,6} +(.+?)(?: +\{#([\w-]+)\})?$", re.MULTILINE)


def main() -> None:
    pages = sorted({page for place in PLACES for page in ROOT.glob(place) if tracked(page)})
    dead = [problem for page in pages for problem in problems(page)]
    print("\n".join([*dead, f"links: {len(pages)} files, {len(dead)} dead links"]))
    sys.exit(bool(dead))


def tracked(page: Path) -> bool:
    return not IGNORED.intersection(page.relative_to(ROOT).parts)


def problems(page: Path) -> Iterator[str]:
    text = FENCED.sub(lambda block: "\n" * block[0].count("\n"), page.read_text())
    name = page.relative_to(ROOT)
    for match in LINK.finditer(text):
        where = f"{name}:{text.count(chr(10), 0, match.start()) + 1}"
        target = (page.parent / match[1]).resolve() if match[1] else page
        if not target.exists():
            yield f"{where} there is no {match[1]}"
        elif match[2] and not held_by(target, match[2]):
            yield f"{where} {match[1] or name} has no #{match[2]}"
    for include in INCLUDE.findall(text):
        if not (ROOT / include).exists():
            yield f"{name} includes {include}, which is not there"


def held_by(target: Path, anchor: str) -> bool:
    if target.suffix == ".py":
        nodes = ast.walk(ast.parse(target.read_text()))
        return any(getattr(node, "name", None) == anchor for node in nodes)
    if target.suffix == ".md" and not target.is_relative_to(ROOT / "docs"):
        headings = HEADING.findall(FENCED.sub("", target.read_text()))
        return anchor in {own or slug(heading) for heading, own in headings}
    return True


def slug(heading: str) -> str:
    """As Python-Markdown's table of contents makes it."""
    plain = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower())


if __name__ == "__main__":
    main()
