-- Sets one field of the record of an unfinished run.
-- KEYS[1] record   ARGV[1] fence   ARGV[2] field   ARGV[3] value
-- Returns {'ok'} | {'finished'} | a refusal.
local no = refusal(KEYS[1], ARGV[1])
if no then
  return {no}
end
if finished(KEYS[1]) then
  return {'finished'}
end
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3], 'touched', 1)
return {'ok'}
