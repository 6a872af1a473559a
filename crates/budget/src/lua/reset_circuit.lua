-- Lets an open circuit try one spending, and forgets the refusals counted so far.
-- ok | missing
local list, gone = chain(own)
if gone == own then
  return missing(own)
end
local account = list[1]
if account.circuit == OPEN then
  note(own, 'circuitReset', '', 0, own, '')
end
set_circuit(account, account.circuit == OPEN and HALF_OPEN or account.circuit)
call('HDEL', account.key, 'refusals')
return {'ok', {}, show(touched(list), 1)}
