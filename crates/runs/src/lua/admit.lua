-- Takes one token from a bucket, kept as the time at which it will be full again.
-- KEYS[1] bucket   ARGV[1] time for one token, us   ARGV[2] burst
-- Returns 0 if taken, else how long to wait, us. All numbers stay below 2^53.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local full = math.max(now, tonumber(redis.call('GET', KEYS[1]) or '0'))
local wait = full - now - (burst - 1) * interval
if wait > 0 then
  return wait
end
full = full + interval
redis.call('SET', KEYS[1], full, 'PX', math.ceil((full - now) / 1000) + 1000)
return 0
