-- In front of every operation. One account family is one hash slot, and an operation is one call:
-- nothing can come between its reads and its writes.
--
-- KEYS[1] leases of the family's holds: member `<account>#<id>`, scored by the lease's end, ms
-- KEYS[2] the account     KEYS[3] the operation's own record (hold or marker), or KEYS[2] again
-- KEYS[4] the account's ledger (stream)
-- ARGV[1] account   ARGV[2...] the operation's own
-- Written in as the scripts are put together (script.rs): RETENTION (ms that ended records are kept),
-- HISTORY (ledger entries kept), REFUSALS_TO_OPEN (in a row that open a circuit, 0: never), the circuit's
-- CLOSED, OPEN and HALF_OPEN, and in brackets the places in an account's table, such as [SPENT].
--
-- Amounts are whole nano-USD below 2^53, exact in a Lua number; text is made a number by arithmetic.
-- They leave Lua only as arguments of redis.call, which prints 17 digits, as the strings that Redis
-- gave, or as integer replies: `..`, tostring and cjson keep 14 digits. Moments in ms have 13.
--
-- Lua makes each `local function` anew in every call, so here is only what nearly every call needs;
-- the rest is made by `rarely` when it comes to that.
--
-- Reply: {tag, details..., accounts...}; an account is its table.

local call, own = redis.call, ARGV[1]
local clock = call('TIME')
local now = clock[1] * 1000 + (clock[2] - clock[2] % 1000) / 1000
local rarely

-- The account and those above it, as far as they exist; then the name of the first that does not,
-- or that has expired; then those above as a hold remembers them, `<name>#<born>,` each. An expired
-- account takes no new spending, but what is open is still booked. Who writes a sum or a circuit keeps
-- the table in step: it is what the reply shows.
local function chain(name, key)
  local list, gone, up = {}, nil, ''
  for level = 1, 16 do
    local a = call('HMGET', key, 'limit', 'spent', 'reserved', 'circuit', 'trial', 'parent',
      'expires', 'born', 'refusals', 'created', 'thresholds', 'period', 'ends')
    if not a[LIMIT] then
      return list, gone or name, up
    end
    a[NAME], a[KEY], a[BEFORE] = name, key, a[SPENT]
    list[level] = a
    if a[ENDS] and now >= a[ENDS] + 0 then
      rarely().roll(a)
    end
    if a[EXPIRES] and a[EXPIRES] + 0 <= now then
      gone = gone or name
    end
    if level > 1 then
      up = up .. name .. '#' .. a[BORN] .. ','
    end
    name = a[PARENT]
    if not name then
      break
    end
    key = string.sub(KEYS[1], 1, -5) .. 'budget:' .. name
  end
  return list, gone, up
end

-- Returns holds whose lease ended, at most `most`, except `skip`. Answers how many.
local function reclaim(most, skip)
  local due = call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, most)
  return due[1] and rarely().give_back(due, skip) or 0
end
