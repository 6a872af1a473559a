-- Binds a sandbox to the run; the first one wins.
-- KEYS[1] record
-- ARGV[1] fence   ARGV[2] sandbox id   ARGV[3] sandbox, JSON   ARGV[4] end of its lease, ms
-- ARGV[5] how long the record outlives the lease, ms
-- Returns {'ok'} | {'other', sandbox, lease} | {'finished'} | a refusal.
local key = KEYS[1]
local no = refusal(key, ARGV[1])
if no then
  return {no}
end
if finished(key) then
  return {'finished'}
end
local bound = redis.call('HGET', key, 'sandboxId')
if bound and bound ~= ARGV[2] then
  return {'other', redis.call('HGET', key, 'sandbox'), redis.call('HGET', key, 'lease')}
end
if not bound then
  redis.call('HSET', key, 'sandboxId', ARGV[2], 'sandbox', ARGV[3], 'lease', ARGV[4], 'touched', 1)
elseif tonumber(redis.call('HGET', key, 'lease')) < tonumber(ARGV[4]) then
  redis.call('HSET', key, 'lease', ARGV[4])
end
live_at_least(key, tonumber(ARGV[4]) - now_ms() + tonumber(ARGV[5]))
return {'ok'}
