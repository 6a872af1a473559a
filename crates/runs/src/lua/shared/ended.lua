-- Says when a sandbox that is closing ended and what it cost. The first word stands.
-- KEYS[1] shared record   ARGV[1] end, ms   ARGV[2] cost, nano-USD
-- Returns {'ok', end, cost} | {'missing'} | {'open'}.
local key = KEYS[1]
local state = redis.call('HGET', key, 'state')
if not state then
  return {'missing'}
end
if state == 'open' then
  return {'open'}
end
if redis.call('HEXISTS', key, 'ended') == 0 then
  redis.call('HSET', key, 'ended', ARGV[1], 'cost', ARGV[2])
end
return {'ok', redis.call('HGET', key, 'ended'), redis.call('HGET', key, 'cost')}
