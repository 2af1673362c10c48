"""What keeps the promises on Kafka, each mechanism taken out. No server is needed."""

from __future__ import annotations

from .mutant import Mutant

__all__ = ["MUTANTS"]

TESTS = "adapters/kafka/tests"
TENURE = f"{TESTS}/test_tenure.py"
PRODUCING = f"{TESTS}/test_producing.py"


def _mutant(promise: str, module: str, line: str, instead: str, caught_by: str) -> Mutant:
    return Mutant(promise, module, line, instead, caught_by, "adapters/kafka/src/busway_kafka")


MUTANTS = [
    _mutant(
        "nothing is committed above what is not finished",
        "_tenure.py",
        "        while order and order[0] not in open_:\n",
        "        while order:\n",
        f"{TENURE}::test_nothing_is_committed_above_what_is_not_finished",
    ),
    _mutant(
        "nothing is handed out before it is reserved",
        "_tenure.py",
        "        if offset >= self.reserved:\n",
        "        if False:\n",
        f"{TENURE}::test_nothing_is_handed_out_before_it_is_reserved",
    ),
    _mutant(
        "nothing is taken with others before it is reserved",
        "_tenure.py",
        "and fetched[0].offset < reserved:",
        "and fetched:",
        f"{TENURE}::test_nothing_that_is_not_reserved_is_taken_together",
    ),
    _mutant(
        "what was finished before does not count again beside what is finished now",
        "_tenure.py",
        "        if not self.out.issuperset(offsets):\n",
        "        if False:\n",
        f"{TENURE}::test_what_is_taken_or_finished_together_counts_as_if_it_were_one_by_one",
    ),
    _mutant(
        "what was forgotten is written to as another producer",
        "_partitions.py",
        "if not each.idle}\n        self.identity = None\n",
        "if not each.idle}\n",
        f"{TESTS}/test_partitions.py::test_what_was_forgotten_is_written_to_as_another_producer",
    ),
    _mutant(
        "what a dead owner may have had is suspect",
        "_tenure.py",
        "position + note.handed if note.handed else 0",
        "0",
        f"{TENURE}::test_what_a_dead_owner_may_have_had_is_suspect_and_nothing_else",
    ),
    _mutant(
        "what a dead owner had done is not handed out again",
        "_tenure.py",
        "        if done := self._done_before:\n",
        "        if done := set[int]():\n",
        f"{TENURE}::test_what_a_dead_owner_had_done_is_not_handed_out_again",
    ),
    _mutant(
        "the first note of an owner says what earlier ones did",
        "_tenure.py",
        "            done = sorted((*done, *(n - position for n in self._done_before)))\n",
        "",
        f"{TENURE}::test_the_owner_after_the_next_hears_of_it_too",
    ),
    _mutant(
        "nothing counts after the end of a tenure",
        "_tenure.py",
        "        if self.ended:\n            return offsets\n",
        "",
        f"{TENURE}::test_nothing_counts_after_its_end_and_what_was_lent_is_lost_once",
    ),
    _mutant(
        "what moves is withheld until its owner lets go",
        "_assigning.py",
        "        if owners.get(unit, member) == member:\n",
        "        if True:\n",
        f"{TESTS}/test_assigning.py::test_what_moves_is_withheld_until_its_owner_lets_go",
    ),
    _mutant(
        "of two that claim a unit the later one has it",
        "_assigning.py",
        "max(owners.get(unit, mine), mine)",
        "min(owners.get(unit, mine), mine)",
        f"{TESTS}/test_assigning.py::test_of_two_that_say_they_have_it_the_later_one_does",
    ),
    _mutant(
        "what a transaction took back is left out",
        "_fetching.py",
        "if batch.is_transactional and batch.producer_id in taken_back:",
        "if False:",
        f"{TESTS}/test_records.py::test_what_a_transaction_took_back_is_left_out",
    ),
    _mutant(
        "a number that was given up is not used for something else",
        "_partitions.py",
        "        self.another(partition)\n        partition.batch = None\n",
        "        partition.identity = None\n        partition.batch = None\n",
        f"{PRODUCING}::test_a_number_that_was_given_up_is_not_used_for_something_else",
    ),
    _mutant(
        "what may have been written is not written again as another",
        "_writing.py",
        "        if batch.perhaps:\n            # An earlier",
        "        if False:\n            # An earlier",
        f"{PRODUCING}::test_what_may_have_been_written_is_not_written_again_as_another",
    ),
    _mutant(
        "what was given up before it was sent is never written",
        "_batch.py",
        "            if entry.outcome is None:\n                if append",
        "            if True:\n                if append",
        f"{PRODUCING}::test_what_was_given_up_before_it_was_sent_is_never_written",
    ),
    _mutant(
        "what a part that died left half done is begun again",
        "_watchdog.py",
        "            self._reset()\n",
        "",
        f"{TESTS}/test_watchdog.py::test_one_that_dies_again_and_again_is_told_to_the_bus",
    ),
    _mutant(
        "what says that it is an event is no matter of the decoder",
        "_foreign.py",
        " or _tells_of_ours(record.headers)",
        "",
        f"{TESTS}/test_foreign.py"
        "::test_what_says_that_it_is_an_event_and_is_damaged_is_no_matter_of_the_decoder",
    ),
    _mutant(
        "who is not let in asks again after a pause that grows",
        "_membership.py",
        "            if tries > _AT_ONCE:\n",
        "            if False:\n",
        f"{TESTS}/test_membership.py::test_who_is_not_let_in_asks_again_after_a_pause_that_grows",
    ),
    _mutant(
        "what was asked for another tenure begins none",
        "_holdings.py",
        "        if generation != self.generation:\n",
        "        if False:\n",
        f"{TESTS}/test_membership.py::test_what_was_asked_for_another_tenure_begins_none",
    ),
    _mutant(
        "what a broker refused because it leads no more may have been written",
        "_writing.py",
        "_PERHAPS = frozenset({3, 5, 6, 7, 9, 13, 20, 56, 74, 75, 76})",
        "_PERHAPS = frozenset({3, 5, 7, 9, 13, 20, 56, 74, 75, 76})",
        f"{PRODUCING}::test_what_may_have_been_written_is_not_written_again_as_another",
    ),
    _mutant(
        "of a backlog no more is reserved than goes out in a moment",
        "_tenure.py",
        "        asked = offset + self._step\n",
        "        asked = offset + _MOST\n",
        f"{TENURE}::test_of_a_backlog_no_more_is_reserved_than_goes_out_in_a_moment",
    ),
    _mutant(
        "a commit of the generation before does not end what a member has",
        "_committing.py",
        "_NOT_A_MEMBER = frozenset({25, 82})",
        "_NOT_A_MEMBER = frozenset({22, 25, 82})",
        f"{TESTS}/test_committing.py::test_only_whom_the_broker_does_not_know_has_lost_what_it_had",
    ),
    _mutant(
        "who leaves while it is given a name leaves by that name",
        "_membership.py",
        "            self.member_id = (await asyncio.shield(self._asking)).member_id\n",
        "            pass\n",
        f"{TESTS}/test_joining.py"
        "::test_who_leaves_while_the_broker_gives_it_a_name_leaves_by_that_name",
    ),
    _mutant(
        "what may have had an owner that died is no run",
        "_lending.py",
        "        if tenure.suspect_below and tenure.suspects:\n            return None\n",
        "",
        f"{TESTS}/test_lending.py::test_what_an_earlier_owner_may_have_had_is_no_run",
    ),
    _mutant(
        "a request is lent by itself",
        "_lending.py",
        " or any(map(_reply_to, events))",
        "",
        f"{TESTS}/test_lending.py",
    ),
]
