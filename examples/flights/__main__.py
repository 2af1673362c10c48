"""``python -m examples.flights``: run the demo. Exit status 1 when a flight is missing."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence

import anyio
from rich.console import Console

from busway import BuswayError

from .app import run
from .report import show

__all__ = ["main"]


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not 1 or more")
    return number


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m examples.flights",
        description="Send every flight that left New York in January 2013 through the bus.",
    )
    parser.add_argument(
        "--url",
        default=os.environ.get("BUSWAY_URL") or "memory://",
        help="the broker; else BUSWAY_URL; else memory://, this process",
    )
    parser.add_argument("--rate", type=_positive, help="flights a second at most; else no limit")
    parser.add_argument("--limit", type=_positive, help="only the first so many rows of the file")
    parser.add_argument("--verbose", action="store_true", help="show the bus's log")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo and print its report; 0 when every flight is accounted for, else 1.

    2 when there is no such broker, or it breaks.
    """
    given = _arguments(arguments)
    logging.basicConfig(level=logging.INFO if given.verbose else logging.CRITICAL)
    console = Console()

    async def demo() -> int:
        result = await run(given.url, console, limit=given.limit, rate=given.rate)
        show(console, result)
        return 1 if result.account.differences else 0

    try:
        return anyio.run(demo)
    except BuswayError as error:
        print(f"{given.url}: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
