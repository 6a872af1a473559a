-- Renews a seat.
-- KEYS[1] shared record
-- ARGV[1] field of the seat   ARGV[2] fence   ARGV[3] lease, ms   ARGV[4] now, ms
-- Returns {'ok', end of what is paid, ms since creation} | {'missing'} | {'closed'} | {'superseded'}.
local key = KEYS[1]
local state = redis.call('HGET', key, 'state')
if not state then
  return {'missing'}
end
if state ~= 'open' then
  return {'closed'}
end
local mine = redis.call('HGET', key, ARGV[1])
local fence, lease, holder = string.match(mine or '', '^(%d+) (%-?%d+) (.*)$')
if fence ~= ARGV[2] then
  return {'superseded'}
end
if tonumber(lease) < tonumber(ARGV[3]) then
  redis.call('HSET', key, ARGV[1], fence .. ' ' .. ARGV[3] .. ' ' .. holder)
end
if tonumber(redis.call('HGET', key, 'used')) < tonumber(ARGV[4]) then
  redis.call('HSET', key, 'used', ARGV[4])
end
return {'ok', redis.call('HGET', key, 'covers')}
