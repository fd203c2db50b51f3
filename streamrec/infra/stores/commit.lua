-- Commit the effect of a run of a source partition: all of it, or nothing.
--
-- KEYS  position, rows, dirty, then one stream per outbox, then one key per user
-- ARGV  expected position, new position, n outboxes,
--       n users,    n records                    (in the order of their keys; null: remove)
--       n rows,     n times (row, record)
--       for each outbox: n messages, n times (stream id, payload)
-- Returns {1, new position}, or {0, found position} having changed nothing.

local at = 2
local function take()
  at = at + 1
  return ARGV[at]
end

local outboxes = tonumber(take())
local users = 3 + outboxes

local found = redis.call('GET', KEYS[1]) or '0'
if found ~= ARGV[1] then
  return {0, tonumber(found)}
end

for user = 1, tonumber(take()) do
  local record = take()
  if record == 'null' then
    redis.call('DEL', KEYS[users + user])
  else
    redis.call('SET', KEYS[users + user], record)
  end
end

for _ = 1, tonumber(take()) do
  local row, record = take(), take()
  redis.call('HSET', KEYS[2], row, record)
  redis.call('ZADD', KEYS[3], ARGV[2], row)
end

for stream = 4, users do
  for _ = 1, tonumber(take()) do
    local id, payload = take(), take()
    redis.call('XADD', KEYS[stream], id, 'p', payload)
  end
end

redis.call('SET', KEYS[1], ARGV[2])
return {1, tonumber(ARGV[2])}
