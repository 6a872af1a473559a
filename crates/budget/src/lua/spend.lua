-- Books an amount at once, once per key.
-- KEYS[3] marker of the key
-- ARGV[2] key  [3] amount  [4] description
-- ok | again | conflict {amount booked} | missing | open | exceeded
local id, amount = ARGV[2], ARGV[3]
local list, gone = chain(own, KEYS[2])
local done = call('HMGET', KEYS[3], 'amount', 'before', 'born')
if done[1] and list[1] and done[3] == list[1][BORN] then
  if done[1] ~= amount then
    return {'conflict', done[1]}
  end
  for i = 1, #list do
    list[i][BEFORE] = i == 1 and done[2] or list[i][SPENT]
  end
  return {'again', unpack(list)}
end
if gone then
  return {'missing', gone}
end
local refused
list, refused = ask(list, amount + 0, nil)
if refused then
  return refused
end
book(list, 'spent', id, amount, false, ARGV[4])
call('HSET', KEYS[3], 'amount', amount, 'before', list[1][BEFORE], 'born', list[1][BORN])
call('PEXPIRE', KEYS[3], RETENTION)
return {'ok', unpack(list)}
