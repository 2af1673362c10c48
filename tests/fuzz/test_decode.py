"""Any bytes at all are an envelope or ``Undecodable``, in bounded memory."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.fuzz.promise import SEEDS, check

__all__: list[str] = []

ROOT = Path(__file__).resolve().parents[2]

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=8)
    | st.binary(max_size=8)
    | st.sampled_from(["1.0", "2026-01-01T00:00:00Z", "e30=", "text/plain", "application/msgpack"])
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)
NAMES = [
    "id", "source", "type", "time", "subject", "datacontenttype", "data", "data_base64",
    "partitionkey", "correlationid", "schemaversion", "tenant", "aggregatetype", "aggregateid",
    "headers", "unknown",
]  # fmt: skip
documents = st.dictionaries(st.sampled_from(NAMES), values).map(
    lambda some: {"specversion": "1.0", "id": "1", "source": "s", "type": "t", **some}
)


@given(st.binary(max_size=200))
@example(SEEDS[0])
@example(SEEDS[1])
@example(SEEDS[2])
def test_random_bytes(data: bytes) -> None:
    check(data)


@settings(max_examples=300)
@given(documents)
def test_documents_with_values_of_any_type(document: dict[str, Any]) -> None:
    check(msgspec.msgpack.encode(document))
    check(msgspec.json.encode(document))


@settings(max_examples=300)
@given(st.sampled_from(SEEDS), st.data())
def test_envelopes_with_some_bytes_changed(seed: bytes, data: st.DataObject) -> None:
    broken = bytearray(seed)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(broken) - 1))
        cut = data.draw(st.integers(0, 3))
        broken[at : at + cut] = data.draw(st.binary(max_size=3))
        if not broken:
            break
    check(bytes(broken))


@given(st.sampled_from(SEEDS), st.data())
def test_envelopes_cut_short(seed: bytes, data: st.DataObject) -> None:
    check(seed[: data.draw(st.integers(0, len(seed)))])


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris has no wheel here")
def test_a_short_run_guided_by_coverage(tmp_path: Path) -> None:
    """``make fuzz`` runs longer."""
    source = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    run = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.fuzz_decode", "-runs=5000", "-seed=1", "-max_len=512",
         "-rss_limit_mb=512", f"-artifact_prefix={tmp_path}/"],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": source},
        capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-4000:]
    assert "Done 5000 runs" in run.stderr
