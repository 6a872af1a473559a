-- Returns a hold whole, because nothing was spent. The id may be reserved again.
-- KEYS[3] hold
-- ARGV[2] id
-- ok (also if there is no such hold) | conflict {actual} (settled) | missing
local id = ARGV[2]
local member = own .. '#' .. id
reclaim(100, member)
local list, gone = chain(own, KEYS[2])
if not list[1] then
  return {'missing', gone}
end
local hold = call('HMGET', KEYS[3], 'state', 'amount', 'born', 'above', 'actual')
local state = hold[3] == list[1][BORN] and hold[1]
if state == 'settled' then
  return {'conflict', hold[5]}
end
if state == 'held' then
  rarely().release(own, id, hold[2], hold[3], hold[4])
  call('ZREM', KEYS[1], member)
  rarely().note(own, 'voided', id, hold[2], own, '')
  list = chain(own, KEYS[2])
end
if state == 'held' or state == 'returned' then
  call('HSET', KEYS[3], 'state', 'voided')
  call('PEXPIRE', KEYS[3], RETENTION)
end
return {'ok', list[1]}
