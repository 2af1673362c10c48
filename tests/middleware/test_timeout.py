"""``timeout``."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from busway.errors import OptionError
from busway.message import Message
from busway.middleware import compose, timeout

pytestmark = pytest.mark.anyio

MakeMessage = Callable[..., Message[Any]]


async def for_ever(message: Message[Any]) -> None:
    await anyio.Event().wait()


async def test_a_handler_over_its_limit_fails_with_its_name_and_the_limit(
    message: MakeMessage,
) -> None:
    with pytest.raises(TimeoutError, match=r"^for_ever took longer than its timeout of 0\.01 s$"):
        await timeout(0.01)(for_ever)(message())


async def test_a_handler_within_its_limit_is_untouched(message: MakeMessage) -> None:
    async def quick(message: Message[Any]) -> str:
        await anyio.lowlevel.checkpoint()
        return "done"

    assert await timeout(timedelta(hours=1))(quick)(message()) == "done"


async def test_a_handlers_own_timeout_error_passes_unchanged(message: MakeMessage) -> None:
    own = TimeoutError("the database did not answer")

    async def failing(message: Message[Any]) -> None:
        raise own

    with pytest.raises(TimeoutError) as caught:
        await timeout(60)(failing)(message())
    assert caught.value is own


async def test_a_handlers_own_timeout_inside_is_not_mistaken_for_ours(
    message: MakeMessage,
) -> None:
    async def failing(message: Message[Any]) -> None:
        with anyio.fail_after(0.001):
            await anyio.Event().wait()

    with pytest.raises(TimeoutError) as caught:
        await timeout(60)(failing)(message())
    assert "took longer than its timeout" not in str(caught.value)


async def test_a_handler_that_finishes_although_cancelled_has_succeeded(
    message: MakeMessage,
) -> None:
    async def stubborn(message: Message[Any]) -> str:
        with suppress(anyio.get_cancelled_exc_class()):
            await anyio.Event().wait()
        return "saved"

    assert await timeout(0.01)(stubborn)(message()) == "saved"


async def test_being_cancelled_from_outside_is_no_timeout(message: MakeMessage) -> None:
    entered = anyio.Event()

    async def waiting(message: Message[Any]) -> None:
        entered.set()
        await anyio.Event().wait()

    errors: list[BaseException] = []

    async def handle() -> None:
        try:
            await timeout(60)(waiting)(message())
        except BaseException as error:
            errors.append(error)
            raise

    async with anyio.create_task_group() as group:
        group.start_soon(handle)
        await entered.wait()
        group.cancel_scope.cancel()
    assert [type(error) for error in errors] == [anyio.get_cancelled_exc_class()]


async def test_the_innermost_limit_of_two_is_named(message: MakeMessage) -> None:
    with pytest.raises(TimeoutError, match=r"timeout of 0\.01 s"):
        await compose(for_ever, (timeout(60), timeout(0.01)))(message())


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), True, None, "5", timedelta(0)])
def test_a_limit_is_a_number_above_0(seconds: Any) -> None:
    with pytest.raises(OptionError, match="timeout="):
        timeout(seconds)
