-- Gives the seat up if it is this process's.
-- KEYS[1] seat   ARGV[1] token of this process
-- Returns 1 if it was.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
