"""A table as plain text that is also Markdown: for files, pipes and the documentation."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["lines"]


def lines(headings: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> list[str]:
    """The first ``left`` columns stand to the left, the others to the right."""
    widths = [
        max(3, *(len(row[column]) for row in (headings, *rows))) for column in range(len(headings))
    ]

    def line(cells: Sequence[str]) -> str:
        padded = (
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return f"| {' | '.join(padded)} |"

    rules = [
        ":" + "-" * (width - 1) if column < left else "-" * (width - 1) + ":"
        for column, width in enumerate(widths)
    ]
    return [line(headings), line(rules), *(line(row) for row in rows)]
