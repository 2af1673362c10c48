"""Beside another FastStream the broker says what to install, and the rest works."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from importlib.metadata import version

import pytest

from busway_faststream.broker._versions import (
    NEWEST,
    OLDEST,
    UnsupportedFastStream,
    check,
)

__all__: list[str] = []


@pytest.mark.parametrize(
    "installed", [OLDEST, NEWEST, f"{NEWEST}.post1", f"{NEWEST}+ours", version("faststream")]
)
def test_the_versions_it_is_tested_with_are_taken(installed: str) -> None:
    check(installed)


@pytest.mark.parametrize(
    "installed",
    [
        "0.6.9", "0.7.5", "0.7.99", "0.8.0", "1.0.0rc1", "0.7.9rc1", f"{NEWEST}rc1", f"{OLDEST}a1",
        f"{NEWEST}.dev3",
    ],
)  # fmt: skip
def test_another_version_is_told_what_to_install(installed: str) -> None:
    with pytest.raises(
        UnsupportedFastStream, match=f"pip install 'faststream>={OLDEST},<={NEWEST}'"
    ):
        check(installed)


def test_part_one_goes_on_working_beside_it() -> None:
    program = """
        import importlib.metadata as metadata
        real = metadata.version
        metadata.version = lambda name: "0.7.5" if name == "faststream" else real(name)
        import busway_faststream
        for how in ("from busway_faststream import BusBroker", "import busway_faststream.broker"):
            try:
                exec(how)
            except ImportError as error:
                print(type(error).__name__, error)
        assert not hasattr(busway_faststream, "Nothing")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("UnsupportedFastStream") == 2
    assert done.stdout.count("0.7.5 is installed") == 2


def test_internals_are_imported_in_one_module() -> None:
    from pathlib import Path

    import busway_faststream

    package = Path(busway_faststream.__file__).parent
    holding = [
        path.name
        for path in package.rglob("*.py")
        if "faststream._internal" in path.read_text().replace("``faststream._internal``", "")
    ]
    assert holding == ["_compat.py"]
