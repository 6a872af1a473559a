-- Answers an approval; the first answer stands.
-- KEYS[1] approval   ARGV[1] 'granted' | 'rejected'   ARGV[2] by whom   ARGV[3] what they said
-- Returns {'ok' | 'missing' | 'answered' | 'expired', now, fields}.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local state = redis.call('HGET', KEYS[1], 'state')
local word = 'ok'
if not state then
  word = 'missing'
elseif state == 'pending' then
  if now >= tonumber(redis.call('HGET', KEYS[1], 'expires')) then
    word = 'expired'
  else
    redis.call('HSET', KEYS[1], 'state', ARGV[1], 'by', ARGV[2], 'answer', ARGV[3], 'answered', now)
  end
elseif state ~= ARGV[1] then
  word = 'answered'
end
return {word, now, redis.call('HGETALL', KEYS[1])}
