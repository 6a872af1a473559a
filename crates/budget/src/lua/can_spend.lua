-- Whether `spend` would be granted now; counts nothing.
-- ARGV[5] amount
-- ok {1|0} with the whole chain | missing
reclaim(1000)
local list, gone = chain(own)
if gone then
  return missing(gone)
end
local granted = 1
if open_circuit(list, nil) or too_poor(list, tonumber(ARGV[5])) then
  granted = 0
end
return {'ok', {granted}, show(list)}
