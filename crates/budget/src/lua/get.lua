-- Reads the account.
-- ok | missing
reclaim(1000)
local list, gone = chain(own, KEYS[2])
if gone == own then
  return {'missing', own}
end
return {'ok', list[1]}
