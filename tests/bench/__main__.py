"""``python -m tests.bench``: one run, one set of tables, ratios first."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.bench.cases import CASES, case
from tests.bench.figures import Section
from tests.bench.measure import Settings
from tests.bench.report import (
    below_floor,
    console,
    print_facts,
    print_section,
    print_tally,
    save,
)


def arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--short", action="store_true", help="two short repeats, half a minute")
    parser.add_argument("--repeats", type=int, help="timed repeats of each row (5, short: 2)")
    parser.add_argument(
        "--only", action="append", choices=CASES, metavar="CASE",
        help=f"one case, may be given again: {', '.join(CASES)}",
    )  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every repeat's value")
    parser.add_argument(
        "--check", action="store_true", help="exit with 1 if a figure lies below its floor"
    )
    return parser.parse_args(argv)


def main(argv: list[str]) -> int:
    options = arguments(argv)
    repeats = options.repeats or (2 if options.short else 5)
    settings = Settings(options.short, repeats, 0.08 if options.short else 0.4)
    out = console()
    print_facts(out)
    kind = "short, for a look only" if settings.short else "full"
    out.print(f"{kind}: median of {repeats} interleaved repeats\n", highlight=False)
    sections: list[Section] = []
    for name in options.only or CASES:
        for section in case(name)(settings):
            sections.append(section)
            print_section(out, section)
    print_tally(out, sections)
    if options.json:
        save(options.json, sections)
    return 1 if options.check and below_floor(sections) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
