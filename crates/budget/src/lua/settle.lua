-- Books what a hold came to and returns the rest, once per id. A hold whose lease ended is booked
-- all the same: the money is gone.
-- KEYS[3] hold
-- ARGV[5] id  [6] actual  [7] description
-- ok {held, late (1|0), spent before, per account} | again {the same, own account}
-- | conflict {actual booked} | voided | unknown | missing
local member = own .. '#' .. ARGV[5]
local list, gone = chain(own)
if not list[1] then
  return missing(gone)
end
local hold = call('HMGET', KEYS[3], 'state', 'amount', 'actual', 'before', 'born', 'late')
local state = hold[5] == list[1].born and hold[1] or nil
if not state then
  return {'unknown', {}, {}}
end
if state == 'voided' then
  return {'voided', {}, {}}
end
if state == 'settled' then
  if hold[3] ~= ARGV[6] then
    return {'conflict', {hold[3]}, {}}
  end
  return {'again', {hold[2], hold[6], hold[4]}, show(list)}
end
local late = 1
if state == 'held' then
  late = 0
  for _, a in ipairs(list) do
    reserved(a, -tonumber(hold[2]), '-' .. hold[2])
  end
  call('ZREM', KEYS[1], member)
end
book(list, 'settled', ARGV[5], ARGV[6], member, ARGV[7])
call('HSET', KEYS[3], 'state', 'settled', 'actual', ARGV[6], 'before', list[1].before,
  'late', late)
call('PEXPIRE', KEYS[3], retention)
local details = {hold[2], late}
for _, a in ipairs(list) do
  details[#details + 1] = a.before
end
return {'ok', details, show(touched(list))}
