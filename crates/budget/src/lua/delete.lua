-- Removes the account and its ledger, unless money is still held. What its parents paid stays paid.
-- ok | busy {reserved} | missing
reclaim(1000)
local list, gone = chain(own, KEYS[2])
if gone == own then
  return {'missing', own}
end
if list[1][RESERVED] ~= '0' or rarely().has_holds() then
  return {'busy', list[1]}
end
call('DEL', KEYS[2], KEYS[4])
return {'ok'}
