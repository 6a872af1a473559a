-- Returns a hold whole, because nothing was spent. The id may be reserved again.
-- KEYS[3] hold
-- ARGV[5] id
-- ok (also if there is no such hold) | conflict {actual} (settled) | missing
local member = own .. '#' .. ARGV[5]
local list, gone = chain(own)
if not list[1] then
  return missing(gone)
end
local hold = call('HMGET', KEYS[3], 'state', 'amount', 'actual', 'born')
local state = hold[4] == list[1].born and hold[1] or nil
if state == 'settled' then
  return {'conflict', {hold[3]}, {}}
end
if state == 'held' then
  release(list, member, tonumber(hold[2]))
  call('ZREM', KEYS[1], member)
  note(own, 'voided', ARGV[5], hold[2], own, '')
end
if state == 'held' or state == 'returned' then
  call('HSET', KEYS[3], 'state', 'voided')
  call('PEXPIRE', KEYS[3], retention)
end
return {'ok', {}, show(touched(list), 1)}
