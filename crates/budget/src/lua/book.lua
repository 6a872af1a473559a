-- Books `amount` (a string of digits) on every account of the chain and moves the circuits.
local function book(list, kind, id, amount, member, text)
  local log = KEYS[4]
  for i = 1, #list do
    local a = list[i]
    a[SPENT] = call('HINCRBY', a[KEY], 'spent', amount)
    if a[CIRCUIT] ~= CLOSED or a[SPENT] > a[LIMIT] + 0 then
      rarely().judge(a, member)
    end
    if i > 1 then
      log = string.sub(KEYS[1], 1, -5) .. 'ledger:' .. a[NAME]
    end
    call('XADD', log, 'MAXLEN', '~', HISTORY, '*', 'kind', kind, 'id', id, 'amount', amount,
      'via', own, 'text', text)
  end
end
