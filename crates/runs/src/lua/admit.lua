-- Lets holders in, first come first served, within a number at once and a rate.
-- KEYS[1] permits: holder -> end of its lease, ms   KEYS[2] queue: holder -> arrival, us
-- KEYS[3] seen: waiting holder -> until when it counts without asking again, ms   KEYS[4] bucket
-- ARGV[1] holder   ARGV[2] most at once, 0: any   ARGV[3] lease of a permit, ms
-- ARGV[4] time for one token, us, 0: no rate   ARGV[5] burst   ARGV[6] patience with a waiter, ms
-- Returns {1, permits in use} if it is in, {0, waiters before it, us to wait for a token} if not.
-- All numbers stay below 2^53.
local permits, queue, seen, bucket = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local holder, most, lease = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local interval, burst, patience = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local time = redis.call('TIME')
local now_us = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now = math.floor(now_us / 1000)

local function hold()
  redis.call('ZADD', permits, now + lease, holder)
  local last = redis.call('ZRANGE', permits, -1, -1, 'WITHSCORES')
  redis.call('PEXPIREAT', permits, tonumber(last[2]) + 1000)
end

redis.call('ZREMRANGEBYSCORE', permits, '-inf', now)
if redis.call('ZSCORE', permits, holder) then
  hold()
  return {1, redis.call('ZCARD', permits)}
end
-- Who asks no more waits no more.
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', seen, '-inf', now)) do
  redis.call('ZREM', queue, gone)
end
redis.call('ZREMRANGEBYSCORE', seen, '-inf', now)
redis.call('ZADD', queue, 'NX', now_us, holder)
redis.call('ZADD', seen, now + patience, holder)
redis.call('PEXPIRE', queue, patience + 1000)
redis.call('PEXPIRE', seen, patience + 1000)

local before = redis.call('ZRANK', queue, holder)
if most > 0 and before >= most - redis.call('ZCARD', permits) then
  return {0, before, 0}
end
if interval > 0 then
  local full = math.max(now_us, tonumber(redis.call('GET', bucket) or '0'))
  local wait = full - now_us - (burst - 1) * interval + before * interval
  if wait > 0 then
    return {0, before, wait}
  end
  full = full + interval
  redis.call('SET', bucket, full, 'PX', math.ceil((full - now_us) / 1000) + 1000)
end
redis.call('ZREM', queue, holder)
redis.call('ZREM', seen, holder)
if most > 0 then
  hold()
end
return {1, redis.call('ZCARD', permits)}
