-- Raises the limit, once per key. A circuit that the new limit has room for goes half-open.
-- KEYS[3] marker of the key
-- ARGV[2] key  [3] amount  [4] most that a limit may be
-- ok | again | conflict {amount added} | toolarge | missing
local amount = ARGV[3]
reclaim(100)
local list, gone = chain(own, KEYS[2])
local account = list[1]
local done = call('HMGET', KEYS[3], 'amount', 'born')
if done[1] and account and done[2] == account[BORN] then
  if done[1] ~= amount then
    return {'conflict', done[1]}
  end
  return {'again', account}
end
if gone == own then
  return {'missing', own}
end
if account[LIMIT] + amount > ARGV[4] + 0 then
  return {'toolarge', account}
end
account[LIMIT] = call('HINCRBY', account[KEY], 'limit', amount)
if account[CIRCUIT] == OPEN and account[SPENT] + 0 < account[LIMIT] then
  rarely().set_circuit(account, HALF_OPEN)
  call('HDEL', account[KEY], 'refusals')
end
call('HSET', KEYS[3], 'amount', amount, 'born', account[BORN])
call('PEXPIRE', KEYS[3], RETENTION)
rarely().note(own, 'toppedUp', ARGV[2], amount, own, '')
return {'ok', account}
