-- Whether `spend` would be granted now; counts nothing.
-- ARGV[2] amount
-- ok {1|0} with the whole chain | missing
reclaim(1000)
local list, gone = chain(own, KEYS[2])
if gone then
  return {'missing', gone}
end
local rare = rarely()
local refused = rare.open_circuit(list, nil) or rare.too_poor(list, ARGV[2] + 0)
return {'ok', refused and 0 or 1, unpack(list)}
