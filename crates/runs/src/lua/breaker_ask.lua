-- Asks a breaker whether to call.
-- KEYS[1] breaker: 'opened' ms, 'probe' token, 'probe_until' ms
-- ARGV[1] token of the asker   ARGV[2] pause, ms   ARGV[3] lease of a probe, ms   ARGV[4] keep, ms
-- {0} closed | {1} this asker is the probe | {2, ms to wait} open, or another probes
local state = redis.call('HMGET', KEYS[1], 'opened', 'probe', 'probe_until')
if not state[1] then
  return {0}
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local tries = tonumber(state[1]) + tonumber(ARGV[2])
if now < tries then
  return {2, tries - now}
end
local lapses = tonumber(state[3] or '0')
if state[2] and state[2] ~= ARGV[1] and now < lapses then
  return {2, lapses - now}
end
redis.call('HSET', KEYS[1], 'probe', ARGV[1], 'probe_until', now + tonumber(ARGV[3]))
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return {1}
