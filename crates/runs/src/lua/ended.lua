-- Keeps the result of a command that was recorded as starting. The first result stands.
-- KEYS[1] record   ARGV[1] fence   ARGV[2] field of the command   ARGV[3] result
-- Returns {'ok'} | {'unstarted'} | {'changed'} | {'finished'} | a refusal.
local no = refusal(KEYS[1], ARGV[1])
if no then
  return {no}
end
local held = redis.call('HGET', KEYS[1], ARGV[2])
if not held then
  return {'unstarted'}
end
if held == ARGV[3] then
  return {'ok'}
end
if held ~= 'starting' then
  return {'changed'}
end
if finished(KEYS[1]) then
  return {'finished'}
end
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
return {'ok'}
