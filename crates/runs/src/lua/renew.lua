-- Pushes out the lease of a bound sandbox; never pulls it in.
-- KEYS[1] record   ARGV[1] fence   ARGV[2] slot   ARGV[3] new end of the lease, ms
-- ARGV[4] how long the record outlives the lease, ms
-- Returns {'ok', sandbox, lease} | {'unbound'} | a refusal.
local key, slot = KEYS[1], ARGV[2]
local no = refusal(key, ARGV[1])
if no then
  return {no}
end
local lease = redis.call('HGET', key, 'l:' .. slot)
if not lease then
  return {'unbound'}
end
if tonumber(lease) < tonumber(ARGV[3]) then
  redis.call('HSET', key, 'l:' .. slot, ARGV[3])
end
live_at_least(key, tonumber(ARGV[3]) - now_ms() + tonumber(ARGV[4]))
return {'ok', redis.call('HGET', key, 's:' .. slot), redis.call('HGET', key, 'l:' .. slot)}
