-- Raises a hold to a total, never lowers it, and pushes its lease. A hold that was returned because
-- its lease ended is taken anew.
-- KEYS[3] hold
-- ARGV[5] id  [6] total  [7] lease, ms  [8] refusals that open the circuit
-- ok {total held} | unknown | conflict {actual} (settled) | missing | open | exceeded
local member = own .. '#' .. ARGV[5]
local ends = now + tonumber(ARGV[7])
local list, gone = chain(own)
if not list[1] then
  return missing(gone)
end
local hold = call('HMGET', KEYS[3], 'state', 'amount', 'lease', 'actual', 'born')
local state = hold[5] == list[1].born and hold[1] or nil
if not state or state == 'voided' then
  return {'unknown', {}, {}}
end
if state == 'settled' then
  return {'conflict', {hold[4]}, {}}
end
local held = state == 'held' and hold[2] or '0'
local more = tonumber(ARGV[6]) - tonumber(held)
if more > 0 or state == 'returned' then
  if gone then
    return missing(gone)
  end
  local refused
  list, refused = ask(list, more, member, tonumber(ARGV[8]), member)
  if refused then
    return refused
  end
  for _, a in ipairs(list) do
    reserved(a, more)
    set_trial(a, member)
  end
  call('HSET', KEYS[3], 'state', 'held', 'amount', ARGV[6])
  call('PERSIST', KEYS[3])
  note(own, 'extended', ARGV[5], more, own, '')
  held = ARGV[6]
end
if state == 'held' and ends < tonumber(hold[3]) then
  ends = tonumber(hold[3])
end
call('HSET', KEYS[3], 'lease', ends)
call('ZADD', KEYS[1], ends, member)
return {'ok', {held}, show(list, 1)}
