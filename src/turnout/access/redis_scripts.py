"""The steps that Redis takes as one, in its Lua.

Counters of money are 64-bit integers in Redis, but numbers in Lua are floats: sums of money are compared
in two parts, whole dollars and the rest.

Keys, behind a prefix in braces, so that a cluster keeps them together:

    usd:LIMIT:START     what is spent and reserved in a window
    rate:LIMIT          a hash: second → amount; f the oldest, l the latest second, t the total
    now:LIMIT           a sorted set: holds under way, by when they are over
    holds               a sorted set: all holds, by when they are over
    hold:ID             what a hold reserved of money, a line each; `done` for a while once settled
    seeded              set once the counters know what was spent before
"""

from __future__ import annotations

SETTLED_S = 120
"""How long a hold is remembered as settled, so that settling it twice does no harm."""

_COMMON = """
local function parts(s)
  if not s or string.sub(s, 1, 1) == '-' then return 0, 0 end
  local n = #s
  if n <= 12 then return 0, tonumber(s) end
  return tonumber(string.sub(s, 1, n - 12)), tonumber(string.sub(s, n - 11))
end
local function fits(used, amount, cap)
  local ud, up = parts(used)
  local ad, ap = parts(amount)
  local cd, cp = parts(cap)
  local d, p = ud + ad, up + ap
  if p >= 1e12 then d, p = d + 1, p - 1e12 end
  return d < cd or (d == cd and p <= cp)
end
local function rate(key, now)
  local second = math.floor(now)
  local f, l, t = unpack(redis.call('HMGET', key, 'f', 'l', 't'))
  if not f then return 0, second end
  f, l, t = tonumber(f), tonumber(l), tonumber(t)
  if l < second - 60 or l > second + 120 then
    redis.call('DEL', key)
    return 0, second
  end
  if l > second then second = l end
  if f < second - 60 then
    while f < second - 60 do
      local old = redis.call('HGET', key, f)
      if old then
        t = t - tonumber(old)
        redis.call('HDEL', key, f)
      end
      f = f + 1
    end
    redis.call('HSET', key, 'f', f, 't', t)
  end
  return t, second
end
"""

RESERVE = (
    _COMMON
    + """
local holds, hold, seeded = KEYS[1], KEYS[2], KEYS[3]
local now, id, ttl, must, prefix = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
if must == '1' and redis.call('EXISTS', seeded) == 0 then return {'unseeded'} end
for _, dead in ipairs(redis.call('ZRANGEBYSCORE', holds, '-inf', now, 'LIMIT', 0, 20)) do
  local kept = redis.call('GET', prefix .. 'hold:' .. dead)
  if kept then
    for key, amount in string.gmatch(kept, '(%S+) (%d+)') do
      if redis.call('EXISTS', key) == 1 then redis.call('DECRBY', key, amount) end
    end
    redis.call('DEL', prefix .. 'hold:' .. dead)
  end
  redis.call('ZREM', holds, dead)
end
local n = #KEYS - 3
local marks = {}
for i = 1, n do
  local key, at = KEYS[i + 3], 5 + (i - 1) * 4
  local kind, cap, amount = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  if kind == 'usd' then
    local used = redis.call('GET', key)
    if not fits(used, amount, cap) then return {'refused', i, used or '0', '0'} end
  elseif kind == 'concurrent' then
    redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
    local used = redis.call('ZCARD', key)
    if used + 1 > tonumber(cap) then return {'refused', i, tostring(used), '1'} end
  else
    local used, second = rate(key, now)
    marks[i] = second
    if used + tonumber(amount) > tonumber(cap) then
      local wait, left = 60, used
      if used > 0 then
        for s = tonumber(redis.call('HGET', key, 'f')), second do
          left = left - tonumber(redis.call('HGET', key, s) or '0')
          if left + tonumber(amount) <= tonumber(cap) then
            wait = s + 61 - now
            break
          end
        end
      end
      return {'refused', i, string.format('%.0f', used), tostring(wait)}
    end
  end
end
local kept, answer = {}, {'held'}
for i = 1, n do
  local key, at = KEYS[i + 3], 5 + (i - 1) * 4
  local kind, amount, over = ARGV[at + 1], ARGV[at + 3], ARGV[at + 4]
  if kind == 'usd' then
    redis.call('INCRBY', key, amount)
    if over ~= '' then redis.call('EXPIREAT', key, over) end
    kept[#kept + 1] = key .. ' ' .. amount
    answer[#answer + 1] = redis.call('GET', key)
    answer[#answer + 1] = '0'
  elseif kind == 'concurrent' then
    redis.call('ZADD', key, now + ttl, id)
    redis.call('EXPIRE', key, math.ceil(ttl) + 60)
    answer[#answer + 1] = tostring(redis.call('ZCARD', key))
    answer[#answer + 1] = '0'
  else
    local second = marks[i]
    redis.call('HSETNX', key, 'f', second)
    redis.call('HSET', key, 'l', second)
    redis.call('HINCRBY', key, second, amount)
    answer[#answer + 1] = string.format('%.0f', redis.call('HINCRBY', key, 't', amount))
    answer[#answer + 1] = string.format('%.0f', second)
    redis.call('EXPIRE', key, 240)
  end
end
redis.call('SET', hold, '- 0\\n' .. table.concat(kept, '\\n'))
redis.call('ZADD', holds, now + ttl, id)
return answer
"""
)
"""KEYS: holds, hold, seeded, then one for each limit. ARGV: now, id, seconds a hold lives, whether the
counters must be seeded, prefix; then for each limit: kind, cap, amount, when its counter may be forgotten.

Gives `unseeded`; or `refused`, the limit's number, what is used, and seconds to wait; or `held`, then for
each limit what is used now and the second it was counted in."""

SETTLE = (
    _COMMON
    + """
local holds, hold, seeded = KEYS[1], KEYS[2], KEYS[3]
local now, id, must, remember = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]
local kept = redis.call('GET', hold)
if kept == 'done' then return 0 end
local n = #KEYS - 3
for i = 1, n do
  local key, at = KEYS[i + 3], 4 + (i - 1) * 5
  local kind, reserved, taken, mark, over =
    ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4], ARGV[at + 5]
  if kind == 'usd' then
    if kept then
      if redis.call('EXISTS', key) == 1 then
        redis.call('DECRBY', key, reserved)
        redis.call('INCRBY', key, taken)
      end
    elseif (over == '' or tonumber(over) > now)
      and (must == '0' or redis.call('EXISTS', seeded) == 1) then
      redis.call('INCRBY', key, taken)
      if over ~= '' then redis.call('EXPIREAT', key, over) end
    end
  elseif kind == 'concurrent' then
    redis.call('ZREM', key, id)
  elseif kind == 'tokens' and kept and redis.call('HEXISTS', key, mark) == 1 then
    local more = tonumber(taken) - tonumber(reserved)
    redis.call('HINCRBY', key, mark, more)
    redis.call('HINCRBY', key, 't', more)
  end
end
redis.call('SET', hold, 'done', 'EX', remember)
redis.call('ZREM', holds, id)
return 1
"""
)
"""KEYS as above. ARGV: now, id, whether the counters must be seeded, seconds to remember; then for each
limit: kind, reserved, taken, the second it was counted in, when its counter may be forgotten."""

USED = (
    _COMMON
    + """
local now, answer = tonumber(ARGV[1]), {}
for i = 1, #KEYS do
  local key, kind = KEYS[i], ARGV[i + 1]
  if kind == 'usd' then
    answer[i] = redis.call('GET', key) or '0'
  elseif kind == 'concurrent' then
    redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
    answer[i] = tostring(redis.call('ZCARD', key))
  else
    answer[i] = string.format('%.0f', (rate(key, now)))
  end
end
return answer
"""
)
"""KEYS: one for each limit. ARGV: now, then each limit's kind."""
