"""Feeds the decoder with what coverage suggests: ``python -m tests.fuzz.fuzz_decode -runs=100000``.

Arguments are libFuzzer's. It ends with a traceback, and the bytes in a file, on anything that
``promise.check`` does not allow. Needs atheris, which is installed where it has a wheel.
"""

from __future__ import annotations

import sys

import atheris  # type: ignore[import-untyped,import-not-found,unused-ignore]

with atheris.instrument_imports(include=["busway"]):
    from tests.fuzz.promise import SEEDS, check

__all__: list[str] = []


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """Start anew from an envelope now and then: random bytes rarely become one."""
    if seed % 8 == 0:
        data = SEEDS[seed // 8 % len(SEEDS)]
    mutated: bytes = atheris.Mutate(data, max_size)
    return mutated


def main() -> None:
    atheris.Setup(sys.argv, check, custom_mutator=lambda *args: mutate(*args))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
