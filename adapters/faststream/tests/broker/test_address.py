"""``order.{kind}``: a pattern of Busway's and FastStream's path parameters in one."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from busway import PatternError, matches
from busway_faststream.broker._address import address_of

__all__: list[str] = []


@pytest.mark.parametrize(
    ("declared", "pattern", "topic", "path"),
    [
        ("order.placed", "order.placed", "order.placed", {}),
        ("order.{kind}", "order.*", "order.placed", {"kind": "placed"}),
        ("{what}.{kind}", "*.*", "order.placed", {"what": "order", "kind": "placed"}),
        ("{kind}", "?*", "placed", {"kind": "placed"}),
        ("funnel:{step}", "funnel:*", "funnel:signup", {"step": "signup"}),
        ("order.{kind}.v[12]", "order.*.v[12]", "order.paid.v2", {"kind": "paid"}),
        ("{order,cart}.{kind}", "{order,cart}.*", "cart.left", {"kind": "left"}),
        ("{a.b,c}.{kind}", "{a.b,c}.*", "a.b.d", {"kind": "d"}),
        ("**.{last}", "**.*", "a.b.c", {"last": "c"}),
        ("{first}.**", "*.**", "a.b.c", {"first": "a"}),
        ("a.**.{last}", "a.**.*", "a.z", {"last": "z"}),
        ("a.**.{last}", "a.**.*", "a.b:c.z", {"last": "z"}),
        ("order-{number}.done", "order-*.done", "order-17.done", {"number": "17"}),
    ],
)
def test_a_name_in_braces_is_a_parameter(
    declared: str, pattern: str, topic: str, path: dict[str, str]
) -> None:
    address = address_of(declared)
    assert address.pattern == pattern
    assert matches(address.pattern, topic)
    assert address.path_of(topic) == path
    assert address.template == declared


def test_one_parameter_alone_is_one_segment_and_not_every_topic() -> None:
    assert not matches(address_of("{kind}").pattern, "order.placed")


def test_a_parameter_named_twice_is_an_error() -> None:
    with pytest.raises(PatternError, match="'kind' twice"):
        address_of("{kind}.{kind}")


segment = st.sampled_from(
    ["a", "b-1", "*", "a*", "?", "[ab]", "[!a]", "{p}", "{q}", "x{r}", "{a,b}"]
)
declarations = st.lists(segment, min_size=1, max_size=4, unique=True).flatmap(
    lambda parts: st.lists(
        st.sampled_from([".", ":"]), min_size=len(parts) - 1, max_size=len(parts) - 1
    ).map(lambda marks: "".join(a + b for a, b in zip(parts, [*marks, ""], strict=True)))
)
deep = st.sampled_from(["**.{p}", "{p}.**", "a.**.{p}", "a.**:{p}", "**:{p}.b", "{p}.**.{q}"])
topics = st.from_regex(r"[ab](?:[.:][abx1-]{1,3}){0,3}", fullmatch=True)


# How long an example takes says something about the machine and nothing about the property.
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(declarations, deep), topics)
def test_where_the_pattern_matches_the_parameters_are_found(declared: str, topic: str) -> None:
    """And nowhere else: what finds them is no looser than the bus."""
    address = address_of(declared)
    if not address.shapes:
        return
    found = any(shape.fullmatch(topic) for shape in address.shapes)
    assert found == matches(address.pattern, topic), address
