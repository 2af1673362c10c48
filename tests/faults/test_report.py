"""What is printed after a run."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from tests.faults import chaos
from tests.faults._journal import Tail
from tests.faults._oracle import Expected, judge
from tests.faults._record import Record
from tests.faults._report import print_report
from tests.faults._run import Options, Outcome
from tests.servers import NoServer

__all__: list[str] = []

LINES = """
1000000000 10 producer-1 try red/k/1/work
1000000001 10 producer-1 ok red/k/1/work
1200000000 20 consumer-1 start g red/k/1/work 1
1300000000 77 chaos begin f1 kill consumer-1 20
1300000001 77 chaos done f1
{more}
"""
HANDLED = """
4500000000 21 consumer-2 start g red/k/1/work 1
4600000000 21 consumer-2 end g red/k/1/work
"""


def printed(folder: Path, more: str) -> str:
    text = LINES.format(more=more.strip()).strip()
    (folder / "all.journal").write_text(f"{text}\n")
    record = Record(("g",))
    record.add_all(Tail(folder).lines())
    verdict = judge(record, Expected(3.0))
    outcome = Outcome(record, verdict, [], 3.0, False, {"before": 0, "at rest": 4}, 1.5)
    out = io.StringIO()
    options = Options(seconds=1, seed=17)
    print_report(Console(file=out, width=120), outcome, options, folder)
    return out.getvalue()


def test_it_counts_and_names_the_seed(tmp_path: Path) -> None:
    text = printed(tmp_path, HANDLED)
    assert text.rstrip().endswith("seed 17: no violation")
    rows = [line.split() for line in text.splitlines()]
    assert ["published", "1"] in rows
    assert ["lost", "0"] in rows
    assert ["kill", "1", "1", "0"] in rows
    assert ["longest", "3.2", "s"] in rows
    assert "at rest: 4" in text


def test_a_violation_is_shown_with_its_lines(tmp_path: Path) -> None:
    text = printed(tmp_path, "")
    assert "lost: g: red/k/1/work was published and never handled" in text
    assert "1200000000 20 consumer-1 start g red/k/1/work 1" in text
    assert text.rstrip().endswith("seed 17: 1 lost")


def test_without_a_server_nothing_was_tested_and_the_status_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def none(**_: object) -> None:
        raise NoServer("there is none")

    monkeypatch.setattr(chaos, "RedisServer", none)
    assert chaos.main(["--keep", str(tmp_path), "--seed", "1"]) == 1
    assert "nothing was tested: there is none" in capsys.readouterr().out


def test_a_folder_with_the_journals_of_another_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "old.journal").touch()
    assert chaos.main(["--keep", str(tmp_path)]) == 2
