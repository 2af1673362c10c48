"""Whether the bus lost anything: its totals beside a count of the file made without a bus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import msgspec

from .load import rows

__all__ = ["KINDS", "Account", "compare", "plain_count"]

KINDS = ("flight.departed", "flight.delayed", "flight.diverted", "flight.cancelled")


def plain_count(limit: int | None = None) -> Counter[str]:
    """How many rows of each kind the file holds: the csv module and a few ifs."""
    count: Counter[str] = Counter()
    for row in rows(limit):
        if row["dep_time"] == "NA":
            count["flight.cancelled"] += 1
        elif row["arr_delay"] == "NA":
            count["flight.diverted"] += 1
        elif int(row["dep_delay"]) > 15:
            count["flight.delayed"] += 1
        else:
            count["flight.departed"] += 1
    return count


class Account(msgspec.Struct, frozen=True):
    """What came of a comparison."""

    expected: int
    counted: int
    differences: tuple[str, ...]
    """One sentence for each difference. None: everything is accounted for."""

    @property
    def line(self) -> str:
        """The last line that the demo prints."""
        return f"{self.counted:,} of {self.expected:,} accounted for"


def compare(plain: Mapping[str, int], heard: Mapping[str, Mapping[str, int]]) -> Account:
    """Compare what each subscriber counted, kind by kind, with the plain count.

    ``heard`` names each subscriber with its count of every kind that it hears: 0 of a kind is said,
    not left out. A flight is accounted for when all who hear its kind have counted it, so the
    smallest count of a kind decides. A flight counted twice is a difference too.
    """
    differences: list[str] = []
    least = dict(plain)
    for subscriber, counts in heard.items():
        for kind, count in counts.items():
            wanted = plain.get(kind, 0)
            least[kind] = min(least.get(kind, 0), count)
            if count != wanted:
                differences.append(f"{subscriber}: {count:,} of {kind}, the file has {wanted:,}")
    return Account(sum(plain.values()), sum(least.values()), tuple(differences))
