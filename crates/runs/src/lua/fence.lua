-- Head of every script that writes for one attempt; prepended to it.
-- The record is a hash; its field `fence` names the attempt that holds it. Fences are whole
-- numbers below 2^53, so that Lua compares them exactly.

-- Why the attempt may not write, or nil if it holds the record.
local function refusal(key, fence)
  local held = redis.call('HGET', key, 'fence')
  if not held then
    return 'missing'
  end
  held, fence = tonumber(held), tonumber(fence)
  if held > fence then
    return 'superseded'
  end
  if held < fence then
    return 'unclaimed'
  end
  return nil
end

local function finished(key)
  return redis.call('HEXISTS', key, 'outcome') == 1
end

local function now_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- Pushes the expiry out to `ms` from now; never pulls it in.
local function live_at_least(key, ms)
  if redis.call('PTTL', key) < ms then
    redis.call('PEXPIRE', key, ms)
  end
end
