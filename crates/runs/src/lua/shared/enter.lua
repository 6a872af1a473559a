-- Takes a seat in a shared sandbox for an execution, or only notes that it is used.
-- KEYS[1] shared record
-- ARGV[1] account   ARGV[2] field of the seat, '' for none   ARGV[3] fence   ARGV[4] lease, ms
-- ARGV[5] holder, JSON   ARGV[6] now, ms
-- Returns {'ok', fields...} | {'busy', fields...} | {'missing'} | {'closed'} | {'superseded'}.
local key = KEYS[1]
local fixed = redis.call('HGET', key, 'fixed')
if not fixed or cjson.decode(fixed).account ~= ARGV[1] then
  return {'missing'}
end
if redis.call('HGET', key, 'state') ~= 'open' then
  return {'closed'}
end
if ARGV[2] ~= '' then
  local mine = redis.call('HGET', key, ARGV[2])
  if mine then
    local fence = tonumber(string.match(mine, '^(%d+) '))
    if fence > tonumber(ARGV[3]) then
      return {'superseded'}
    end
  else
    local taken = 0
    for _, field in ipairs(redis.call('HKEYS', key)) do
      if string.sub(field, 1, 2) == 'u:' then
        taken = taken + 1
      end
    end
    if taken >= cjson.decode(fixed).seats then
      return {'busy', redis.call('HGETALL', key)}
    end
  end
  redis.call('HSET', key, ARGV[2], ARGV[3] .. ' ' .. ARGV[4] .. ' ' .. ARGV[5])
end
if tonumber(redis.call('HGET', key, 'used')) < tonumber(ARGV[6]) then
  redis.call('HSET', key, 'used', ARGV[6])
end
return {'ok', redis.call('HGETALL', key)}
