-- Holds an amount, once per id; again while it is held: the same hold, its lease pushed.
-- KEYS[3] hold
-- ARGV[2] id  [3] amount  [4] lease, ms
-- ok {amount} | again {amount} | settled {amount, actual} | conflict {amount asked first} | missing
-- | open | exceeded
local id, amount, ends = ARGV[2], ARGV[3], now + ARGV[4]
local member = own .. '#' .. id
local list, gone, up = chain(own, KEYS[2])
local account = list[1]
if not account then
  return {'missing', gone}
end
local hold = call('HMGET', KEYS[3], 'state', 'amount', 'born', 'above', 'asked', 'actual', 'lease')
if hold[1] then
  local state = hold[3] == account[BORN] and hold[1]
  if state and state ~= 'voided' and hold[5] ~= amount then
    return {'conflict', hold[5]}
  end
  if state == 'settled' then
    return {'settled', hold[2], hold[6], account}
  end
  if state == 'held' then
    if ends > hold[7] + 0 then
      call('HSET', KEYS[3], 'lease', ends)
      call('ZADD', KEYS[1], ends, member)
    end
    if reclaim(100) > 0 then
      account = chain(own, KEYS[2])[1]
    end
    return {'again', hold[2], account}
  end
end
if gone then
  return {'missing', gone}
end
local refused
list, refused = ask(list, amount + 0, member)
if refused then
  return refused
end
if hold[1] then
  -- Of an account of the same name that is no more.
  if hold[1] == 'held' then
    rarely().release(own, id, hold[2], hold[3], hold[4])
  end
  call('DEL', KEYS[3])
end
account, ends = list[1], string.format('%.0f', ends)
call('HSET', KEYS[3], 'v', 1, 'state', 'held', 'amount', amount, 'born', account[BORN], 'asked',
  amount, 'lease', ends)
if list[2] then
  call('HSET', KEYS[3], 'above', up)
end
call('ZADD', KEYS[1], ends, member)
for i = 1, #list do
  local a = list[i]
  if amount ~= '0' then
    a[RESERVED] = call('HINCRBY', a[KEY], 'reserved', amount)
  end
  if a[CIRCUIT] ~= CLOSED then
    rarely().set_trial(a, member)
  end
end
call('XADD', KEYS[4], 'MAXLEN', '~', HISTORY, '*', 'kind', 'reserved', 'id', id, 'amount', amount,
  'via', own, 'text', '')
return {'ok', amount, account}
