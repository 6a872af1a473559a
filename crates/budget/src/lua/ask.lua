-- Asks every account of the chain for `amount`: the chain as it is now, then the reply that refuses,
-- or nothing. An open circuit is answered before anything is written.
local function ask(list, amount, member, skip)
  local calm = true
  for i = 1, #list do
    local a = list[i]
    if a[CIRCUIT] == OPEN then
      return list, {'open', a}
    end
    calm = calm and a[CIRCUIT] == CLOSED and not a[REFUSALS]
  end
  if reclaim(100, skip) > 0 then
    list = chain(own, KEYS[2])
  end
  local shut = not calm and rarely().open_circuit(list, member)
  if shut then
    return list, {'open', shut}
  end
  local refused
  for i = 1, #list do
    local a = list[i]
    if a[LIMIT] - a[SPENT] - a[RESERVED] < amount then
      list, refused = rarely().refuse(list, amount, skip)
      break
    end
  end
  if not calm and not refused then
    for _, a in ipairs(list) do
      if a[REFUSALS] then
        call('HDEL', a[KEY], 'refusals')
      end
    end
  end
  return list, refused
end
