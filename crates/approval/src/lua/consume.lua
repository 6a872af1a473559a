-- Uses a granted approval for one execution. The same execution may present it again, also after
-- its expiry: it was used in time.
-- KEYS[1] approval   ARGV[1] digest of what is to be done   ARGV[2] execution
-- ARGV[3] how long a used one is kept, ms
-- Returns {'ok' | 'missing' | 'digest' | 'used' | 'pending' | 'rejected' | 'expired', now, fields}.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local function look()
  local state = redis.call('HGET', KEYS[1], 'state')
  if not state then
    return 'missing'
  end
  if redis.call('HGET', KEYS[1], 'digest') ~= ARGV[1] then
    return 'digest'
  end
  local used_by = redis.call('HGET', KEYS[1], 'used_by')
  if used_by then
    return used_by == ARGV[2] and 'ok' or 'used'
  end
  if state == 'rejected' then
    return 'rejected'
  end
  if now >= tonumber(redis.call('HGET', KEYS[1], 'expires')) then
    return 'expired'
  end
  if state ~= 'granted' then
    return 'pending'
  end
  redis.call('HSET', KEYS[1], 'used_by', ARGV[2], 'used', now)
  return 'ok'
end
local word = look()
if word == 'ok' and redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return {word, now, redis.call('HGETALL', KEYS[1])}
