"""What joining a group takes to happen in Redis in one step, as Lua."""

from __future__ import annotations

from ._scripts import Script

__all__ = ["ANNOUNCE", "DESPITE_OOM"]

ANNOUNCE = Script(
    """
-- KEYS: members. ARGV: member ('' only asks), what it says, for how many ms the silent live on.
-- Returns member and what it says in turn, of the living; the dead are forgotten.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[1] ~= '' then
  redis.call('HDEL', KEYS[1], '')  -- which a full server allows: who listens to it lives, too
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', now) .. ' ' .. ARGV[2])
end
local living = {}
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local at, said = string.match(all[i + 1], '^(%d+) (.*)$')
  if at and now - tonumber(at) <= tonumber(ARGV[3]) then
    living[#living + 1] = all[i]
    living[#living + 1] = said
  else
    redis.call('HDEL', KEYS[1], all[i])
  end
end
return living
"""
)

DESPITE_OOM = Script(
    """
-- KEYS: one. ARGV: a command that writes to it. A full server refuses a script whose first write
-- takes memory, and no later write: so may join who is to empty it.
local harmless = {XGROUP = {'XACK', KEYS[1], '', '0-0'}, HSET = {'HDEL', KEYS[1], ''},
  SADD = {'SREM', KEYS[1], ''}}
redis.call(unpack(harmless[ARGV[1]]))
return redis.call(unpack(ARGV))
"""
)
