"""The tree of errors, as it is drawn."""

from __future__ import annotations

import inspect
import pickle
import re

import pytest

import busway
from busway import errors

__all__: list[str] = []

CLASSES = [c for c in vars(errors).values() if inspect.isclass(c) and c.__module__ == "busway"]


def drawn() -> dict[str, str]:
    """Parents by name, read from the picture."""
    parents: dict[str, str] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if found := re.match(r"^    ([│ ├└─]*)([A-Z]\w+)", line):
            depth = len(found[1]) // 4
            del above[depth:]
            if above:
                parents[found[2]] = above[-1]
            above.append(found[2])
    return parents


def test_the_picture_shows_every_error_under_its_parent() -> None:
    parents = drawn()
    assert parents | {"BuswayError": "Exception"} == {
        cls.__name__: cls.__bases__[0].__name__ for cls in CLASSES
    }


def test_every_error_is_offered_at_the_front_door() -> None:
    assert {cls.__name__ for cls in CLASSES} == set(errors.__all__)
    assert set(errors.__all__) <= set(busway.__all__)


@pytest.mark.parametrize(
    ("error", "like"),
    [
        (errors.TopicError, ValueError),
        (errors.EventError, TypeError),
        (errors.UnknownTransport, LookupError),
        (errors.StateError, RuntimeError),
        (errors.RequestTimeout, TimeoutError),
        (errors.DrainTimeout, TimeoutError),
        (errors.Undecodable, ValueError),
    ],
)
def test_an_error_is_the_builtin_that_says_the_same(
    error: type[Exception], like: type[Exception]
) -> None:
    assert issubclass(error, like)


@pytest.mark.parametrize("cls", CLASSES)
def test_an_error_crosses_a_process_boundary_whole(cls: type[Exception]) -> None:
    made = cls(1.5) if cls is errors.RetryLater else cls("what happened")
    if isinstance(made, errors.RequestFailed):
        made = errors.RequestFailed("what happened", "ValueError")
    back = pickle.loads(pickle.dumps(made))
    assert type(back) is cls
    assert str(back) == str(made)
    assert vars(back) == vars(made)


def test_a_wait_below_zero_is_refused() -> None:
    with pytest.raises(errors.OptionError, match="must be 0 seconds or more"):
        errors.RetryLater(-1)
