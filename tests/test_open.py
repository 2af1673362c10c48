"""From a URL to a transport, and what is said when there is none."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Any

import pytest

from busway import Bus, OptionError, UnknownTransport
from busway._open import installed, open_transport, without_secrets
from busway.memory import MemoryTransport, NullTransport

__all__: list[str] = []

SECRET = "hunter2"
made: list[str] = []


def opens(url: str) -> NullTransport:
    made.append(url)
    return NullTransport()


@pytest.fixture
def adapters(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [
        EntryPoint("third", f"{__name__}:opens", "busway.transports"),
        EntryPoint("kafka", "busway_no_such_adapter:open", "busway.transports"),
        EntryPoint("broken", f"{__name__}:no_such_name", "busway.transports"),
    ]
    monkeypatch.setattr("busway._open._entry_points", lambda: points)


def test_memory_and_null_are_there_without_any_adapter() -> None:
    assert isinstance(open_transport("memory://"), MemoryTransport)
    assert isinstance(open_transport("NULL://"), NullTransport)
    assert {"memory", "null"} <= set(installed())


@pytest.mark.usefixtures("adapters")
def test_an_adapters_entry_point_is_given_the_whole_url() -> None:
    Bus(f"third://me:{SECRET}@host/0", service="shop")
    assert made[-1] == f"third://me:{SECRET}@host/0"


@pytest.mark.usefixtures("adapters")
def test_an_unknown_scheme_lists_what_is_installed() -> None:
    with pytest.raises(
        UnknownTransport,
        match=r"no transport for 'carrier'.*installed: broken, kafka, memory, null, third\. Check",
    ):
        Bus("carrier://host", service="shop")


@pytest.mark.parametrize(
    ("url", "extra"),
    [("redis://h", "redis"), ("kafka+ssl://h", "kafka"), ("postgresql://h/db", "sql")],
)
def test_a_known_scheme_without_its_adapter_names_the_extra_to_install(
    url: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("busway._open._entry_points", list)
    with pytest.raises(UnknownTransport, match=rf"not installed: pip install 'busway\[{extra}\]'"):
        Bus(url, service="shop")


@pytest.mark.usefixtures("adapters")
def test_an_adapter_that_cannot_be_imported_says_what_is_missing() -> None:
    with pytest.raises(
        UnknownTransport,
        match=r"installed but cannot be imported: .*busway_no_such_adapter.*'busway\[kafka\]'",
    ) as caught:
        Bus("kafka://host", service="shop")
    assert isinstance(caught.value.__cause__, ImportError)
    with pytest.raises(UnknownTransport, match=r"cannot be imported: .*no_such_name"):
        Bus("broken://host", service="shop")


@pytest.mark.parametrize("url", ["memory", "", "://", "localhost:6379"])
def test_what_is_no_url_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(OptionError, match=r"is no URL: it takes scheme://…, such as memory://"):
        Bus(url)


@pytest.mark.parametrize("target", [None, 42, MemoryTransport, object()])
def test_what_is_no_transport_is_refused(target: Any) -> None:
    with pytest.raises(OptionError, match=r"it takes a URL, such as memory://, or a transport"):
        Bus(target)


def test_a_broker_is_shared_so_its_url_needs_a_service() -> None:
    with pytest.raises(OptionError, match=r"a broker is shared.*give service="):
        Bus(f"redis://me:{SECRET}@host")


@pytest.mark.usefixtures("adapters")
@pytest.mark.parametrize(
    "url",
    [
        f"redis://me:{SECRET}@host/0",
        f"redis://:{SECRET}/x?y#z@host",
        f"redis://:a/{SECRET}@host",
        f"redis://:a@{SECRET}@host",
        f"redis://host?password={SECRET}",
        f"redis://host?a=b#{SECRET}",
        f"redis://[{SECRET}@host",
        f"kafka://me:{SECRET}@host",
        f"carrier://me:{SECRET}@host",
        f"redis:me:{SECRET}@host",
        f"me:{SECRET}@host",
    ],
)
@pytest.mark.parametrize("service", ["shop", None])
def test_a_password_is_never_in_a_message(url: str, service: str | None) -> None:
    with pytest.raises((UnknownTransport, OptionError)) as caught:
        Bus(url, service=service)
    error: BaseException | None = caught.value
    while error is not None:
        assert SECRET not in str(error)
        error = error.__cause__


def test_a_url_is_shown_with_what_helps_to_recognise_it() -> None:
    assert without_secrets("redis://me:secret@host:6379/0?db=1") == "redis://host:6379/0"


@pytest.mark.parametrize(
    "query", ["mailbox=0", "mailbox=x", "history=-1", "lease=0", "codec=xml", "colour=red"]
)
def test_a_part_of_a_memory_url_that_cannot_be_is_refused(query: str) -> None:
    with pytest.raises(OptionError, match=query.partition("=")[0]):
        Bus(f"memory://?{query}")


def test_null_takes_nothing_behind_it() -> None:
    with pytest.raises(OptionError, match="no host, no path and no options"):
        Bus("null://?lease=3")
