-- A sandbox is removed and booked; its record answers for a while.
-- KEYS[1] shared record   ARGV[1] ttl, ms
-- Returns {'ok', 1 the first time, else 0} | {'missing'} | {'open'}.
local key = KEYS[1]
local state = redis.call('HGET', key, 'state')
if not state then
  return {'missing'}
end
if state == 'closed' then
  return {'ok', '0'}
end
if redis.call('HEXISTS', key, 'ended') == 0 then
  return {'open'}
end
redis.call('HSET', key, 'state', 'closed')
for _, field in ipairs(redis.call('HKEYS', key)) do
  if string.sub(field, 1, 2) == 'u:' then
    redis.call('HDEL', key, field)
  end
end
redis.call('PEXPIRE', key, ARGV[1])
return {'ok', '1'}
