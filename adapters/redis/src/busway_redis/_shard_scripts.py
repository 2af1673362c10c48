"""What has to happen in one step where a shard has one owner, as Lua.

Each looks at the lease first: whoever has lost it, and does not know yet, changes nothing.
"""

from __future__ import annotations

from ._scripts import CLAIM, Script

__all__ = ["DONE", "FREE_LEASE", "READ", "RENEW", "SEIZE", "TAIL", "TAKE"]

TAKE = Script(
    """
-- KEYS: lease, fence. ARGV: member, mark, ms. Takes a lease that nobody has, or that this member
-- took and never heard of. Returns what stands in it afterwards: fence, mark and member.
local holder = redis.call('GET', KEYS[1])
if holder and string.match(holder, '^%d+ %S+ (.*)$') ~= ARGV[1] then return holder end
-- The first write is one that a full server allows: what is read there makes room.
redis.call('DEL', KEYS[1])
-- Never behind the clock: a counter that was lost with a server must not begin again.
local time = redis.call('TIME')
local fence = tonumber(redis.call('GET', KEYS[2]) or '0') + 1
fence = string.format('%.0f', math.max(fence, time[1] * 1000 + math.floor(time[2] / 1000)))
redis.call('SET', KEYS[2], fence)
local value = fence .. ' ' .. ARGV[2] .. ' ' .. ARGV[1]
redis.call('SET', KEYS[1], value, 'PX', ARGV[3])
return value
"""
)

RENEW = Script(
    """
-- KEYS: leases. ARGV: ms, values. Returns the places of those that were lost, from 0.
local lost = {}
for i, key in ipairs(KEYS) do
  if redis.call('GET', key) == ARGV[i + 1] then
    redis.call('PEXPIRE', key, ARGV[1])
  else
    lost[#lost + 1] = i - 1
  end
end
return lost
"""
)

FREE_LEASE = Script(
    """
-- KEYS: lease. ARGV: what stands in it, '' for anything that this member took, member.
local holder = redis.call('GET', KEYS[1])
if not holder then return 0 end
local mine = holder == ARGV[1]
if ARGV[1] == '' then mine = string.match(holder, '^%d+ %S+ (.*)$') == ARGV[2] end
if not mine then return 0 end
return redis.call('DEL', KEYS[1])
"""
)

READ = Script(
    """
-- KEYS: streams, then leases. ARGV: group, consumer, count, number of streams; for each stream the
-- place of its lease, 0 for none; then what stands in each lease if it is still this member's.
-- Reads what is new in the streams that are.
local streams = tonumber(ARGV[4])
local mine = {[0] = true}
for i = 1, #KEYS - streams do
  mine[i] = redis.call('GET', KEYS[streams + i]) == ARGV[4 + streams + i]
end
local command = {'XREADGROUP', 'GROUP', ARGV[1], ARGV[2], 'COUNT', ARGV[3], 'STREAMS'}
local head = #command
for i = 1, streams do
  if mine[tonumber(ARGV[4 + i])] then command[#command + 1] = KEYS[i] end
end
local read = #command - head
if read == 0 then return false end
for _ = 1, read do command[#command + 1] = '>' end
return redis.call(unpack(command))
"""
)

TAIL = Script(
    """
-- KEYS: streams. ARGV: group. The last id that was handed out in each.
local tails = {}
for i, key in ipairs(KEYS) do
  tails[i] = '0-0'
  local groups = redis.pcall('XINFO', 'GROUPS', key)
  for _, flat in ipairs(groups.err and {} or groups) do
    local group = {}
    for j = 1, #flat, 2 do group[flat[j]] = flat[j + 1] end
    if group['name'] == ARGV[1] then tails[i] = group['last-delivered-id'] end
  end
end
return tails
"""
)

DONE = Script(
    """
-- KEYS: lease, stream. ARGV: value, group, 1 if what is done is removed, ids. How many were
-- acknowledged; -1: the lease was lost.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return -1 end
local count = 0
for first = 4, #ARGV, 1000 do
  local last = math.min(#ARGV, first + 999)
  count = count + redis.call('XACK', KEYS[2], ARGV[2], unpack(ARGV, first, last))
  if ARGV[3] == '1' then redis.call('XDEL', KEYS[2], unpack(ARGV, first, last)) end
end
return count
"""
)

SEIZE = Script(
    """
-- As below; the last key is the lease, the last argument what stands in it. Nothing without it.
if redis.call('GET', KEYS[#KEYS]) ~= ARGV[#ARGV] then return false end
"""
    + CLAIM.text
)
