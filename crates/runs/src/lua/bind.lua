-- Binds a sandbox to one of the run's slots; the first one wins.
-- KEYS[1] record
-- ARGV[1] fence   ARGV[2] slot   ARGV[3] sandbox id   ARGV[4] sandbox, JSON
-- ARGV[5] end of its lease, ms   ARGV[6] how long the record outlives the lease, ms
-- Returns {'ok'} | {'other', sandbox, lease} | {'finished'} | a refusal.
local key, slot = KEYS[1], ARGV[2]
local no = refusal(key, ARGV[1])
if no then
  return {no}
end
if finished(key) then
  return {'finished'}
end
local id, lease = 'i:' .. slot, 'l:' .. slot
local bound = redis.call('HGET', key, id)
if bound and bound ~= ARGV[3] then
  return {'other', redis.call('HGET', key, 's:' .. slot), redis.call('HGET', key, lease)}
end
if not bound then
  redis.call('HSET', key, id, ARGV[3], 's:' .. slot, ARGV[4], lease, ARGV[5], 'touched', 1)
elseif tonumber(redis.call('HGET', key, lease)) < tonumber(ARGV[5]) then
  redis.call('HSET', key, lease, ARGV[5])
end
live_at_least(key, tonumber(ARGV[5]) - now_ms() + tonumber(ARGV[6]))
return {'ok'}
