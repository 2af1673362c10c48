"""The oracle finds each promise that was broken, in journals written by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults._events import Event
from tests.faults._journal import Journal, Tail, evidence, parse
from tests.faults._oracle import Expected, Verdict, Violation, judge
from tests.faults._record import Record
from tests.faults._recovery import histogram, resumptions, takeovers

__all__: list[str] = []

LEASE = 3.0


def written(text: str, *, groups: tuple[str, ...] = ("g",)) -> Record:
    """Lines of ``<seconds> <pid> <what> <word>...``; an event is written by its number and act."""
    record = Record(groups)
    for row in filter(str.strip, text.splitlines()):
        at, pid, what, *words = row.split()
        named = [f"red/k/{word}" if "/" in word else word for word in words]
        record.add(parse(f"{int(float(at) * 1e9)} {pid} p{pid} {what} {' '.join(named)}"))
    return record


def verdict(text: str, **expected: bool) -> Verdict:
    return judge(written(text), Expected(LEASE, **expected))


def kinds(text: str, **expected: bool) -> list[str]:
    return [each.kind for each in verdict(text, **expected).violations]


GOOD = """
1.0 10 try 1/work
1.1 10 ok 1/work
1.2 20 start g 1/work 1
1.3 20 end g 1/work
"""


def test_a_good_run_has_no_violation() -> None:
    found = verdict(GOOD, ordered=True)
    assert (found.violations, found.repeats.total, found.inversions) == ([], 0, 0)


def test_what_was_published_and_never_handled_is_lost() -> None:
    found = verdict("1 10 try 1/work\n2 10 ok 1/work")
    assert found.violations == [
        Violation("lost", "g: red/k/1/work was published and never handled", "red/k/1/work")
    ]


def test_what_was_begun_and_never_ended_is_lost() -> None:
    assert kinds("1 10 try 1/work\n2 10 ok 1/work\n3 20 start g 1/work 1") == ["lost"]


def test_an_attempt_that_failed_is_no_handling() -> None:
    assert kinds(GOOD.replace("end", "left")) == ["lost"]


def test_each_group_has_to_handle_it() -> None:
    record = written(GOOD, groups=("g", "h"))
    assert [each.what for each in judge(record, Expected(LEASE)).violations] == [
        "h: red/k/1/work was published and never handled"
    ]


@pytest.mark.parametrize("outcome", ["unknown", "failed"])
def test_what_was_not_surely_published_may_be_missing(outcome: str) -> None:
    assert kinds(f"1 10 try 1/work\n2 10 {outcome} 1/work Why") == []


def test_what_its_publisher_was_killed_over_may_be_missing_or_handled() -> None:
    assert kinds("1 10 try 1/work") == []
    assert kinds("1 10 try 1/work\n2 20 start g 1/work 1\n3 20 end g 1/work") == []


def test_what_was_handled_although_it_was_not_sent_is_a_lie() -> None:
    assert kinds(GOOD.replace("ok", "failed")) == ["lie"]


def test_what_nobody_published_is_a_phantom() -> None:
    assert kinds("1.2 20 start g 1/work 1\n1.3 20 end g 1/work") == ["phantom"]


def test_an_innocent_in_the_dead_letters_is_named_and_not_called_lost() -> None:
    found = verdict("1 10 try 1/work\n2 10 ok 1/work\n9 40 letter g 1/work Crashed")
    assert found.violations == [
        Violation("innocent", "g: red/k/1/work is a dead letter of kind Crashed", "red/k/1/work")
    ]


@pytest.mark.parametrize("act", ["doom", "poison"])
def test_what_can_never_be_handled_has_to_be_a_dead_letter(act: str) -> None:
    published = f"1 10 try 1/{act}\n2 10 ok 1/{act}\n3 20 start g 1/{act} 1"
    assert kinds(published) == ["escaped"]
    assert kinds(f"{published}\n4 40 letter g 1/{act} Crashed") == []


ORDER = """
1 10 try 1/work
1 10 ok 1/work
1 10 try 2/work
1 10 {outcome} 2/work
1 10 try 3/work
1 10 ok 3/work
{handled}
"""


def ordered(*numbers: int, outcome: str = "ok") -> list[str]:
    rows = [
        f"{2 + place} 20 start g {number}/work 1\n{2.5 + place} 20 end g {number}/work"
        for place, number in enumerate(numbers)
    ]
    text = ORDER.format(handled="\n".join(rows), outcome=outcome)
    return [each.what for each in verdict(text, ordered=True).violations]


def test_first_handlings_in_another_order_are_inversions() -> None:
    assert ordered(1, 2, 3) == []
    assert ordered(1, 3, 2) == ["g: red/k/3/work began before red/k/2/work was done"]
    assert ordered(3, 2, 1) == [
        "g: red/k/2/work began before red/k/1/work was done",
        "g: red/k/3/work began before red/k/1/work was done",
    ]


def test_an_unknown_publish_has_no_place_in_the_order() -> None:
    assert ordered(1, 3, 2, outcome="unknown") == []


def test_an_event_that_began_while_its_predecessor_ran_is_an_inversion() -> None:
    text = """
    2.0 20 start g 1/work 1
    2.1 21 start g 2/work 1
    2.2 20 end g 1/work
    2.3 21 end g 2/work
    3.0 21 start g 3/work 1
    3.1 21 end g 3/work
    """
    whole = ORDER.format(handled=text.strip(), outcome="ok")
    assert kinds(whole, ordered=True) == ["inversion"]


def test_what_a_killed_process_had_begun_is_done_when_another_has_done_it() -> None:
    """The second began before the first was done, whoever saw its start."""
    text = """
    2.0 20 start g 1/work 1
    2.1 77 begin f1 kill p20 20
    2.1 77 done f1
    4.0 21 start g 2/work 1
    4.1 21 end g 2/work
    5.0 21 start g 1/work 1
    5.1 21 end g 1/work
    6.0 21 start g 3/work 1
    6.1 21 end g 3/work
    """
    whole = ORDER.format(handled=text.strip(), outcome="ok")
    assert kinds(whole, ordered=True) == ["inversion"]


def test_without_that_promise_inversions_are_counted_only() -> None:
    text = ORDER.format(handled=GOOD.replace("1/work", "3/work").strip(), outcome="unknown")
    text += "\n5 20 start g 1/work 1\n6 20 end g 1/work"
    found = verdict(text)
    assert ([each.kind for each in found.violations], found.inversions) == ([], 1)


AGAIN = (
    GOOD
    + """
9.0 21 start g 1/work 1
9.1 21 end g 1/work
"""
)


def test_a_duplicate_that_no_fault_explains_is_a_violation() -> None:
    found = verdict(AGAIN)
    assert [each.kind for each in found.violations] == ["duplicate"]
    assert found.repeats.total == 1


@pytest.mark.parametrize(
    ("at", "pid", "explained"),
    [
        (1.25, "20", True),
        (2.2, "20", True),
        (2.4, "20", False),
        (0.25, "21", False),
        (1.25, "*", True),
    ],
    ids=["amid", "before the ack was sure", "too late", "another process", "the server"],
)
def test_a_duplicate_is_explained_by_what_hit_its_first_handling(
    at: float, pid: str, explained: bool
) -> None:
    found = verdict(f"{AGAIN}\n{at} 77 begin f1 kill p{pid} {pid}\n{at} 77 done f1")
    assert [each.kind for each in found.violations] == ([] if explained else ["duplicate"])
    assert found.repeats.by_kind == ({"kill": 1} if explained else {})
    assert found.repeats.in_flight["kill"] >= explained


def test_where_acknowledging_may_wait_a_fault_explains_as_much_before_it() -> None:
    record = written(f"{AGAIN}\n2.4 77 begin f1 kill p20 20\n2.4 77 done f1")
    for unsure, found in ((1.0, ["duplicate"]), (3.0, [])):
        violations = judge(record, Expected(LEASE, unsure=unsure)).violations
        assert [each.kind for each in violations] == found


def test_an_interruption_explains_what_began_while_it_lasted_and_a_lease_after() -> None:
    for begin, end, explained in ((0.1, 0.2, True), (0.1, 9.9, True)):
        text = f"{AGAIN}\n{begin} 77 begin f1 stall p20 20\n{end} 77 done f1"
        assert kinds(text) == ([] if explained else ["duplicate"])
    late = AGAIN.replace("1.2 20", "5.2 20").replace("1.3 20", "5.3 20")
    assert kinds(f"{late}\n0.1 77 begin f1 stall p20 20\n1 77 done f1") == ["duplicate"]


def test_what_was_stopped_may_end_after_whoever_took_over() -> None:
    text = """
    1.0 10 try 1/work
    1.1 10 ok 1/work
    1.2 20 start g 1/work 1
    1.3 77 begin f1 stop p20 20
    4.5 21 start g 1/work 1
    4.6 21 end g 1/work
    9.3 77 done f1
    9.4 20 end g 1/work
    """
    assert kinds(text) == []
    assert kinds(text.replace("p20 20", "p30 30")) == ["duplicate"]


def test_what_was_stopped_may_begin_what_it_had_been_lent_before() -> None:
    """It hears that its loans are lost when its next heartbeat is answered."""
    text = f"{AGAIN}\n2.5 77 begin f1 stop p21 21\n{{}} 77 done f1"
    assert kinds(text.format(8.99)) == []
    assert kinds(text.format(7.9)) == ["duplicate"]


def test_a_loop_that_stood_still_explains_a_duplicate() -> None:
    assert kinds(f"{AGAIN}\n4 20 lag 3.5") == []


def test_a_process_that_ends_by_itself_is_a_violation() -> None:
    assert kinds("5 77 exit p20 20 1") == ["crash"]
    assert kinds("5 77 exit p20 20 0\n5 77 exit p21 21 -9") == []


def test_sigterm_is_the_end_of_a_process_that_does_not_listen_yet() -> None:
    assert kinds("5 77 exit p20 20 -15") == []
    assert kinds("4 20 up 7 2\n5 77 exit p20 20 -15") == ["crash"]


def test_files_or_tasks_that_are_left_are_a_leak() -> None:
    for before, after, kind in (
        ("7 2", "7 2", []),
        ("7 2", "8 2", ["leak"]),
        ("7 2", "7 3", ["leak"]),
    ):
        assert kinds(f"1 20 up {before}\n9 20 down {after}") == kind


KILLED = """
1 20 start g 1/work 1
2 20 start g 2/work 1
2.5 20 end g 2/work
3 77 begin f1 kill p20 20
3 77 done f1
6.5 21 start g 1/work 1
7 21 end g 1/work
"""


def test_a_take_over_lasts_from_the_kill_to_the_next_start() -> None:
    assert takeovers(written(KILLED)) == [3.5]


def test_a_process_that_ended_itself_is_taken_over_from_as_well() -> None:
    own = KILLED.replace("3 77 begin f1 kill p20 20", "3 77 exit p20 20 -9").replace(
        "3 77 done f1", ""
    )
    record = written(own)
    assert takeovers(record) == [3.5]
    assert [fault.kind for fault in record.faults] == ["poison"]


def test_it_goes_on_when_a_process_that_was_hit_starts_something() -> None:
    assert resumptions(
        written(
            """
            1 20 start g 1/work 1
            1 21 start g 2/work 1
            2 77 begin f1 restart server *
            3 77 done f1
            3.5 20 start g 3/work 1
            4 21 start g 4/work 1
            """
        )
    ) == [0.5, 1.0]


def test_a_histogram_counts_each_once() -> None:
    rows = histogram([0.05, 0.2, 2.9, 3.1, 4.0, 100.0], LEASE)
    assert sum(count for _, count in rows) == 6
    assert dict(rows)["3 … 3.75 s"] == 1
    assert rows[-1] == ("over 12 s", 1)


def test_journals_are_read_on_from_where_they_were_read_to(tmp_path: Path) -> None:
    tail = Tail(tmp_path)
    event = Event("red", "k", 1, "work")
    with Journal(tmp_path / "a.journal", "a", pid=1) as journal:
        journal.write("try", event.name)
        with (tmp_path / "b.journal").open("w") as torn:
            torn.write("5 2 b ok half")
        assert [(each.pid, each.what, each.words) for each in tail.lines()] == [
            (1, "try", (event.name,))
        ]
        journal.write("ok", event.name)
        assert [(each.who, each.what) for each in tail.lines()] == [("a", "ok")]
    assert list(tail.lines()) == []


def test_evidence_is_every_line_with_that_word_by_time(tmp_path: Path) -> None:
    (tmp_path / "b.journal").write_text("9 2 b end g red/k/1/work\n")
    (tmp_path / "a.journal").write_text("10 1 a x red/k/11/work\n8 1 a try red/k/1/work\n")
    assert evidence(tmp_path, "red/k/1/work") == [
        "8 1 a try red/k/1/work",
        "9 2 b end g red/k/1/work",
    ]


def test_an_event_can_be_read_from_its_name() -> None:
    event = Event("red", "producer-1-77-3", 12, "doom")
    assert Event.parse(event.name) == event
    assert (event.stem, event.topic) == ("red/producer-1-77-3", "red.doom")
