"""Removing from a stream what every group has handled, as Lua.

MINID and MAXLEN alone know nothing of groups: what nobody has read yet would be gone unnoticed, and
what is pending would be a ghost.
"""

from __future__ import annotations

from ._scripts import Script

__all__ = ["ADD_DROPPING", "ADD_REFUSING", "STATES", "TRIM"]

# Ids are compared as text, number by number: a sequence number may have more digits than Lua keeps.
_HANDLED = """
local function numbers(id) return string.match(id, '^(%d+)-(%d+)$') end
local function less(a, b)
  if #a ~= #b then return #a < #b end
  return a < b
end
local function before(a, b)
  local a_ms, a_seq = numbers(a)
  local b_ms, b_seq = numbers(b)
  if a_ms == b_ms then return less(a_seq, b_seq) end
  return less(a_ms, b_ms)
end
local function next_of(id)
  local ms, seq = numbers(id)
  if #seq > 15 then return id end
  return string.format('%s-%.0f', ms, seq + 1)
end
-- Of each group the first id that it may not have handled.
local function unhandled(key)
  local firsts = {}
  for _, flat in ipairs(redis.call('XINFO', 'GROUPS', key)) do
    local group = {}
    for i = 1, #flat, 2 do group[flat[i]] = flat[i + 1] end
    local first = next_of(group['last-delivered-id'])
    if group['pending'] > 0 then
      local pending = redis.call('XPENDING', key, group['name'])[2]
      if pending and before(pending, first) then first = pending end
    end
    firsts[#firsts + 1] = {group['name'], first}
  end
  return firsts
end
-- What lies before an id, some at a time: whole nodes first, then what is left in the last.
local function cut(key, id, some)
  local removed = redis.call('XTRIM', key, 'MINID', '~', id, 'LIMIT', some)
  if removed < some / 2 then removed = removed + redis.call('XTRIM', key, 'MINID', '=', id) end
  return removed
end
"""

TRIM = Script(
    _HANDLED
    + """
-- KEYS: stream. ARGV: for how many ms what was handled is kept, about how many are removed at most,
-- then the groups that must have joined the stream before anything goes. Returns how many were
-- removed (-1: not everybody has joined, so none), then each group that keeps something older, and
-- the id of that.
if redis.call('EXISTS', KEYS[1]) == 0 then return {0} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local wanted = string.format('%.0f-0', math.max(0, now - tonumber(ARGV[1])))
local function held_from(first)
  local entry = redis.call('XRANGE', KEYS[1], first, '+', 'COUNT', 1)[1]
  if entry and before(entry[1], wanted) then return entry[1] end
end
local bound, answer, joined = wanted, {0}, {}
local firsts = unhandled(KEYS[1])
for _, each in ipairs(firsts) do
  joined[each[1]] = true
  if before(each[2], wanted) then
    local held = held_from(each[2])
    if held then
      answer[#answer + 1] = each[1]
      answer[#answer + 1] = held
    end
    if before(each[2], bound) then bound = each[2] end
  end
end
local everybody = #firsts > 0
for i = 3, #ARGV do
  if not joined[ARGV[i]] then
    everybody = false
    local held = held_from('-')
    if held then
      answer[#answer + 1] = ARGV[i]
      answer[#answer + 1] = held
    end
  end
end
answer[1] = everybody and cut(KEYS[1], bound, tonumber(ARGV[2])) or -1
return answer
"""
)

STATES = Script(
    _HANDLED
    + """
-- KEYS: stream. ARGV: 1 if an entry goes when it is acknowledged, because no other group reads the
-- stream. Of each group its name, lag (-1: the server cannot tell), how many are pending, and the
-- id of the first entry that it has not handled ('': there is none).
if redis.call('EXISTS', KEYS[1]) == 0 then return {} end
local length = redis.call('XLEN', KEYS[1])
local firsts, states = {}, {}
for _, each in ipairs(unhandled(KEYS[1])) do firsts[each[1]] = each[2] end
for _, flat in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local group = {}
  for i = 1, #flat, 2 do group[flat[i]] = flat[i + 1] end
  local entry = redis.call('XRANGE', KEYS[1], firsts[group['name']], '+', 'COUNT', 1)[1]
  -- A server that was killed counts too few as read, as long as the group is behind: its log says
  -- what was read, and not how many. What is not there does not wait.
  local lag = group['lag'] or -1
  if not redis.call('XRANGE', KEYS[1], '(' .. group['last-delivered-id'], '+', 'COUNT', 1)[1] then
    lag = 0
  elseif ARGV[1] == '1' then
    lag = math.max(0, length - group['pending'])
  else
    lag = math.min(lag, length)
  end
  states[#states + 1] = {
    group['name'], lag, group['pending'], entry and entry[1] or ''
  }
end
return states
"""
)

ADD_REFUSING = Script(
    """
-- KEYS: stream. ARGV: length, fields. 0: it is that long, and nothing was written.
if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
return redis.call('XADD', KEYS[1], '*', unpack(ARGV, 2))
"""
)

ADD_DROPPING = Script(
    _HANDLED
    + """
-- KEYS: stream. ARGV: length, fields. Makes room first, from what every group has handled, and from
-- the oldest where that is not enough; returns how many of those were dropped.
local length, dropped = tonumber(ARGV[1]), 0
if redis.call('XLEN', KEYS[1]) >= length then
  local firsts, bound = unhandled(KEYS[1]), nil
  for _, each in ipairs(firsts) do
    if not bound or before(each[2], bound) then bound = each[2] end
  end
  if bound then cut(KEYS[1], bound, math.max(100, math.floor(length / 10))) end
  dropped = redis.call('XTRIM', KEYS[1], 'MAXLEN', '=', length - 1)
end
redis.call('XADD', KEYS[1], '*', unpack(ARGV, 2))
return dropped
"""
)
