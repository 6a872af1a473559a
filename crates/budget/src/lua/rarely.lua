-- The body of `rarely`: what an operation needs when something out of the ordinary has happened.

-- A key of the family.
local function key(kind, name)
  return string.sub(KEYS[1], 1, -5) .. kind .. name
end

-- Writes a ledger entry of `account`; `via` is the account below it that was spent from.
local function note(account, kind, id, amount, via, text)
  call('XADD', key('ledger:', account), 'MAXLEN', '~', HISTORY, '*', 'kind', kind,
    'id', id, 'amount', amount, 'via', via, 'text', text)
end

-- Begins a new period of a periodic account at its first touch in it: nothing is spent yet, the
-- circuit is closed. What is held stays held, and counts in the period in which it is settled.
local function roll(a)
  local _, ends = period_of(a[PERIOD], now)
  note(a[NAME], 'rolledOver', '', a[SPENT], a[NAME], '')
  call('HSET', a[KEY], 'spent', 0, 'circuit', CLOSED, 'ends', ends)
  call('HDEL', a[KEY], 'trial', 'refusals')
  a[SPENT], a[BEFORE], a[CIRCUIT], a[TRIAL], a[REFUSALS], a[ENDS] = 0, 0, CLOSED, false, false, ends
end

local function set_circuit(a, circuit)
  if a[CIRCUIT] ~= circuit then
    call('HSET', a[KEY], 'circuit', circuit)
    a[CIRCUIT] = circuit
  end
  if a[TRIAL] then
    call('HDEL', a[KEY], 'trial')
    a[TRIAL] = false
  end
end

-- A half-open circuit lets one hold through.
local function set_trial(a, member)
  if a[CIRCUIT] == HALF_OPEN and a[TRIAL] ~= member then
    call('HSET', a[KEY], 'trial', member)
    a[TRIAL] = member
  end
end

-- Moves a circuit after a booking: over the limit opens it, a trial that stays within it closes it.
-- `member` is the hold, or false for spending without one, which is its own trial.
local function judge(a, member)
  if a[SPENT] + 0 > a[LIMIT] + 0 then
    set_circuit(a, OPEN)
  elseif a[CIRCUIT] == HALF_OPEN and a[TRIAL] == member then
    set_circuit(a, CLOSED)
  end
end

-- Takes what a hold of `account` holds off every account that it was put on, as far as they are the
-- same that they were then. A trial is over undecided. Who has read an account reads it again.
local function release(account, id, amount, born, up)
  local member = account .. '#' .. id
  local all = account .. '#' .. born .. ',' .. (up or '')
  for name, since in string.gmatch(all, '([^#]+)#([^,]+),') do
    local at = key('budget:', name)
    local found = call('HMGET', at, 'born', 'trial')
    if found[1] == since then
      if amount ~= '0' then
        call('HINCRBY', at, 'reserved', '-' .. amount)
      end
      if found[2] == member then
        call('HDEL', at, 'trial')
      end
    end
  end
end

-- Returns the holds `due`, except `skip`. Answers how many.
local function give_back(due, skip)
  local returned = 0
  for _, member in ipairs(due) do
    if member ~= skip then
      local account, id = string.match(member, '^([^#]*)#(.*)$')
      local record = key('hold:', member)
      local hold = call('HMGET', record, 'state', 'amount', 'born', 'above')
      call('ZREM', KEYS[1], member)
      if hold[1] == 'held' then
        release(account, id, hold[2], hold[3], hold[4])
        call('HSET', record, 'state', 'returned')
        call('PEXPIRE', record, RETENTION)
        if call('HGET', key('budget:', account), 'born') == hold[3] then
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

-- The first account that refuses by its circuit. `member` may be a half-open circuit's one trial.
local function open_circuit(list, member)
  for _, a in ipairs(list) do
    if a[CIRCUIT] == OPEN or (a[CIRCUIT] == HALF_OPEN and a[TRIAL] and a[TRIAL] ~= member) then
      return a
    end
  end
end

-- The first account that has not `amount` left.
local function too_poor(list, amount)
  for _, a in ipairs(list) do
    if a[LIMIT] - a[SPENT] - a[RESERVED] < amount then
      return a
    end
  end
end

-- Looks for more holds to return, since somebody has too little. If nothing helps, counts the refusal
-- where no returned hold could cure it: a caller that goes on asking for more than its budget meets an
-- open circuit. Answers as `ask` does.
local function refuse(list, amount, skip)
  if reclaim(5000, skip) > 0 then
    list = chain(own, KEYS[2])
  end
  local poor = too_poor(list, amount)
  if not poor then
    return list
  end
  if amount > poor[LIMIT] - poor[SPENT] then
    if poor[CIRCUIT] == HALF_OPEN then
      set_circuit(poor, OPEN)
    elseif REFUSALS_TO_OPEN > 0
      and call('HINCRBY', poor[KEY], 'refusals', 1) >= REFUSALS_TO_OPEN then
      set_circuit(poor, OPEN)
    end
  end
  return list, {'exceeded', poor}
end

return {
  key = key, note = note, roll = roll, set_circuit = set_circuit, set_trial = set_trial, judge = judge,
  release = release, give_back = give_back, has_holds = has_holds, open_circuit = open_circuit,
  too_poor = too_poor, refuse = refuse, period_of = period_of,
}
