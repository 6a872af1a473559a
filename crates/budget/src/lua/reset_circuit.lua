-- Lets an open circuit try one spending, and forgets the refusals counted so far.
-- ok | missing
local list, gone = chain(own)
if gone == own then
  return missing(own)
end
local account = list[1]
if account.circuit == OPEN then
  redis.call('HSET', account.key, 'circuit', HALF_OPEN)
  note(own, 'circuitReset', '', 0, own, '')
end
redis.call('HDEL', account.key, 'trial', 'refusals')
reclaim(100)
return {'ok', {}, show({account})}
