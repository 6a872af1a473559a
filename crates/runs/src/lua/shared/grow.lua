-- Records how much time is paid for and until when it lives. Nothing of it ever shrinks.
-- KEYS[1] shared record
-- ARGV[1] covers, ms   ARGV[2] held, nano-USD   ARGV[3] lease, ms; each 0 for no change
-- Returns {'ok'} | {'missing'}.
local key = KEYS[1]
if redis.call('EXISTS', key) == 0 then
  return {'missing'}
end
for i, field in ipairs({'covers', 'held', 'lease'}) do
  if tonumber(redis.call('HGET', key, field)) < tonumber(ARGV[i]) then
    redis.call('HSET', key, field, ARGV[i])
  end
end
return {'ok'}
