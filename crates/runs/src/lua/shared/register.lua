-- Hands a sandbox over from the run that made it to a record of its own, and finishes that run.
-- KEYS[1] run record   KEYS[2] shared record
-- ARGV[1] fence   ARGV[2] version   ARGV[3] what never changes, JSON   ARGV[4] covers, ms
-- ARGV[5] held, nano-USD   ARGV[6] lease, ms   ARGV[7] used, ms   ARGV[8] ttl of the record, ms
-- ARGV[9] outcome of the run   ARGV[10] phase of a finished run   ARGV[11] slot
-- Returns {'ok'} | {'changed'} | a refusal.
local no = refusal(KEYS[1], ARGV[1])
if no then
  return {no}
end
local held = redis.call('HGET', KEYS[1], 'outcome')
if held and held ~= ARGV[9] then
  return {'changed'}
end
if redis.call('EXISTS', KEYS[2]) == 0 then
  redis.call('HSET', KEYS[2], 'v', ARGV[2], 'fixed', ARGV[3], 'state', 'open', 'covers', ARGV[4],
    'held', ARGV[5], 'lease', ARGV[6], 'used', ARGV[7])
  redis.call('PEXPIRE', KEYS[2], ARGV[8])
end
redis.call('HDEL', KEYS[1], 'i:' .. ARGV[11], 's:' .. ARGV[11], 'l:' .. ARGV[11])
redis.call('HSET', KEYS[1], 'outcome', ARGV[9], 'phase', ARGV[10])
live_at_least(KEYS[1], tonumber(redis.call('HGET', KEYS[1], 'ttl')))
return {'ok'}
