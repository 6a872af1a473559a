-- Put in front of every operation. One account family is one hash slot, and an operation is one
-- call: nothing can come between its reads and its writes.
--
-- KEYS[1] leases of the family's holds: member `<account>#<id>`, scored by the lease's end, ms
-- KEYS[2] the account     KEYS[3] the operation's own record (hold or marker), or KEYS[2] again
-- KEYS[4] the account's ledger (stream)
-- ARGV[1] prefix of the family's keys   ARGV[2] account   ARGV[3] ms that ended records are kept
-- ARGV[4] ledger entries kept           ARGV[5...] the operation's own
--
-- Amounts are whole nano-USD below 2^53, exact in a Lua number. They leave Lua only as arguments of
-- redis.call, which prints 17 digits, as the strings that Redis gave, or as integer replies: `..`,
-- tostring and cjson keep 14 digits.
--
-- Reply: {tag, {details}, {accounts as `show` puts them}}.

local call = redis.call
local base, own = ARGV[1], ARGV[2]
local retention, history = ARGV[3], ARGV[4]
local clock = call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local CLOSED, OPEN, HALF_OPEN = '0', '1', '2'

-- Whole milliseconds as text.
local function digits(moment)
  return string.format('%.0f', moment)
end

-- Writes a ledger entry of `account`; `via` is the account below it that was spent from.
local function note(account, kind, id, amount, via, text)
  call('XADD', base .. 'ledger:' .. account, 'MAXLEN', '~', history, '*', 'kind', kind,
    'id', id, 'amount', amount, 'via', via, 'text', text)
end

-- Begins a new period of a periodic account at its first touch in it: nothing is spent yet, the
-- circuit is closed. What is held stays held, and counts in the period in which it is settled.
local function roll(a)
  if now < tonumber(a.ends) then
    return
  end
  local _, ends = period_of(a.period, now)
  note(a.name, 'rolledOver', '', a.before, a.name, '')
  call('HSET', a.key, 'spent', 0, 'circuit', CLOSED, 'ends', ends)
  call('HDEL', a.key, 'trial', 'refusals')
  a.spent, a.before, a.circuit, a.trial, a.refusals, a.ends = 0, '0', CLOSED, false, false, ends
end

-- The account and those above it, as far as they exist; then the name of the first that does not,
-- or that has expired. An expired account takes no new spending, but what is open is still booked.
-- Who writes a sum or a circuit keeps the table in step: it is what the reply shows.
local function chain(name)
  local list, gone = {}, nil
  while name and #list < 16 do
    local key = base .. 'budget:' .. name
    local f = call('HMGET', key, 'limit', 'spent', 'reserved', 'circuit', 'trial', 'parent',
      'expires', 'born', 'refusals', 'created', 'thresholds', 'period', 'ends')
    if not f[1] then
      return list, gone or name
    end
    list[#list + 1] = {
      name = name, key = key, limit = tonumber(f[1]), spent = tonumber(f[2]),
      reserved = tonumber(f[3]), circuit = f[4], trial = f[5], expires = f[7], born = f[8],
      refusals = f[9], created = f[10], thresholds = f[11], before = f[2],
      period = f[12], ends = f[13],
    }
    if f[12] then
      roll(list[#list])
    end
    if f[7] and tonumber(f[7]) <= now then
      gone = gone or name
    end
    name = f[6]
  end
  return list, gone
end

-- The first `count` accounts, or all.
local function show(list, count)
  local shown = {}
  for i = 1, count or #list do
    local a = list[i]
    shown[i] = {a.limit, a.spent, a.reserved, a.circuit, a.created, a.expires, a.thresholds, a.name,
      a.period, a.ends}
  end
  return shown
end

-- `text` is the amount as it goes to Redis: faster than a number, which has to be printed.
local function reserved(a, amount, text)
  if amount ~= 0 then
    call('HINCRBY', a.key, 'reserved', text or amount)
    a.reserved = a.reserved + amount
  end
end

local function set_circuit(a, circuit)
  if a.circuit ~= circuit then
    call('HSET', a.key, 'circuit', circuit)
    a.circuit = circuit
  end
  if a.trial then
    call('HDEL', a.key, 'trial')
    a.trial = false
  end
end

local function set_trial(a, member)
  if a.circuit == HALF_OPEN and a.trial ~= member then
    call('HSET', a.key, 'trial', member)
    a.trial = member
  end
end

local function missing(name)
  return {'missing', {name}, {}}
end

-- Takes a hold's amount off the reserved sums; a trial is over undecided.
local function release(list, member, amount)
  for _, a in ipairs(list) do
    reserved(a, -amount)
    if a.trial == member then
      set_circuit(a, a.circuit)
    end
  end
end

-- Returns holds whose lease ended, at most `most`, except `skip`. Answers how many.
local function reclaim(most, skip)
  local due = call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, most)
  local returned = 0
  for _, member in ipairs(due) do
    if member ~= skip then
      local account, id = string.match(member, '^([^#]*)#(.*)$')
      local key = base .. 'hold:' .. member
      local hold = call('HMGET', key, 'state', 'amount', 'born')
      call('ZREM', KEYS[1], member)
      if hold[1] == 'held' then
        local list = chain(account)
        release(list, member, tonumber(hold[2]))
        call('HSET', key, 'state', 'returned')
        call('PEXPIRE', key, retention)
        if list[1] then
          note(account, 'returned', id, hold[2], account, '')
        end
        returned = returned + 1
      end
    end
  end
  return returned
end

-- Whether a hold of the account itself is open, if only for nothing.
local function has_holds()
  local start = own .. '#'
  for _, member in ipairs(call('ZRANGE', KEYS[1], 0, -1)) do
    if string.sub(member, 1, #start) == start then
      return true
    end
  end
  return false
end

-- The first account whose circuit refuses. `member` may be a half-open circuit's one trial.
local function open_circuit(list, member)
  for _, a in ipairs(list) do
    if a.circuit == OPEN or (a.circuit == HALF_OPEN and a.trial and a.trial ~= member) then
      return a
    end
  end
end

-- The first account that has not `amount` left.
local function too_poor(list, amount)
  for _, a in ipairs(list) do
    if a.limit - a.spent - a.reserved < amount then
      return a
    end
  end
end

-- Answers a refusal and counts it, if no returned hold could cure it: a caller that goes on asking
-- for more than its budget meets an open circuit after `most` such refusals in a row (0: never).
local function refuse(a, amount, most)
  if amount > a.limit - a.spent then
    if a.circuit == HALF_OPEN then
      set_circuit(a, OPEN)
    elseif most > 0 and call('HINCRBY', a.key, 'refusals', 1) >= most then
      set_circuit(a, OPEN)
    end
  end
  return {'exceeded', {}, show({a})}
end

-- Asks every account of the chain for `amount`: the chain as it is now, then the reply that refuses,
-- or nothing. An open circuit is answered before anything is written.
local function ask(list, amount, member, most, skip)
  local shut = open_circuit(list, nil)
  if shut and shut.circuit == OPEN then
    return list, {'open', {}, show({shut})}
  end
  if reclaim(100, skip) > 0 then
    list = chain(own)
  end
  shut = open_circuit(list, member)
  if shut then
    return list, {'open', {}, show({shut})}
  end
  local poor = too_poor(list, amount)
  if poor and reclaim(5000, skip) > 0 then
    list = chain(own)
    poor = too_poor(list, amount)
  end
  if poor then
    return list, refuse(poor, amount, most)
  end
  for _, a in ipairs(list) do
    if a.refusals then
      call('HDEL', a.key, 'refusals')
    end
  end
  return list
end

-- Books `amount` (a string of digits) on every account of the chain, and moves the circuits: over
-- the limit opens them, a trial that stays within it closes them. `member` is the hold, or false for
-- spending without one, which is its own trial.
local function book(list, kind, id, amount, member, text)
  for _, a in ipairs(list) do
    call('HINCRBY', a.key, 'spent', amount)
    a.spent = a.spent + tonumber(amount)
    if a.spent > a.limit then
      set_circuit(a, OPEN)
    elseif a.circuit == HALF_OPEN and a.trial == member then
      set_circuit(a, CLOSED)
    end
    note(a.name, kind, id, amount, own, text)
  end
end

-- The chain as it is after other holds were returned.
local function touched(list)
  if reclaim(100) > 0 then
    return (chain(own))
  end
  return list
end
