"""What keeps the promises on Redis, each mechanism taken out."""

from __future__ import annotations

from .mutant import Mutant

__all__ = ["MUTANTS"]

TESTS = "adapters/redis/tests"
SUITE = f"{TESTS}/test_suite_single.py::TestRedis"


def _mutant(promise: str, module: str, line: str, instead: str, caught_by: str) -> Mutant:
    return Mutant(promise, module, line, instead, caught_by, "adapters/redis/src/busway_redis")


MUTANTS = [
    _mutant(
        "what an answer that never came may have held is looked for",
        "_reader.py",
        "            except TransportError as error:\n                self._unsure = True\n",
        "            except TransportError as error:\n",
        "tests/faults/test_connections.py::test_a_delivery_that_was_cut_in_its_middle_is_handled_once",
    ),
    _mutant(
        "a bell is rung when something is given back",
        "_scripts.py",
        "if freed > 0 then ring(KEYS[2]) end\n",
        "",
        f"{TESTS}/test_taking_over.py::test_what_is_given_back_comes_before_what_is_new",
    ),
    _mutant(
        "a bell is rung when somebody leaves",
        "_scripts.py",
        "  ring(KEYS[2])\nelse",
        "  local _ = 0\nelse",
        f"{TESTS}/test_taking_over.py::test_what_was_only_fetched_by_who_leaves_comes_before_what_is_new",
    ),
    _mutant(
        "only what nobody has prolonged for a lease is taken over",
        "_claiming.py",
        "        idle = round(self._feed.lease * 1000)\n",
        "        idle = 0\n",
        f"{SUITE}::test_extends_prolongs_a_loan",
    ),
    _mutant(
        "taking over goes on where it stopped",
        "_claiming.py",
        "            source.cursor = await self.some(source, idle, source.cursor)\n",
        "            await self.some(source, idle, source.cursor)\n",
        f"{TESTS}/test_taking_over.py::test_however_much_was_left_behind_is_gone_through",
    ),
    _mutant(
        "only the owner prolongs a loan",
        "_scripts.py",
        "  if owned(KEYS[1], ARGV[1], ARGV[2], ARGV[i]) then\n"
        "    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'JUSTID')\n",
        "  if true then\n"
        "    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'JUSTID')\n",
        f"{SUITE}::test_extends_returns_those_that_are_lost",
    ),
    _mutant(
        "only the owner moves a delivery",
        "_scripts.py",
        "if not owned(KEYS[1], ARGV[1], ARGV[2], ARGV[3]) then return 0 end\n-- A full",
        "-- A full",
        f"{SUITE}::test_moves_does_neither_when_the_loan_was_lost",
    ),
    _mutant(
        "a suspect that was lost in waiting is not handed out",
        "_scripts.py",
        "if not owned(KEYS[1], ARGV[1], ARGV[2], ARGV[3]) then return 0 end\nredis.call('XCLAIM'",
        "redis.call('XCLAIM'",
        f"{TESTS}/test_taking_over.py::test_a_suspect_that_somebody_else_has_now_is_not_handed_out",
    ),
    _mutant(
        "a suspect is counted before it starts",
        "_feed.py",
        "        owned = await self.topology.script(HAND, [source.key], args)\n",
        "        owned = bool(args)\n",
        f"{TESTS}/test_taking_over.py::test_suspects_are_handed_out_one_at_a_time_and_counted_first",
    ),
    _mutant(
        "suspects are handed out alone",
        "_ready.py",
        "            if delivery.delivered > 1:\n",
        "            if False:\n",
        f"{TESTS}/test_taking_over.py::test_suspects_are_handed_out_one_at_a_time_and_counted_first",
    ),
    _mutant(
        "what was only fetched is not suspected of anything",
        "_scripts.py",
        "    if not handed[each[1]] then count = math.max(0, count - 1) end\n",
        "",
        f"{TESTS}/test_taking_over.py::test_what_was_only_fetched_by_who_leaves_comes_before_what_is_new",
    ),
    _mutant(
        "a consumer is deleted only when it owns nothing",
        "_scripts.py",
        "  ring(KEYS[2])\nelse\n  redis.call('XGROUP', 'DELCONSUMER'",
        "  ring(KEYS[2])\nend\ndo\n  redis.call('XGROUP', 'DELCONSUMER'",
        f"{SUITE}::test_leaving_gives_back_what_was_not_acknowledged",
    ),
    _mutant(
        "the sweep forgets only consumers that own nothing",
        "_scripts.py",
        "  if consumer['pending'] == 0 and consumer",
        "  if consumer",
        f"{TESTS}/test_taking_over.py::test_a_consumer_that_owns_something_is_not_swept",
    ),
    _mutant(
        "what is acknowledged late is asked for first",
        "_feed.py",
        "            elif at < sure_since and source.lease is None:\n",
        "            elif False:\n",
        f"{SUITE}::test_a_late_ack_is_harmless_and_tells_how_many_loans_were_lost",
    ),
    _mutant(
        "what is fetched ahead is prolonged",
        "_tending.py",
        "        if feed.ready:\n            for lost",
        "        if False:\n            for lost",
        f"{TESTS}/test_taking_over.py::test_what_is_fetched_ahead_stays_with_who_has_it",
    ),
    _mutant(
        "on a cluster the registry is told before the first event is written",
        "_sending.py",
        "        if registered and self._topology.one_slot:\n",
        "        if False:\n",
        f"{TESTS}/test_sending.py::test_on_a_cluster_no_event_is_written_before_the_registry_was_told",
    ),
    _mutant(
        "what is due is moved by the server's clock",
        "_scripts.py",
        "'-inf', now, 'LIMIT'",
        "'-inf', '+inf', 'LIMIT'",
        f"{SUITE}::test_holds_keeps_an_item_until_it_is_due",
    ),
    _mutant(
        "what is due is moved once",
        "_scripts.py",
        "    redis.call('ZREM', KEYS[i], member)\n",
        "",
        f"{TESTS}/test_taking_over.py::test_what_is_due_is_moved_once_however_many_look",
    ),
    _mutant(
        "what was given up before it was written was not sent",
        "_link.py",
        "        if self._queued.pop(future, None) is not None:\n",
        "        if False:\n",
        f"{TESTS}/test_link.py::test_a_deadline_says_whether_the_command_was_sent",
    ),
    _mutant(
        "what was given up is not sent later",
        "_link.py",
        "                self._forget_given_up()\n                failures",
        "                failures",
        f"{TESTS}/test_link.py::test_what_was_given_up_while_it_was_dialled_is_not_sent_later",
    ),
    _mutant(
        "a publish is unknown when the connection died before its answer",
        "_sending.py",
        "            return Unknown(error)\n",
        "            return NotWritten(error)\n",
        "tests/faults/test_connections.py::test_a_publish_whose_answer_is_lost_is_unknown_and_not_sent_again",
    ),
    _mutant(
        "a channel that appears is read from its beginning",
        "_joining.py",
        '        start = "0" if appeared else first_id(self._start)\n',
        "        start = first_id(self._start)\n",
        f"{TESTS}/test_feed.py::test_who_follows_everything_later_gets_what_comes_from_then_on",
    ),
    _mutant(
        "a group that was taken away goes on after the last entry that was read",
        "_joining.py",
        '            start = source.high if _number(last) >= _number(source.high) else b"0"\n',
        '            start = b"0"\n',
        f"{TESTS}/test_broken_worlds.py::test_what_is_published_into_a_stream_without_its_group_is_handled",
    ),
    _mutant(
        "a shard is prolonged while its owner lives",
        "_shards.py",
        "            pause = third if await self._renew() else min(third / 4, _TICK)\n",
        "            pass\n",
        f"{TESTS}/test_leases.py::test_a_lease_is_renewed_as_long_as_its_owner_lives",
    ),
    _mutant(
        "who has not renewed a shard in time starts nothing more of it",
        "_lease.py",
        "        self.loan.until = at + seconds * _SURE\n",
        "        self.loan.until = at + seconds * 1000\n",
        f"{TESTS}/test_leases.py::test_what_is_lent_of_a_shard_is_lost_before_its_lease_ends",
    ),
    _mutant(
        "a lease that ended before it was renewed is over",
        "_lease.py",
        "        if self.ended:\n            return False\n",
        "",
        f"{TESTS}/test_ready.py::test_a_lease_that_ended_here_is_not_renewed_by_an_answer_that_comes_late",
    ),
    _mutant(
        "who has lost a shard acknowledges nothing of it",
        "_shard_scripts.py",
        "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return -1 end\n",
        "if redis.call('GET', KEYS[1]) ~= ARGV[1] then\n"
        "  redis.call('XACK', KEYS[2], ARGV[2], unpack(ARGV, 4))\n  return -1\nend\n",
        f"{TESTS}/test_shards.py::test_what_a_zombie_finishes_is_counted_as_lost_and_acknowledges_nothing",
    ),
    _mutant(
        "who has lost a shard reads nothing of it",
        "_shard_scripts.py",
        "  mine[i] = redis.call('GET', KEYS[streams + i]) == ARGV[4 + streams + i]\n",
        "  mine[i] = true\n",
        f"{TESTS}/test_leases.py::test_a_read_under_a_lease_that_was_lost_takes_nothing",
    ),
    _mutant(
        "a fence grows even when the counter was lost",
        "_shard_scripts.py",
        "math.max(fence, time[1] * 1000 + math.floor(time[2] / 1000))",
        "fence",
        f"{TESTS}/test_shards.py::test_a_fence_grows_even_if_the_server_forgot_the_last",
    ),
    _mutant(
        "nothing goes that one of the groups has not read",
        "_trimming.py",
        "    if before(each[2], bound) then bound = each[2] end\n",
        "",
        f"{TESTS}/test_retention.py::test_what_a_group_has_not_read_stays",
    ),
    _mutant(
        "nothing goes that is pending in a group",
        "_trimming.py",
        "      if pending and before(pending, first) then first = pending end\n",
        "",
        f"{TESTS}/test_retention.py::test_what_is_pending_in_a_group_stays",
    ),
    _mutant(
        "who passes an event on lets the others read it",
        "_feed.py",
        "                self.sources[key].rest()\n",
        "                pass\n",
        f"{TESTS}/test_shards.py::test_who_passes_an_event_on_lets_the_others_read_it",
    ),
    _mutant(
        "what a server counts wrongly is mended when the group has read all",
        "_scripts.py",
        "  if read ~= added then\n",
        "  if false then\n",
        f"{TESTS}/test_numbers.py::test_what_a_server_counts_wrongly_after_it_was_killed_is_bounded_and_then_mended",
    ),
    _mutant(
        "a full stream refuses",
        "_trimming.py",
        "if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end\n",
        "",
        f"{TESTS}/test_capping.py::test_a_full_stream_refuses_and_names_who_holds_it",
    ),
    _mutant(
        "a server that evicts is refused",
        "_checks.py",
        '    if policy == "noeviction":\n',
        "    if policy:\n",
        f"{TESTS}/test_checks.py::test_a_server_that_evicts_is_refused_with_the_reason",
    ),
    _mutant(
        "a publish with wait= is written when so many replicas have it",
        "_confirming.py",
        "copies >= self._count:",
        "copies >= 0:",
        f"{TESTS}/test_confirming.py::test_a_publish_that_no_replica_has_in_time_is_unknown_and_on_the_master",
    ),
    _mutant(
        "only who claimed an event gives the claim up",
        "_dedupe.py",
        "if redis.call('GET', KEYS[1]) == 'c' .. ARGV[1] then\n",
        "if true then\n",
        f"{TESTS}/test_dedupe.py::test_only_the_owner_gives_a_claim_up_and_nobody_what_is_done",
    ),
    _mutant(
        "a group that is rewound is made anew in the step that destroys it",
        "_groups.py",
        "return redis.call('XGROUP', 'CREATE', KEYS[1], ARGV[1], ARGV[2], 'MKSTREAM')\n",
        "return 1\n",
        f"{TESTS}/test_operators.py::"
        "test_rewinding_leaves_no_stream_without_its_group_on_a_full_server_too",
    ),
    _mutant(
        "what is cancelled is cancelled at the node of a cluster, too",
        "_cluster.py",
        "            self.inner.cancel()\n",
        "            pass\n",
        f"{TESTS}/test_topology_cluster.py::test_what_nobody_waits_for_any_more_is_not_sent_later",
    ),
    _mutant(
        "what could not be given back can be given back again",
        "_returning.py",
        "            _owe(source, given)\n",
        "            pass\n",
        f"{TESTS}/test_feed.py::test_what_could_not_be_given_back_can_be_given_back_again",
    ),
    _mutant(
        "over pub/sub the oldest make room only where the buffer is full",
        "_live_feed.py",
        "        while len(waiting) > self._buffer or (",
        "        while len(waiting) >= self._buffer or (",
        f"{TESTS}/test_pubsub.py::test_a_slow_group_loses_the_oldest_and_is_told",
    ),
    _mutant(
        "the next is asked for before what is there is handled",
        "_feed.py",
        "        for _ in range(_TURNS_TO_WRITE):\n",
        "        for _ in range(0):\n",
        f"{TESTS}/test_reading_ahead.py::test_the_next_is_fetched_while_handlers_run_that_never_wait",
    ),
    _mutant(
        "a stream that has more than its share is asked alone",
        "_reader.py",
        "            self._note_full(answer or (), count)\n",
        "            pass\n",
        f"{TESTS}/test_reading_ahead.py::test_a_stream_that_has_more_than_its_share_is_asked_alone_for_all_that_is_wanted",
    ),
    _mutant(
        "after it all streams are asked again",
        "_reader.py",
        "        if self._alone < _TIMES_ALONE:\n",
        "        if True:\n",
        f"{TESTS}/test_reading_ahead.py::test_a_stream_that_has_much_keeps_no_other_waiting",
    ),
    _mutant(
        "some of many are written while others are encoded",
        "_sending.py",
        "                if start:\n",
        "                if False:\n",
        f"{TESTS}/test_sending.py::test_of_many_some_are_on_their_way_while_others_are_encoded",
    ),
    _mutant(
        "what is begun after the deadline is given up",
        "_sending.py",
        "            if loop.time() >= until:\n",
        "            if False:\n",
        f"{TESTS}/test_sending.py::test_what_is_begun_when_the_deadline_is_over_is_not_waited_for",
    ),
]
