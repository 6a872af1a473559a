-- Records that a command is about to be started: from here on it may have run.
-- KEYS[1] record   ARGV[1] fence   ARGV[2] field of the command
-- Returns {'first'} | {'again'} | {'finished'} | a refusal.
local no = refusal(KEYS[1], ARGV[1])
if no then
  return {no}
end
if finished(KEYS[1]) then
  return {'finished'}
end
if redis.call('HSETNX', KEYS[1], ARGV[2], 'starting') == 1 then
  redis.call('HSET', KEYS[1], 'touched', 1)
  return {'first'}
end
return {'again'}
