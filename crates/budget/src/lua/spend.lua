-- Books an amount at once, once per key.
-- KEYS[3] marker of the key
-- ARGV[5] amount  [6] key  [7] description  [8] refusals that open the circuit
-- ok {spent before, per account} | again {the same, own account} | conflict {amount booked}
-- | missing | open | exceeded
local list, gone = chain(own)
local done = call('HMGET', KEYS[3], 'amount', 'before', 'born')
if done[1] and list[1] and done[3] == list[1].born then
  if done[1] ~= ARGV[5] then
    return {'conflict', {done[1]}, {}}
  end
  return {'again', {done[2]}, show(list)}
end
if gone then
  return missing(gone)
end
local amount = tonumber(ARGV[5])
local refused
list, refused = ask(list, amount, nil, tonumber(ARGV[8]), nil)
if refused then
  return refused
end
book(list, 'spent', ARGV[6], ARGV[5], false, ARGV[7])
call('HSET', KEYS[3], 'amount', ARGV[5], 'before', list[1].before, 'born', list[1].born)
call('PEXPIRE', KEYS[3], retention)
local details = {}
for i, a in ipairs(list) do
  details[i] = a.before
end
return {'ok', details, show(list)}
