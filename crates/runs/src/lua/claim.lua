-- Makes an attempt the holder of a run record, by compare-and-set on the fence.
-- KEYS[1] record
-- ARGV[1] fence   ARGV[2] digest of the input   ARGV[3] ttl, ms   ARGV[4] version of the record
-- Returns {'started'|'resumed', fields...} | {'finished', outcome} | {'superseded'} | {'conflict'} |
-- {'version', found}.
local key, fence = KEYS[1], tonumber(ARGV[1])
if redis.call('EXISTS', key) == 0 then
  redis.call('HSET', key, 'v', ARGV[4], 'fence', ARGV[1], 'first', ARGV[1], 'claims', 1,
    'digest', ARGV[2], 'ttl', ARGV[3], 'started', now_ms())
  redis.call('PEXPIRE', key, ARGV[3])
  return {'started', redis.call('HGETALL', key)}
end
local version = redis.call('HGET', key, 'v')
if version ~= ARGV[4] then
  return {'version', version}
end
if redis.call('HGET', key, 'digest') ~= ARGV[2] then
  return {'conflict'}
end
if finished(key) then
  return {'finished', redis.call('HGET', key, 'outcome')}
end
local held = tonumber(redis.call('HGET', key, 'fence'))
if held > fence then
  return {'superseded'}
end
if held < fence then
  redis.call('HSET', key, 'fence', ARGV[1])
  redis.call('HINCRBY', key, 'claims', 1)
end
live_at_least(key, tonumber(ARGV[3]))
-- The answer to a first claim may have been lost: asking again gets it again.
local touched = redis.call('HEXISTS', key, 'touched') == 1
if redis.call('HGET', key, 'first') == ARGV[1] and not touched then
  return {'started', redis.call('HGETALL', key)}
end
return {'resumed', redis.call('HGETALL', key)}
