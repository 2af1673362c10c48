"""Every mutant of a module of tests, run side by side."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from .mutant import CORE, Mutant, compiled, outcome_of

__all__ = ["Outcomes", "outcomes"]

Outcomes = dict[str, "Future[tuple[int, str]]"]

# Most of the time of a mutant is spent waiting for what it never does: four for each core.
SIDE_BY_SIDE = 4 * (os.cpu_count() or 1)


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Outcomes]:
    """By its promise, what the tests said to each mutant that this run asks for.

    A module of tests imports this fixture, and takes each mutant as the parameter ``mutant``.
    """
    mutants = list(asked_for(request))
    # Their own packages, and what these are built on.
    packages = sorted({CORE, *(mutant.package for mutant in mutants)})
    source = compiled(packages, tmp_path_factory.mktemp("packages"))
    pool = ThreadPoolExecutor(SIDE_BY_SIDE)
    try:
        yield {
            each.promise: pool.submit(outcome_of, each, source, tmp_path_factory.mktemp("mutant"))
            for each in mutants
        }
    finally:
        pool.shutdown(cancel_futures=True)


def asked_for(request: pytest.FixtureRequest) -> Iterator[Mutant]:
    for item in request.session.items:
        if isinstance(item, pytest.Function) and item.module is request.module:
            mutant = item.callspec.params.get("mutant") if hasattr(item, "callspec") else None
            if isinstance(mutant, Mutant):
                yield mutant
