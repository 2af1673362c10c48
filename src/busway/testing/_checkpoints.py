"""Cancel a call at each of its checkpoints, one after another."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Iterator
from typing import Any, Generic, TypeVar

import anyio

__all__ = ["Cut", "cancelled_at_every_checkpoint"]

T = TypeVar("T")

_FAR = 1000
"""A call with more checkpoints than this is taken for one that never ends."""


class Cut:
    """One try: run a call with it, and it is cancelled at the n-th place where it waits."""

    def __init__(self, at: int) -> None:
        self.at = at
        """0 cancels the call before it starts, so that its first checkpoint raises."""
        self.reached = False
        """Whether the call came so far."""
        self.cancelled = False
        """Whether the call ended by the cancellation. False: it was done, and its result counts."""

    async def __call__(self, call: Awaitable[T]) -> T | None:
        """Run the call. Returns what it returned, or None when it was cancelled."""
        result: T | None = None
        with anyio.CancelScope() as scope:
            if self.at == 0:
                self._cut(scope)
            result = await _Stepped(call, self.at, lambda: self._cut(scope))
        self.cancelled = scope.cancelled_caught
        return result

    def _cut(self, scope: anyio.CancelScope) -> None:
        self.reached = True
        scope.cancel()


def cancelled_at_every_checkpoint() -> Iterator[Cut]:
    """A cut for the first checkpoint, the second, and so on, until one is not reached any more.

    ```python
    import anyio
    from busway.testing._checkpoints import cancelled_at_every_checkpoint

    lock = anyio.Lock()
    for cut in cancelled_at_every_checkpoint():
        await cut(lock.acquire())
        assert lock.locked() is not cut.cancelled  # what must hold, cancelled or not
        if lock.locked():
            lock.release()
    ```

    The last cut lets the call end by itself. Each must run exactly one call. It works by stepping
    the call by hand, so that it is the same on every event loop and cancels the same in every run.
    Tasks that the call starts are cancelled with it, their own checkpoints are not counted.
    """
    for at in range(_FAR):
        cut = Cut(at)
        yield cut
        if not cut.reached:
            return
    raise AssertionError(f"the call had not ended after {_FAR} checkpoints")


class _Stepped(Generic[T]):
    """Awaits a call and does something each time it is about to wait for the n-th time."""

    def __init__(self, call: Awaitable[T], at: int, act: Callable[[], None]) -> None:
        self._call = call
        self._at = at
        self._act = act

    def __await__(self) -> Generator[Any, Any, T]:
        steps = self._call.__await__()
        count = 0
        answer: Any = None
        error: BaseException | None = None
        while True:
            try:
                asked = steps.send(answer) if error is None else steps.throw(error)
            except StopIteration as stop:
                result: T = stop.value
                return result
            count += 1
            if count == self._at:
                self._act()
            try:
                answer, error = (yield asked), None
            except BaseException as thrown:  # handed on into the call, whatever it is
                error = thrown
