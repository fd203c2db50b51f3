-- Commit the effect of a run of a source partition: all of it, or nothing.
--
-- KEYS  position, rows, dirty, gone, floor, own, seen, then one stream per outbox, one key per
--       user, one key per log
-- ARGV  expected position, new position, n outboxes, n users, n logs, tombstones to keep,
--       for each user: record ("null": remove), name, last event time or ""
--       n rows,     n times (row, record; "null": remove)
--       n own rows, n times (row, record; "null": remove)
--       for each outbox: n messages, n times (stream id, payload)
--       for each log: bytes to append ("": remove)
-- Returns {1, new position}, or {0, found position} having changed nothing.

local at = 2
local function take()
  at = at + 1
  return ARGV[at]
end

local position, rows, dirty, gone = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local floor, own, seen = KEYS[5], KEYS[6], KEYS[7]
local outboxes, users, logs = tonumber(take()), tonumber(take()), tonumber(take())
local tombstones = tonumber(take())

local found = redis.call('GET', position) or '0'
if found ~= ARGV[1] then
  return {0, tonumber(found)}
end

-- A log that begins again: who mirrors is ahead of it now and reads all rows, none is news.
if tonumber(ARGV[2]) < tonumber(found) then
  redis.call('DEL', gone, floor)
  redis.call('ZUNIONSTORE', dirty, 1, dirty, 'WEIGHTS', 0)
end

local key = 7 + outboxes
for user = 1, users do
  local record, name, last = take(), take(), take()
  if record == 'null' then
    redis.call('DEL', KEYS[key + user])
    redis.call('ZREM', seen, name)
  else
    redis.call('SET', KEYS[key + user], record)
    if last ~= '' then
      redis.call('ZADD', seen, last, name)
    end
  end
end

-- Who mirrors the rows must hear of a removed one; who has not for very long reads all of them.
for _ = 1, tonumber(take()) do
  local row, record = take(), take()
  if record == 'null' then
    redis.call('HDEL', rows, row)
    redis.call('ZREM', dirty, row)
    redis.call('ZADD', gone, ARGV[2], row)
  else
    redis.call('HSET', rows, row, record)
    redis.call('ZADD', dirty, ARGV[2], row)
    redis.call('ZREM', gone, row)
  end
end
local excess = redis.call('ZCARD', gone) - tombstones
if excess > 0 then
  local last = redis.call('ZRANGE', gone, excess - 1, excess - 1, 'WITHSCORES')
  redis.call('ZREMRANGEBYRANK', gone, 0, excess - 1)
  redis.call('SET', floor, last[2])
end

for _ = 1, tonumber(take()) do
  local row, record = take(), take()
  if record == 'null' then
    redis.call('HDEL', own, row)
  else
    redis.call('HSET', own, row, record)
  end
end

for stream = 8, key do
  for _ = 1, tonumber(take()) do
    local id, payload = take(), take()
    redis.call('XADD', KEYS[stream], id, 'p', payload)
  end
end

key = key + users
for log = 1, logs do
  local bytes = take()
  if bytes == '' then
    redis.call('DEL', KEYS[key + log])
  else
    redis.call('APPEND', KEYS[key + log], bytes)
  end
end

redis.call('SET', position, ARGV[2])
return {1, tonumber(ARGV[2])}
