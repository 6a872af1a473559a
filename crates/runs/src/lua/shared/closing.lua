-- Begins to close a shared sandbox, unless somebody did: the first reason stands. With a condition,
-- only if nobody uses it and nobody did since.
-- KEYS[1] shared record
-- ARGV[1] reason   ARGV[2] the time of the last use that was seen, ms; '' to close whatever it does
-- Returns {'ok', fields...} | {'used'} | {'missing'}.
local key = KEYS[1]
local state = redis.call('HGET', key, 'state')
if not state then
  return {'missing'}
end
if state == 'open' then
  if ARGV[2] ~= '' then
    if tonumber(redis.call('HGET', key, 'used')) > tonumber(ARGV[2]) then
      return {'used'}
    end
    for _, field in ipairs(redis.call('HKEYS', key)) do
      if string.sub(field, 1, 2) == 'u:' then
        return {'used'}
      end
    end
  end
  redis.call('HSET', key, 'state', 'closing', 'reason', ARGV[1])
end
return {'ok', redis.call('HGETALL', key)}
