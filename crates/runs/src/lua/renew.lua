-- Pushes out the lease of the bound sandbox; never pulls it in.
-- KEYS[1] record   ARGV[1] fence   ARGV[2] new end of the lease, ms
-- ARGV[3] how long the record outlives the lease, ms
-- Returns {'ok', sandbox, lease} | {'unbound'} | a refusal.
local key = KEYS[1]
local no = refusal(key, ARGV[1])
if no then
  return {no}
end
local lease = redis.call('HGET', key, 'lease')
if not lease then
  return {'unbound'}
end
if tonumber(lease) < tonumber(ARGV[2]) then
  redis.call('HSET', key, 'lease', ARGV[2])
end
live_at_least(key, tonumber(ARGV[2]) - now_ms() + tonumber(ARGV[3]))
return {'ok', redis.call('HGET', key, 'sandbox'), redis.call('HGET', key, 'lease')}
