"""The fixtures that pytest finds where busway is installed, in a pytest of their own."""

from __future__ import annotations

import importlib.util
import os
from importlib.metadata import entry_points
from pathlib import Path

import pytest

__all__ = ["pytest_plugins"]

pytest_plugins = ["pytester"]

ROOT = Path(__file__).resolve().parent.parent.parent

EVENT = """
    import msgspec
    import pytest

    from busway import Backoff, Retry, event


    @event("order.placed", key="order_id")
    class OrderPlaced(msgspec.Struct, frozen=True):
        order_id: str


    HOURLY = Retry(attempts=4, backoff=Backoff(first=3600, cap=86_400, jitter="none"))
"""

TEST = """
    async def test_an_hour_passes(bus, captured, virtual_clock):
        attempts = []

        @bus.subscribe(OrderPlaced, retry=HOURLY)
        async def charge(order):
            attempts.append(virtual_clock.time())
            if len(attempts) < 2:
                raise ConnectionError("no answer")

        async with bus:
            await bus.publish(OrderPlaced("o-1"))
            await captured.settled()
        assert attempts[1] - attempts[0] == 3600
        assert captured.handled.of(OrderPlaced).key("o-1").events == [OrderPlaced("o-1")]
"""


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    found = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(ROOT / "src"), found)))
    # Only what is named is loaded: the same whether the entry point is installed here or not.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    return Run(pytester)


class Run:
    def __init__(self, pytester: pytest.Pytester) -> None:
        self._pytester = pytester

    def __call__(self, source: str, plugin: str = "", option: str = "") -> pytest.RunResult:
        self._pytester.makepyfile(source)
        options = [f"-p{each}" for each in ("_busway_pytest", plugin) if each]
        options += [f"-o{option}"] if option else []
        return self._pytester.runpytest_subprocess("-Werror", *options)


def source(mark: str) -> str:
    return EVENT + "\n    " + mark + TEST


def test_the_fixtures_work_with_the_plugin_of_anyio_on_both_loops(run: Run) -> None:
    result = run(source("@pytest.mark.anyio"), "anyio")
    result.assert_outcomes(passed=2)


@pytest.mark.skipif(
    importlib.util.find_spec("pytest_asyncio") is None, reason="pytest-asyncio is not installed"
)
def test_the_fixtures_work_with_pytest_asyncio(run: Run) -> None:
    # pytest-asyncio warns where this is not said.
    result = run(
        source("@pytest.mark.asyncio"), "asyncio", "asyncio_default_fixture_loop_scope=function"
    )
    result.assert_outcomes(passed=1)


def test_the_fixtures_need_no_plugin_at_all(run: Run) -> None:
    result = run(
        """
        import asyncio


        def test_it(bus, captured):
            async def main():
                async with bus:
                    await bus.publish("order.placed", {"order_id": "o-1"})
                    await captured.settled()

            asyncio.run(main())
            assert len(captured.published) == 1
        """
    )
    result.assert_outcomes(passed=1)


def test_each_test_has_a_bus_of_its_own(run: Run) -> None:
    result = run(
        """
        import asyncio
        import pytest


        @pytest.mark.parametrize("turn", [1, 2])
        def test_it(bus, captured, turn):
            async def main():
                async with bus:
                    await bus.publish("order.placed", {})

            asyncio.run(main())
            assert len(captured.published) == 1
        """
    )
    result.assert_outcomes(passed=2)


def test_a_fixture_of_ones_own_goes_before(run: Run) -> None:
    result = run(
        """
        import pytest
        from busway import Bus


        @pytest.fixture
        def bus():
            return Bus(service="mine")


        def test_it(bus, captured):
            assert bus.service == "mine"
        """
    )
    result.assert_outcomes(passed=1)


def test_where_no_fixture_is_used_nothing_is_imported(run: Run) -> None:
    """pytest imports the plugin for every project on the machine."""
    result = run(
        """
        import sys


        def test_it():
            assert "_busway_pytest" in sys.modules
            assert not {"busway", "anyio", "msgspec"} & set(sys.modules)
        """
    )
    result.assert_outcomes(passed=1)


@pytest.mark.skipif(
    "busway" not in {each.name for each in entry_points(group="pytest11")},
    reason="busway is not installed here: it runs from its sources",
)
def test_pytest_finds_the_plugin_by_itself(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", raising=False)
    pytester.makepyfile("def test_it(virtual_clock): assert virtual_clock.time() > 0")
    pytester.runpytest_subprocess().assert_outcomes(passed=1)
