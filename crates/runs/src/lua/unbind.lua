-- Forgets the sandbox, which was killed and cleaned up. A finished run may also be tidied by a
-- later attempt, which did not have to claim it.
-- KEYS[1] record   ARGV[1] fence
-- Returns {'ok', sandbox, lease} | {'unbound'} | a refusal.
local key = KEYS[1]
local no = refusal(key, ARGV[1])
if no and not (no == 'unclaimed' and finished(key)) then
  return {no}
end
local sandbox, lease = redis.call('HGET', key, 'sandbox'), redis.call('HGET', key, 'lease')
if not sandbox then
  return {'unbound'}
end
redis.call('HDEL', key, 'sandboxId', 'sandbox', 'lease')
return {'ok', sandbox, lease}
