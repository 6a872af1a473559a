-- Makes an account; the same arguments again find it as it is now.
-- ARGV[2] all arguments as one text  [3] limit  [4] ttl, ms, or ''  [5] thresholds '50,80'
-- ARGV[6] parent or ''  [7] most levels  [8] period or ''
-- ok | again | conflict | busy (an expired account that still has open holds) | deep
-- | missing
reclaim(1000)
local rare = rarely()
local known = call('HMGET', KEYS[2], 'args', 'expires', 'reserved')
if known[1] and (not known[2] or known[2] + 0 > now) then
  return {known[1] == ARGV[2] and 'again' or 'conflict', chain(own, KEYS[2])[1]}
end
if known[1] and (known[3] ~= '0' or rare.has_holds()) then
  return {'busy'}
end
if ARGV[6] ~= '' then
  local list, gone = chain(ARGV[6], rare.key('budget:', ARGV[6]))
  if gone then
    return {'missing', gone}
  end
  if #list >= ARGV[7] + 0 then
    return {'deep'}
  end
end
if known[1] then
  call('DEL', KEYS[2], KEYS[4])
end
call('HSET', KEYS[2], 'v', 1, 'args', ARGV[2], 'limit', ARGV[3], 'spent', 0, 'reserved', 0,
  'circuit', CLOSED, 'created', now, 'born', clock[1] .. '.' .. clock[2], 'thresholds', ARGV[5])
if ARGV[6] ~= '' then
  call('HSET', KEYS[2], 'parent', ARGV[6])
end
if ARGV[8] ~= '' then
  local _, ends = rare.period_of(ARGV[8], now)
  call('HSET', KEYS[2], 'period', ARGV[8], 'ends', ends)
end
rare.note(own, 'created', '', ARGV[3], own, '')
if ARGV[4] ~= '' then
  local ends = now + ARGV[4]
  call('HSET', KEYS[2], 'expires', ends)
  call('PEXPIREAT', KEYS[2], ends + RETENTION)
  call('PEXPIREAT', KEYS[4], ends + RETENTION)
end
return {'ok', chain(own, KEYS[2])[1]}
