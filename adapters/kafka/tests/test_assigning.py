"""Who gets which partition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from busway_kafka._assigning import Claim, Unit, assigned

__all__: list[str] = []


def claim(*channels: str, owned: Sequence[Unit] = (), generation: int = 1) -> Claim:
    return Claim(channels=channels, owned=tuple(owned), generation=generation)


def units(channel: str, *numbers: int) -> list[Unit]:
    return [(channel, number) for number in numbers]


def given(plan: Mapping[str, Sequence[Unit]]) -> list[Unit]:
    return sorted(unit for each in plan.values() for unit in each)


def test_all_is_dealt_out_evenly() -> None:
    plan = assigned({name: claim("a", "b") for name in "xyz"}, {"a": 4, "b": 4})
    assert given(plan) == units("a", 0, 1, 2, 3) + units("b", 0, 1, 2, 3)
    assert sorted(len(each) for each in plan.values()) == [2, 3, 3]


def test_each_keeps_what_it_has() -> None:
    claims = {"x": claim("a", owned=units("a", 1, 3)), "y": claim("a", owned=units("a", 0, 2))}
    plan = assigned(claims, {"a": 4})
    assert {name: sorted(each) for name, each in plan.items()} == {
        "x": units("a", 1, 3),
        "y": units("a", 0, 2),
    }


def test_what_moves_is_withheld_until_its_owner_lets_go() -> None:
    claims = {"x": claim("a", owned=units("a", 0, 1, 2, 3)), "y": claim("a", generation=-1)}
    plan = assigned(claims, {"a": 4})
    assert len(plan["x"]) == 2
    assert plan["y"] == []
    claims["x"] = claim("a", owned=plan["x"], generation=2)
    after = assigned(claims, {"a": 4})
    assert sorted(after["x"]) == sorted(plan["x"])
    assert given(after) == units("a", 0, 1, 2, 3)


def test_what_a_member_that_is_gone_had_goes_to_the_others_at_once() -> None:
    claims = {"x": claim("a", owned=units("a", 0)), "y": claim("a", owned=units("a", 1))}
    plan = assigned(claims, {"a": 4})
    assert given(plan) == units("a", 0, 1, 2, 3)
    assert all(len(each) == 2 for each in plan.values())


@pytest.mark.parametrize(("late", "slow"), ["xy", "yx"])
def test_of_two_that_say_they_have_it_the_later_one_does(late: str, slow: str) -> None:
    claims = {
        slow: claim("a", owned=units("a", 0), generation=3),
        late: claim("a", owned=units("a", 0), generation=4),
    }
    plan = assigned(claims, {"a": 1})
    assert plan == {late: units("a", 0), slow: []}


def test_nobody_is_given_what_it_does_not_read() -> None:
    plan = assigned({"x": claim("a"), "y": claim("a", "b")}, {"a": 2, "b": 2, "nobody's": 2})
    assert sorted(plan["x"]) == units("a", 0, 1)
    assert sorted(plan["y"]) == units("b", 0, 1)


def test_a_channel_that_its_owner_reads_no_more_is_withheld_from_the_others_until_it_says_so() -> (
    None
):
    claims = {"x": claim("b", owned=units("a", 0)), "y": claim("a")}
    assert assigned(claims, {"a": 1, "b": 1}) == {"x": units("b", 0), "y": []}
    claims["x"] = claim("b", owned=units("b", 0))
    assert assigned(claims, {"a": 1, "b": 1}) == {"x": units("b", 0), "y": units("a", 0)}


def test_what_holds_events_is_dealt_out_evenly_whoever_has_what_is_only_tried_again() -> None:
    """Retries of a narrow channel have more partitions than its events."""
    claims = {"x": claim("a", owned=units("a", 0, 1, 2, 3)), "y": claim("a", generation=-1)}
    for generation in (2, 3):
        plan = assigned(claims, {"a": 4}, {"a": 2})
        claims = {
            name: claim("a", owned=each, generation=generation) for name, each in plan.items()
        }
    assert [len({*each} & {*units("a", 0, 1)}) for each in plan.values()] == [1, 1]
    assert [len(each) for each in plan.values()] == [2, 2]


def test_all_members_would_decide_the_same() -> None:
    claims = {name: claim("a", "b") for name in "xyz"}
    turned = dict(reversed(claims.items()))
    assert assigned(claims, {"a": 5, "b": 2}) == assigned(turned, {"a": 5, "b": 2})


def test_the_words_of_another_client_claim_nothing() -> None:
    assert Claim.of(b"\0\1") == Claim.of(None) == Claim()
