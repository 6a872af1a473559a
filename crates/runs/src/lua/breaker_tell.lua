-- Tells a breaker how a call ended.
-- KEYS[1] breaker   KEYS[2] failures while closed, sorted by time
-- ARGV[1] token   ARGV[2] '1' if the provider failed   ARGV[3] failures that open it
-- ARGV[4] window, ms   ARGV[5] keep, ms
-- 0 closed | 1 open
local failed = ARGV[2] == '1'
local state = redis.call('HMGET', KEYS[1], 'opened', 'probe')
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
if state[1] then
  -- Only the probe's word counts: other calls began before the breaker opened.
  if state[2] ~= ARGV[1] then
    return 1
  end
  redis.call('DEL', KEYS[1], KEYS[2])
  if not failed then
    return 0
  end
else
  if not failed then
    return 0
  end
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - tonumber(ARGV[4]))
  redis.call('ZADD', KEYS[2], now, ARGV[1])
  redis.call('PEXPIRE', KEYS[2], ARGV[4])
  if redis.call('ZCARD', KEYS[2]) < tonumber(ARGV[3]) then
    return 0
  end
  redis.call('DEL', KEYS[2])
end
redis.call('HSET', KEYS[1], 'opened', now)
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return 1
