"""Every async test runs on both event loops."""

from __future__ import annotations

import hypothesis
import pytest

# How long an example takes says something about the machine and nothing about the property.
hypothesis.settings.register_profile(
    "busway", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("busway")

__all__ = ["anyio_backend"]


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)
