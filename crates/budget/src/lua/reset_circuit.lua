-- Lets an open circuit try one spending, and forgets the refusals counted so far.
-- ok | missing
reclaim(100)
local list, gone = chain(own, KEYS[2])
if gone == own then
  return {'missing', own}
end
local account, rare = list[1], rarely()
if account[CIRCUIT] == OPEN then
  rare.note(own, 'circuitReset', '', 0, own, '')
end
rare.set_circuit(account, account[CIRCUIT] == OPEN and HALF_OPEN or account[CIRCUIT])
call('HDEL', account[KEY], 'refusals')
return {'ok', account}
