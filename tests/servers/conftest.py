"""What the tests of the servers share."""

from __future__ import annotations

from pathlib import Path

import pytest

__all__ = ["nothing"]


@pytest.fixture
def nothing(tmp_path: Path) -> str:
    """A PATH with no program in it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    return str(folder)
