"""The one truth table of patterns, as data. Every transport has to keep to it.

``python tests/pattern_table.py`` writes it into ``docs/reference/patterns.md``; a test fails when
the two differ.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

__all__ = ["BAD_PATTERNS", "BAD_TOPICS", "MORE_SPECIFIC", "PAGE", "TABLE", "Row", "page"]

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "patterns.md"
BEGIN = "<!-- written by tests/pattern_table.py: do not edit below -->\n"


class Row(NamedTuple):
    pattern: str
    topic: str
    matches: bool
    why: str


TABLE: dict[str, list[Row]] = {
    "Literal text": [
        Row("order.placed", "order.placed", True, "the same text"),
        Row("order.placed", "order.paid", False, "another segment"),
        Row("order.placed", "Order.placed", False, "upper and lower case differ"),
        Row("order.placed", "order", False, "a segment is missing"),
        Row("order", "order.placed", False, "a segment is left over"),
        Row("order", "order", True, "a topic of a single segment"),
        Row("a+b(c)|d^$", "a+b(c)|d^$", True, "no pattern is a regular expression"),
        Row("a+", "aa", False, "no pattern is a regular expression"),
        Row("order,placed", "order,placed", True, "a comma outside braces is itself"),
        Row("a-b!", "a-b!", True, "'-' and '!' outside brackets are themselves"),
        Row("größe.geändert", "größe.geändert", True, "any printable text"),
    ],
    "Separators": [
        Row("order:placed", "order:placed", True, "both separators are equal in rank"),
        Row("order.placed", "order:placed", False, "a separator matches itself only"),
        Row("a.b:c", "a.b:c", True, "a topic may mix them"),
        Row("a.b:c", "a:b.c", False, "each stands where it was written"),
        Row("order.*", "order:placed", False, "a separator matches itself only"),
        Row("order:*", "order:placed", True, "a separator matches itself only"),
        Row("*.b:*", "a.b:c", True, "three segments with these separators"),
    ],
    "`*`: exactly one segment": [
        Row("order.*", "order.placed", True, "one segment"),
        Row("order.*", "order", False, "none is not one"),
        Row("order.*", "order.item.added", False, "two are not one"),
        Row("*.placed", "order.placed", True, "one segment, first"),
        Row("*.placed", "placed", False, "none is not one"),
        Row("a.*.c", "a.b.c", True, "one segment, in the middle"),
        Row("a.*.c", "a.b:c", False, "the separator after it is '.'"),
        Row("*.*", "a.b", True, "two segments with '.' between them"),
        Row("*.*", "a", False, "only a '*' that stands alone is every topic"),
        Row("*.*", "a:b", False, "the separator is '.'"),
        Row("*:*", "a:b", True, "two segments with ':' between them"),
    ],
    "`*` or `**` alone: every topic": [
        Row("*", "order", True, "every topic"),
        Row("*", "order.placed", True, "every topic, of more segments too"),
        Row("*", "a:b.c", True, "every topic, with any separators"),
        Row("**", "order", True, "every topic"),
        Row("**", "a.b:c", True, "every topic"),
        Row("{*,order}", "a.b", True, "the alternative '*' is a pattern of its own, and alone"),
    ],
    "`**`: any number of segments, at the end": [
        Row("a.**", "a", True, "none; the separator before it goes too"),
        Row("a.**", "a.b", True, "one"),
        Row("a.**", "a.b.c.d", True, "several"),
        Row("a.**", "a.b:c", True, "any separator between the segments it swallows"),
        Row("a.**", "a:b", False, "the first one swallowed comes after '.'"),
        Row("a.**", "ab.c", False, "'a' is a whole segment"),
        Row("a:**", "a:b.c", True, "the first one swallowed comes after ':'"),
        Row("a:**", "a", True, "none"),
        Row("a.*.**", "a.b", True, "one for '*', none for '**'"),
        Row("a.*.**", "a.b.c", True, "one for each"),
        Row("a.*.**", "a", False, "'*' needs one"),
        Row("*.**", "a", True, "one for '*', none for '**'"),
        Row("*.**", "a:b", False, "what '**' swallows first comes after '.'"),
    ],
    "`**` at the beginning": [
        Row("**.z", "z", True, "none; the separator after it goes too"),
        Row("**.z", "a.z", True, "one"),
        Row("**.z", "a:b.z", True, "any separator between the segments it swallows"),
        Row("**.z", "a:z", False, "'.' stands before 'z'"),
        Row("**.z", "z.z", True, "one, or it would be left over"),
        Row("**.z", "a.z.b", False, "'z' is the last segment"),
        Row("**.*", "a", True, "none for '**', one for '*'"),
        Row("**.*", "a:b", False, "'.' stands before the last segment, if there are two"),
        Row("**:z", "a.b:z", True, "':' stands before 'z'"),
    ],
    "`**` in the middle": [
        Row("a.**.z", "a.z", True, "none; its two separators are one"),
        Row("a.**.z", "a.b.z", True, "one"),
        Row("a.**.z", "a.b:c.z", True, "any separator between the segments it swallows"),
        Row("a.**.z", "a:z", False, "none, and the one separator is '.'"),
        Row("a.**.z", "a:b.z", False, "'.' stands after 'a'"),
        Row("a.**.z", "a.b:z", False, "'.' stands before 'z'"),
        Row("a.**:z", "a.b:z", True, "'.' before and ':' after what it swallows"),
        Row("a.**:z", "a.b.c:z", True, "'.' before and ':' after what it swallows"),
        Row("a.**:z", "a.z", False, "one separator cannot be '.' and ':' at once"),
        Row("a.**:z", "a:z", False, "one separator cannot be '.' and ':' at once"),
        Row("a.**.b.**.c", "a.b.c", True, "none, twice"),
        Row("a.**.b.**.c", "a.x.b.y.z.c", True, "one and two"),
        Row("a.**.b.**.c", "a.x.c", False, "'b' is missing"),
        Row("**.b.**", "b", True, "none on both sides"),
        Row("**.b.**", "a.b.c", True, "one on each side"),
    ],
    "Inside a segment": [
        Row("order.created*", "order.created", True, "'*' beside text may be nothing"),
        Row("order.created*", "order.created_again", True, "or several characters"),
        Row("order.created*", "order.created.again", False, "but no separator"),
        Row("*_failed", "payment_failed", True, "at the beginning"),
        Row("a*b*c", "axxbyyc", True, "twice"),
        Row("a*b*c", "acb", False, "in this order"),
        Row("a*a", "a", False, "two characters, at the least"),
        Row("v?", "v1", True, "one character"),
        Row("v?", "v", False, "exactly one"),
        Row("v?", "v12", False, "exactly one"),
        Row("a?b", "a.b", False, "never a separator"),
        Row("?*", "order", True, "one character or more, in one segment"),
        Row("?*", "order.placed", False, "not alone: this is one segment"),
        Row("v[123]", "v2", True, "one of these"),
        Row("v[123]", "v4", False, "none of these"),
        Row("v[0-9]", "v7", True, "a range"),
        Row("v[a-cx]", "vx", True, "a range and a character"),
        Row("v[0-9]", "v10", False, "one character"),
        Row("v[!0-9]", "va", True, "a character that is none of these"),
        Row("v[!0-9]", "v1", False, "one of these"),
        Row("v[!0-9]", "v", False, "there must be a character"),
        Row("a[!x]b", "a.b", False, "never a separator"),
        Row("a[-x]", "a-", True, "a '-' that stands first or last is itself"),
        Row("a+?(b", "a+x(b", True, "no part of a pattern is a regular expression"),
        Row("a+?", "aab", False, "no part of a pattern is a regular expression"),
        Row("a[+^]", "a^", True, "no part of a pattern is a regular expression"),
        Row("[Oo]rder.*", "Order.placed", True, "for two ways of writing"),
    ],
    "Alternatives": [
        Row("order.{placed,paid}", "order.placed", True, "one of them"),
        Row("order.{placed,paid}", "order.shipped", False, "none of them"),
        Row("{order.placed,invoice.*}", "invoice.sent", True, "with segments and wildcards"),
        Row("{order.placed,invoice.*}", "order.paid", False, "none of them"),
        Row("order.{item.*,paid}", "order.item.added", True, "with segments and wildcards"),
        Row("{a,b}{1,2}", "b1", True, "each with each"),
        Row("{a,b}.{x:y,z}", "a.x:y", True, "separators in there match themselves only"),
        Row("v{[a,b],1}", "v,", True, "a comma in brackets is a character"),
        Row("{order}", "order", True, "one alternative is allowed"),
    ],
}

BAD_PATTERNS: dict[str, str] = {
    "": "pattern '' is empty: write '*' for every event",
    "order.[ab": "pattern 'order.[ab' has '[' without ']': write '[abc]' for one of these"
    " characters",
    "order.ab]": "pattern 'order.ab]' has ']' without '[': write '[abc]' for one of these"
    " characters",
    "{a,b": "pattern '{a,b' has '{' without '}': write '{a,b}' for alternatives",
    "a,b}": "pattern 'a,b}' has '}' without '{': write '{a,b}' for alternatives",
    "{a,{b,c}}": "pattern '{a,{b,c}}' has '{' inside '{…}': write them side by side: '{a,b,c}'",
    "{a,}": "pattern '{a,}' has an empty alternative: name each one: '{a,b}'; give a second pattern"
    " to match without it",
    "order..placed": "pattern 'order..placed' has an empty segment: write one '.' or ':' between"
    " two segments and none at the ends; '*' is exactly one segment, '**' is any number",
    "order.": "pattern 'order.' has an empty segment: write one '.' or ':' between two segments and"
    " none at the ends; '*' is exactly one segment, '**' is any number",
    "order.***": "pattern 'order.***' holds '***': write '*' for one segment or a part of one, '**'"
    " for any number of segments",
    "order**": "pattern 'order**' has '**' glued to text in 'order**': write 'order*' for a part of"
    " one segment, or set '**' between separators for any number of segments",
    "a.**.**": "pattern 'a.**.**' has '**' beside '**': write '**' once; it is any number of"
    " segments",
    "[]": "pattern '[]' holds '[]', which names no character: write '[abc]'",
    "[!]": "pattern '[!]' holds '[!]', which names no character: write '[abc]'",
    "[^ab]": "pattern '[^ab]' holds '[^ab]': write '[!ab]' for none of these",
    "[z-a]": "pattern '[z-a]' holds the backward range 'z-a': write '[a-z]'",
    "a[.:]b": "pattern 'a[.:]b' holds '.' in '[.:]': name characters of one segment there;"
    " '{a.b,c}' holds alternatives with separators",
    "order placed": "pattern 'order placed' holds ' ', which no topic holds: leave it out",
    "order\\*": "pattern 'order\\\\*' holds a backslash, and there is no escaping: leave it out;"
    " no topic holds wildcard characters",
}

BAD_TOPICS: dict[str, str] = {
    "": "topic '' is empty: name what happened, as in 'order.placed'",
    "order..placed": "topic 'order..placed' has an empty segment: write one '.' or ':' between two"
    " names and none at the ends",
    ".order": "topic '.order' has an empty segment: write one '.' or ':' between two names and none"
    " at the ends",
    "order:": "topic 'order:' has an empty segment: write one '.' or ':' between two names and none"
    " at the ends",
    "order.*": "topic 'order.*' holds '*', which is for patterns: publish to one exact topic, and"
    " subscribe with wildcards",
    "order.{a,b}": "topic 'order.{a,b}' holds '{', which is for patterns: publish to one exact"
    " topic, and subscribe with wildcards",
    "order placed": "topic 'order placed' holds ' ': write '_' or '-' instead",
    "order\n": "topic 'order\\n' holds '\\n': write '_' or '-' instead",
}

MORE_SPECIFIC: list[tuple[str, str, str]] = [
    ("order.placed", "order.place?", "literal text before wildcards"),
    ("order.place?", "order.place*", "'?' says how many characters, '*' does not"),
    ("order.[!x]*", "order.*", "a part of a segment before '*'"),
    ("order.placed*", "order.*d", "more literal characters"),
    ("order.*_failed", "order.p*", "more literal characters, wherever they stand"),
    ("order.v[a-z]", "order.v[!0-9]", "a narrower class: most characters are no digits"),
    ("order.pl*", "order.p*d", "as many, and the first difference is 'l' before '*'"),
    ("order.v[12]", "order.v[0-9]", "a narrower class"),
    ("order.v[0-9]", "order.v?", "a class before '?'"),
    ("order.*", "*.placed", "the first difference from the left decides"),
    ("order.*", "order.**", "'*' before '**'"),
    ("order", "order.**", "an end before '**'"),
    ("order.**.placed", "order.**", "a segment before an end"),
    ("order.**", "*.placed", "the first difference from the left decides"),
    ("*.*", "**.placed", "the first difference from the left decides"),
    ("**.placed", "*", "'*' alone is '**'"),
]


def page(text: str) -> str:
    """The page with its tables written anew."""
    return text[: text.index(BEGIN) + len(BEGIN)] + _tables()


def _tables() -> str:
    lines = ["", "## What matches what", ""]
    for title, rows in TABLE.items():
        lines += [f"### {title}", "", "| pattern | topic | matches | why |", "|---|---|---|---|"]
        lines += [
            f"| {_code(row.pattern)} | {_code(row.topic)} | {'yes' if row.matches else 'no'} "
            f"| {_text(row.why)} |"
            for row in rows
        ]
        lines.append("")
    lines += ["## Which is more specific", "", "| before | behind | why |", "|---|---|---|"]
    lines += [f"| {_code(a)} | {_code(b)} | {_text(why)} |" for a, b, why in MORE_SPECIFIC]
    lines += ["", "## Malformed patterns", "", "Each raises `PatternError`, which says:", ""]
    lines += [f"- `{message}`" for message in BAD_PATTERNS.values()]
    lines += ["", "## Malformed topics", "", "Each raises `TopicError`, which says:", ""]
    lines += [f"- `{message}`" for message in BAD_TOPICS.values()]
    return "\n".join(lines) + "\n"


def _code(text: str) -> str:
    return f"`{text}`".replace("|", "\\|")


def _text(text: str) -> str:
    return text.replace("'**'", "`**`").replace("'*'", "`*`")


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
