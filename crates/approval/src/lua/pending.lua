-- Lists the approvals that wait, the one that expires first first; forgets the expired ones.
-- KEYS[1] ids sorted by expiry   ARGV[1] how many
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
return redis.call('ZRANGE', KEYS[1], 0, tonumber(ARGV[1]) - 1)
