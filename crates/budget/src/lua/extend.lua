-- Raises a hold to a total, never lowers it, and pushes its lease. A hold that was returned because
-- its lease ended is taken anew.
-- KEYS[3] hold
-- ARGV[2] id  [3] total  [4] lease, ms
-- ok {total held} | unknown | conflict {actual} (settled) | missing | open | exceeded
local id, total, ends = ARGV[2], ARGV[3], now + ARGV[4]
local member = own .. '#' .. id
local list, gone, up = chain(own, KEYS[2])
if not list[1] then
  return {'missing', gone}
end
local hold = call('HMGET', KEYS[3], 'state', 'amount', 'born', 'above', 'actual', 'lease')
local state = hold[3] == list[1][BORN] and hold[1]
if not state or state == 'voided' then
  return {'unknown'}
end
if state == 'settled' then
  return {'conflict', hold[5]}
end
local held = state == 'held' and hold[2] or '0'
local more = total - held
if more > 0 or state == 'returned' then
  if gone then
    return {'missing', gone}
  end
  local refused
  list, refused = ask(list, more, member, member)
  if refused then
    return refused
  end
  -- An account above that was made anew since does not know of the hold, and is not told.
  up = ',' .. (state == 'held' and (hold[4] or '') or up)
  for i = 1, #list do
    local a = list[i]
    if i == 1 or string.find(up, ',' .. a[NAME] .. '#' .. a[BORN] .. ',', 1, true) then
      a[RESERVED] = call('HINCRBY', a[KEY], 'reserved', more)
      rarely().set_trial(a, member)
    end
  end
  call('HSET', KEYS[3], 'state', 'held', 'amount', total, 'above', string.sub(up, 2))
  call('PERSIST', KEYS[3])
  rarely().note(own, 'extended', id, more, own, '')
  held = total
end
if state == 'held' and ends < hold[6] + 0 then
  ends = hold[6] + 0
end
call('HSET', KEYS[3], 'lease', ends)
call('ZADD', KEYS[1], ends, member)
return {'ok', held, list[1]}
