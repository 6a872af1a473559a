-- Gives up a seat that this attempt or an earlier one took. With a later attempt in it nothing
-- happens.
-- KEYS[1] shared record   ARGV[1] field of the seat   ARGV[2] fence   ARGV[3] now, ms; 0: not used
-- Returns {'ok'}.
local mine = redis.call('HGET', KEYS[1], ARGV[1])
if mine and tonumber(string.match(mine, '^(%d+) ')) <= tonumber(ARGV[2]) then
  redis.call('HDEL', KEYS[1], ARGV[1])
  if tonumber(redis.call('HGET', KEYS[1], 'used')) < tonumber(ARGV[3]) then
    redis.call('HSET', KEYS[1], 'used', ARGV[3])
  end
end
return {'ok'}
