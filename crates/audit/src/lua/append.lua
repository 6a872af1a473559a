-- Appends records to a writer's stream. The id of an entry is the record's sequence, so a record
-- that is written again (its answer was lost) is not there twice.
-- KEYS[1] stream   ARGV[1] about how many to keep   ARGV[2] time to live, ms
-- ARGV[3..] pairs of id (`<sequence>-0`) and line
-- Returns how many were new.
local last = 0
if redis.call('EXISTS', KEYS[1]) == 1 then
  local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
  last = newest and tonumber(string.match(newest[1], '^%d+')) or 0
end
local added = 0
for index = 3, #ARGV, 2 do
  if tonumber(string.match(ARGV[index], '^%d+')) > last then
    redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], ARGV[index], 'r', ARGV[index + 1])
    added = added + 1
  end
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return added
