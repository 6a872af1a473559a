-- Becomes the leader, or stays it.
-- KEYS[1] seat   ARGV[1] token of this process   ARGV[2] term, ms
-- Returns 1 if the leader, else 0.
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
  return 1
end
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return 1
end
return 0
