-- Reads an approval and the clock that its expiry is measured by.
-- KEYS[1] approval
-- Returns {now, fields}.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
return {now, redis.call('HGETALL', KEYS[1])}
