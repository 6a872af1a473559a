-- Forgets the sandbox of a slot, which was killed and cleaned up. A finished run may also be tidied
-- by a later attempt, which did not have to claim it.
-- KEYS[1] record   ARGV[1] fence   ARGV[2] slot
-- Returns {'ok', sandbox, lease} | {'unbound'} | a refusal.
local key, slot = KEYS[1], ARGV[2]
local no = refusal(key, ARGV[1])
if no and not (no == 'unclaimed' and finished(key)) then
  return {no}
end
local sandbox, lease = redis.call('HGET', key, 's:' .. slot), redis.call('HGET', key, 'l:' .. slot)
if not sandbox then
  return {'unbound'}
end
redis.call('HDEL', key, 'i:' .. slot, 's:' .. slot, 'l:' .. slot)
return {'ok', sandbox, lease}
