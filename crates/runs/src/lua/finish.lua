-- Keeps the outcome of the run for its ttl. The first outcome stands.
-- KEYS[1] record   ARGV[1] fence   ARGV[2] outcome   ARGV[3] phase of a finished run
-- Returns {'ok'} | {'changed'} | a refusal.
local key = KEYS[1]
local no = refusal(key, ARGV[1])
if no then
  return {no}
end
local held = redis.call('HGET', key, 'outcome')
if held and held ~= ARGV[2] then
  return {'changed'}
end
redis.call('HSET', key, 'outcome', ARGV[2], 'phase', ARGV[3])
live_at_least(key, tonumber(redis.call('HGET', key, 'ttl')))
return {'ok'}
