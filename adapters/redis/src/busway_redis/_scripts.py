"""What has to happen in Redis in one step, as Lua. Each script's keys lie in one slot."""

from __future__ import annotations

from hashlib import sha1

__all__ = [
    "CLAIM",
    "DUE",
    "EXTEND",
    "HAND",
    "LEAVE",
    "MOVE",
    "RELEASE",
    "SWEEP",
    "UNSEEN",
    "Script",
]


class Script:
    """A script and the name by which the server remembers it."""

    __slots__ = ("sha", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = sha1(text.encode(), usedforsecurity=False).hexdigest()


_OWNED = """
local function owned(key, group, consumer, id)
  return redis.call('XPENDING', key, group, id, id, 1, consumer)[1]
end
"""

MOVE = Script(
    _OWNED
    + """
-- KEYS: source, target. ARGV: group, consumer, id, 'stream' or score, then fields or one member.
-- 0: somebody else has it, and nothing was written.
if not owned(KEYS[1], ARGV[1], ARGV[2], ARGV[3]) then return 0 end
-- A full server lets a script write that has written: this changes nothing that it may not.
redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[3], 'JUSTID')
if ARGV[4] == 'stream' then
  redis.call('XADD', KEYS[2], '*', unpack(ARGV, 5))
else
  redis.call('ZADD', KEYS[2], ARGV[4], ARGV[5])
end
redis.call('XACK', KEYS[1], ARGV[1], ARGV[3])
return 1
"""
)

DUE = Script(
    """
-- KEYS: set and stream in turn. ARGV: how many at most of each. Moves what is due by the server's
-- clock; returns how many, and in how many milliseconds the next is due (-1: none).
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local moved, next_due = 0, -1
for i = 1, #KEYS, 2 do
  local due = redis.call('ZRANGEBYSCORE', KEYS[i], '-inf', now, 'LIMIT', 0, ARGV[1])
  -- As above, so that what is due can be handled, which makes room.
  if #due > 0 then redis.call('ZREM', KEYS[i], '') end
  for _, member in ipairs(due) do
    local read, fields = pcall(cmsgpack.unpack, member)
    if not read or type(fields) ~= 'table' or #fields < 3 or #fields % 2 == 0 then
      local why = 'what was to be handled later was not written by a bus'
      fields = {'', 'raw', member, 'reason', why}
    end
    table.remove(fields, 1)
    redis.call('XADD', KEYS[i + 1], '*', unpack(fields))
    redis.call('ZREM', KEYS[i], member)
    moved = moved + 1
  end
  local first = redis.call('ZRANGE', KEYS[i], 0, 0, 'WITHSCORES')
  if #first > 0 then
    local wait = math.max(0, math.ceil(tonumber(first[2]) - now))
    if next_due < 0 or wait < next_due then next_due = wait end
  end
end
return {moved, next_due}
"""
)

CLAIM = Script(
    _OWNED
    + """
-- KEYS: stream. ARGV: group, consumer, idle (ms), cursor, count. Takes over what nobody has looked
-- after; returns the next cursor, {id, how often handed out before, fields} of each, and how many
-- were gone from the stream. The count stays as it is, for what was handed out before: taking over
-- is not handing out.
local claimed = redis.call('XAUTOCLAIM', KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4],
  'COUNT', ARGV[5], 'JUSTID')
local taken, gone = {}, 0
if claimed[3] then gone = #claimed[3] end
for _, id in ipairs(claimed[2]) do
  local entry = redis.call('XRANGE', KEYS[1], id, id)[1]
  if entry then
    local count = owned(KEYS[1], ARGV[1], ARGV[2], id)[4]
    if count == 0 then
      redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, id, 'RETRYCOUNT', 1, 'JUSTID')
    end
    taken[#taken + 1] = {id, count, entry[2]}
  else
    redis.call('XACK', KEYS[1], ARGV[1], id)
    gone = gone + 1
  end
end
return {claimed[1], taken, gone}
"""
)

HAND = Script(
    _OWNED
    + """
-- KEYS: stream. ARGV: group, consumer, id, count. Records that it is handed out; 0: it was lost.
if not owned(KEYS[1], ARGV[1], ARGV[2], ARGV[3]) then return 0 end
redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[3], 'RETRYCOUNT', ARGV[4], 'JUSTID')
return 1
"""
)

EXTEND = Script(
    _OWNED
    + """
-- KEYS: stream. ARGV: group, consumer, ids. Only an owner may prolong: XCLAIM alone would steal.
-- Returns those that were lost.
local lost = {}
for i = 3, #ARGV do
  if owned(KEYS[1], ARGV[1], ARGV[2], ARGV[i]) then
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'JUSTID')
  else
    lost[#lost + 1] = ARGV[i]
  end
end
return lost
"""
)

_BELL = """
local function ring(key)
  redis.call('XADD', key, '*', 'bell', '1')
end
"""

RELEASE = Script(
    _OWNED
    + _BELL
    + """
-- KEYS: stream, the group's retry stream. ARGV: group, consumer, idle (ms), then id and count in
-- turn. They are free at once, and whoever hears the bell takes them over.
local freed = 0
for i = 4, #ARGV, 2 do
  if owned(KEYS[1], ARGV[1], ARGV[2], ARGV[i]) then
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'IDLE', ARGV[3],
      'RETRYCOUNT', ARGV[i + 1], 'JUSTID')
    freed = freed + 1
  end
end
if freed > 0 then ring(KEYS[2]) end
return freed
"""
)

LEAVE = Script(
    _BELL
    + """
-- KEYS: stream, the group's retry stream. ARGV: group, consumer, idle (ms), ids that were handed
-- out. All that this consumer owns is free at once; what it had only fetched was not handed out.
-- The consumer itself goes when it owns nothing: XGROUP DELCONSUMER would forget what it owns.
local handed = {}
for i = 4, #ARGV do handed[ARGV[i]] = true end
local freed, first = 0, '-'
while true do
  local pending = redis.call('XPENDING', KEYS[1], ARGV[1], first, '+', 500, ARGV[2])
  for _, each in ipairs(pending) do
    local count = each[4]
    if not handed[each[1]] then count = math.max(0, count - 1) end
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, each[1], 'IDLE', ARGV[3],
      'RETRYCOUNT', count, 'JUSTID')
    freed = freed + 1
    first = '(' .. each[1]
  end
  if #pending < 500 then break end
end
if freed > 0 then
  ring(KEYS[2])
else
  redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
end
return freed
"""
)

UNSEEN = Script(
    """
-- KEYS: stream. ARGV: group, consumer, first id, count. What this consumer owns, with its fields:
-- an answer that never came may have had it.
local owned = {}
local pending = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], '+', ARGV[4], ARGV[2])
for _, each in ipairs(pending) do
  local entry = redis.call('XRANGE', KEYS[1], each[1], each[1])[1]
  owned[#owned + 1] = {each[1], each[4], entry and entry[2] or false}
end
return owned
"""
)

SWEEP = Script(
    """
-- KEYS: stream. ARGV: group, idle (ms), 1 if no other group reads the stream. Forgets consumers
-- that own nothing and have been silent, and what was handled where its removal was lost; and mends
-- what the server counts as read, which it has wrong after it was killed: a group that has read all
-- there is has read all there ever was.
local swept = 0
for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local consumer = {}
  for i = 1, #flat, 2 do consumer[flat[i]] = flat[i + 1] end
  if consumer['pending'] == 0 and consumer['idle'] > tonumber(ARGV[2]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer['name'])
    swept = swept + 1
  end
end
local function named(flat)
  local found = {}
  for i = 1, #flat, 2 do found[flat[i]] = flat[i + 1] end
  return found
end
local groups, group = redis.call('XINFO', 'GROUPS', KEYS[1]), nil
for _, flat in ipairs(groups) do
  local each = named(flat)
  if each['name'] == ARGV[1] then group = each end
end
local last = group['last-delivered-id']
local read = group['entries-read']
if read ~= nil and not redis.call('XRANGE', KEYS[1], '(' .. last, '+', 'COUNT', 1)[1] then
  local added = named(redis.call('XINFO', 'STREAM', KEYS[1]))['entries-added']
  if read ~= added then
    redis.call('XGROUP', 'SETID', KEYS[1], ARGV[1], last, 'ENTRIESREAD', added)
  end
end
if ARGV[3] ~= '1' or #groups ~= 1 then return swept end
if group['pending'] > 0 then
  redis.call('XTRIM', KEYS[1], 'MINID', '=', redis.call('XPENDING', KEYS[1], ARGV[1])[2])
else
  redis.call('XTRIM', KEYS[1], 'MINID', '=', last)
  redis.call('XDEL', KEYS[1], last)
end
return swept
"""
)
