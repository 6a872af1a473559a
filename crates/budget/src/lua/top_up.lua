-- Raises the limit, once per key. A circuit that the new limit has room for goes half-open.
-- KEYS[3] marker of the key
-- ARGV[5] amount  [6] key  [7] most that a limit may be
-- ok | again | conflict {amount added} | toolarge | missing
local list, gone = chain(own)
local account = list[1]
local done = call('HMGET', KEYS[3], 'amount', 'born')
if done[1] and account and done[2] == account.born then
  if done[1] ~= ARGV[5] then
    return {'conflict', {done[1]}, {}}
  end
  return {'again', {}, show({account})}
end
if gone == own then
  return missing(own)
end
local limit = account.limit + tonumber(ARGV[5])
if limit > tonumber(ARGV[7]) then
  return {'toolarge', {}, show({account})}
end
account.limit = limit
call('HINCRBY', account.key, 'limit', ARGV[5])
if account.circuit == OPEN and account.spent < limit then
  set_circuit(account, HALF_OPEN)
  call('HDEL', account.key, 'refusals')
end
call('HSET', KEYS[3], 'amount', ARGV[5], 'born', account.born)
call('PEXPIRE', KEYS[3], retention)
note(own, 'toppedUp', ARGV[6], ARGV[5], own, '')
return {'ok', {}, show(touched(list), 1)}
