-- Reads the account.
-- ok | missing
reclaim(1000)
local list, gone = chain(own)
if gone == own then
  return missing(own)
end
return {'ok', {}, show(list, 1)}
