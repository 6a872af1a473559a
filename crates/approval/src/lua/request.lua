-- Asks for an approval, or finds the one that was asked for. One that nobody answered or used in
-- time is asked for anew; a rejection stands.
-- KEYS[1] approval   ARGV[1] ttl, ms   ARGV[2] how long it is kept after that, ms
-- ARGV[3..] pairs of field and value
-- Returns {now, expires, fields}.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local state = redis.call('HGET', KEYS[1], 'state')
if state and (state == 'rejected' or redis.call('HEXISTS', KEYS[1], 'used_by') == 1
    or now < tonumber(redis.call('HGET', KEYS[1], 'expires'))) then
  return {now, tonumber(redis.call('HGET', KEYS[1], 'expires')), redis.call('HGETALL', KEYS[1])}
end
local expires = now + tonumber(ARGV[1])
redis.call('DEL', KEYS[1])
for index = 3, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[index], ARGV[index + 1])
end
redis.call('HSET', KEYS[1], 'state', 'pending', 'created', now, 'expires', expires)
redis.call('PEXPIRE', KEYS[1], tonumber(ARGV[1]) + tonumber(ARGV[2]))
return {now, expires, redis.call('HGETALL', KEYS[1])}
