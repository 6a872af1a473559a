-- Holds an amount, once per id; again while it is held: the same hold, its lease pushed.
-- KEYS[3] hold
-- ARGV[5] id  [6] amount  [7] lease, ms  [8] refusals that open the circuit
-- ok {amount} | again {amount} | settled {amount, actual} | conflict {amount asked first} | missing
-- | open | exceeded
local member = own .. '#' .. ARGV[5]
local ends = now + tonumber(ARGV[7])
local lapses = digits(ends)
local list, gone = chain(own)
if not list[1] then
  return missing(gone)
end
local hold = call('HMGET', KEYS[3], 'state', 'asked', 'amount', 'lease', 'actual', 'born')
local state = hold[6] == list[1].born and hold[1] or nil
if state and state ~= 'voided' and hold[2] ~= ARGV[6] then
  return {'conflict', {hold[2]}, {}}
end
if state == 'settled' then
  return {'settled', {hold[3], hold[5]}, show(list, 1)}
end
if state == 'held' then
  if ends > tonumber(hold[4]) then
    call('HSET', KEYS[3], 'lease', ends)
    call('ZADD', KEYS[1], ends, member)
  end
  return {'again', {hold[3]}, show(touched(list), 1)}
end
if gone then
  return missing(gone)
end
local amount, refused = tonumber(ARGV[6]), nil
list, refused = ask(list, amount, member, tonumber(ARGV[8]), nil)
if refused then
  return refused
end
if hold[1] then
  call('DEL', KEYS[3])
end
call('HSET', KEYS[3], 'v', 1, 'state', 'held', 'asked', ARGV[6], 'amount', ARGV[6], 'lease',
  lapses, 'born', list[1].born)
call('ZADD', KEYS[1], lapses, member)
for _, a in ipairs(list) do
  reserved(a, amount, ARGV[6])
  set_trial(a, member)
end
note(own, 'reserved', ARGV[5], ARGV[6], own, '')
return {'ok', {ARGV[6]}, show(list, 1)}
