"""What an option of an adapter takes is the same for every adapter."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from busway import OptionError
from busway.transport.options import (
    Convert,
    Secret,
    choice,
    duration,
    flag,
    secret,
    text,
    whole,
)

__all__: list[str] = []


@pytest.mark.parametrize(
    ("convert", "given", "value"),
    [
        (duration, "500ms", 0.5),
        (duration, "1.5m", 90.0),
        (duration, "7d", 604_800.0),
        (duration, " 12 h ", 43_200.0),
        (duration, 3, 3.0),
        (duration, timedelta(minutes=1), 60.0),
        (whole(1), "12", 12),
        (whole(0), 0, 0),
        (flag, "yes", True),
        (flag, False, False),
        (choice("a", "b"), "b", "b"),
        (text, "x", "x"),
        (secret, "x", Secret("x")),
        (secret, Secret("x"), Secret("x")),
    ],
)
def test_an_option_is_read_from_text_and_from_values(
    convert: Convert, given: Any, value: Any
) -> None:
    assert convert("it", given) == value


@pytest.mark.parametrize(
    ("convert", "given"),
    [
        (duration, "0"),
        (duration, "-1s"),
        (duration, "1y"),
        (duration, True),
        (duration, float("inf")),
        (whole(1), "0"),
        (whole(1), 1.5),
        (whole(1), True),
        (flag, "perhaps"),
        (choice("a", "b"), "c"),
        (text, ""),
        (text, None),
        (secret, 5),
    ],
)
def test_what_it_does_not_take_is_refused_by_its_name(convert: Convert, given: Any) -> None:
    with pytest.raises(OptionError, match=r"^it="):
        convert("it", given)


def test_a_secret_is_shown_by_nothing_but_its_reveal() -> None:
    hidden = secret("password", "hunter2")
    shown = f"{hidden} {hidden!r} {[hidden]} {hidden!s:>9}"
    assert "hunter2" not in shown
    assert hidden.reveal() == "hunter2"
    with pytest.raises(OptionError) as refused:
        secret("password", 12345)
    assert "12345" not in str(refused.value)
