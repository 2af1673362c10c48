"""A plugin for the tests that mutants run: a property that fails is told as it failed.

Hypothesis looks for the smallest example that fails, for as long as a minute on a busy machine,
and takes the alarm that ends a test for one more failure. That it fails is all that is asked here.
"""

from __future__ import annotations

from hypothesis import Phase, settings

__all__ = ["pytest_configure"]


def pytest_configure() -> None:
    """What is the profile now, without the search. Each ``conftest.py`` has been read."""
    now = settings.get_profile(settings.get_current_profile_name())
    settings.register_profile("unshrunk", now, phases=[Phase.explicit, Phase.generate])
    settings.load_profile("unshrunk")
