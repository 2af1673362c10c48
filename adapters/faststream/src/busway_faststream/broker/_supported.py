"""Importing this says, before anything of FastStream's is touched, whether it is the right one."""

from __future__ import annotations

from importlib.metadata import version

from ._versions import check

__all__ = ["VERSION"]

VERSION = version("faststream")
check(VERSION)
