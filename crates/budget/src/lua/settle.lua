-- Books what a hold came to and returns the rest, once per id. A hold whose lease ended is booked
-- all the same: the money is gone.
-- KEYS[3] hold
-- ARGV[2] id  [3] actual  [4] description  [5] '1' to book what has no hold too
-- ok {held, late (1|0)} | again {the same} | conflict {actual booked} | voided | unknown | missing
-- | toolarge
local id, actual = ARGV[2], ARGV[3]
local member = own .. '#' .. id
reclaim(100, member)
local list, gone, up = chain(own, KEYS[2])
local account = list[1]
if not account then
  return {'missing', gone}
end
local hold = call('HMGET', KEYS[3], 'state', 'amount', 'born', 'above', 'actual', 'before', 'late')
local state = hold[3] == account[BORN] and hold[1]
if state == 'settled' then
  if hold[5] ~= actual then
    return {'conflict', hold[5]}
  end
  for i = 1, #list do
    list[i][BEFORE] = i == 1 and hold[6] or list[i][SPENT]
  end
  return {'again', hold[2], hold[7], unpack(list)}
end
if state == 'voided' then
  return {'voided'}
end
if not state and ARGV[5] ~= '1' then
  return {'unknown'}
end
for i = 1, #list do
  -- A Lua number would not hold the sum exactly.
  if list[i][SPENT] + actual > 9007199254740992 then
    return {'toolarge', list[i]}
  end
end
local held, late = hold[2], 1
if hold[1] == 'held' then
  late = state and 0 or 1
  if not state or (hold[4] or '') ~= up then
    -- An account of the chain is gone, or another of its name is there.
    rarely().release(own, id, held, hold[3], hold[4])
    list = chain(own, KEYS[2])
    account = list[1]
  elseif held ~= '0' then
    local back = '-' .. held
    for i = 1, #list do
      list[i][RESERVED] = call('HINCRBY', list[i][KEY], 'reserved', back)
    end
  end
  call('ZREM', KEYS[1], member)
end
book(list, 'settled', id, actual, member, ARGV[4])
call('HSET', KEYS[3], 'state', 'settled', 'actual', actual, 'before', account[BEFORE], 'late', late)
if not state then
  -- The store forgot the hold, in a failover: what is written now is all there is of it.
  held = '0'
  call('HSET', KEYS[3], 'v', 1, 'amount', held, 'asked', held, 'born', account[BORN], 'lease', 0)
end
call('PEXPIRE', KEYS[3], RETENTION)
return {'ok', held, late, unpack(list)}
