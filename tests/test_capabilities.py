"""The capability table of the docs is what a run prints, and it has every power there is."""

from __future__ import annotations

from pathlib import Path

import pytest

import busway.transport
from tests.capabilities import FEED_POWERS, TRANSPORT_POWERS, table

__all__: list[str] = []

PAGE = Path(__file__).resolve().parent.parent / "docs" / "semantics.md"


@pytest.mark.anyio
async def test_the_capability_table_of_the_docs_is_what_a_run_prints() -> None:
    printed = await table()
    assert printed in PAGE.read_text(), f"put this into {PAGE.name}:\n{printed}"


def test_every_power_has_a_row() -> None:
    doors = (getattr(busway.transport, name) for name in busway.transport.__all__)
    powers = {each for each in doors if getattr(each, "_is_runtime_protocol", False)}
    assert powers == {*TRANSPORT_POWERS, *FEED_POWERS}
