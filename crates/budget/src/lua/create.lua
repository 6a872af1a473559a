-- Makes an account; the same arguments again find it as it is now.
-- ARGV[5] all arguments as one text  [6] limit  [7] ttl, ms, or ''  [8] thresholds '50,80'
-- ARGV[9] parent or ''  [10] most levels  [11] period or ''
-- ok | again | conflict | busy (an expired account that still has open holds) | deep | missing
reclaim(1000)
local known = call('HMGET', KEYS[2], 'args', 'expires', 'reserved')
if known[1] then
  if not known[2] or tonumber(known[2]) > now then
    local tag = known[1] == ARGV[5] and 'again' or 'conflict'
    return {tag, {}, show(chain(own), 1)}
  end
  if known[3] ~= '0' or has_holds() then
    return {'busy', {}, {}}
  end
end
if ARGV[9] ~= '' then
  local above, gone = chain(ARGV[9])
  if gone then
    return missing(gone)
  end
  if #above >= tonumber(ARGV[10]) then
    return {'deep', {}, {}}
  end
end
if known[1] then
  call('DEL', KEYS[2], KEYS[4])
end
call('HSET', KEYS[2], 'v', 1, 'args', ARGV[5], 'limit', ARGV[6], 'spent', 0, 'reserved', 0,
  'circuit', CLOSED, 'created', now, 'born', clock[1] .. '.' .. clock[2], 'thresholds', ARGV[8])
if ARGV[9] ~= '' then
  call('HSET', KEYS[2], 'parent', ARGV[9])
end
if ARGV[11] ~= '' then
  local _, ends = period_of(ARGV[11], now)
  call('HSET', KEYS[2], 'period', ARGV[11], 'ends', ends)
end
note(own, 'created', '', ARGV[6], own, '')
if ARGV[7] ~= '' then
  local ends = now + tonumber(ARGV[7])
  call('HSET', KEYS[2], 'expires', ends)
  call('PEXPIREAT', KEYS[2], ends + tonumber(retention))
  call('PEXPIREAT', KEYS[4], ends + tonumber(retention))
end
return {'ok', {}, show(chain(own), 1)}
