-- When the period of a moment began and when it ends, ms since 1970, in UTC; `period` is 'day' or
-- 'month'. Pure arithmetic, the same on every server.
local DAY = 86400000

-- How many days of its month are over before `day`, in days since 1970. Counted from the first of
-- March of the year 0, which puts the leap day at a year's end.
local function day_of_month(day)
  local shifted = day + 719468
  local in_era = shifted - math.floor(shifted / 146097) * 146097
  local year = math.floor((in_era - math.floor(in_era / 1460) + math.floor(in_era / 36524)
    - math.floor(in_era / 146096)) / 365)
  local in_year = in_era - (365 * year + math.floor(year / 4) - math.floor(year / 100))
  local month = math.floor((5 * in_year + 2) / 153)
  return in_year - math.floor((153 * month + 2) / 5)
end

local function period_of(period, moment)
  local day = math.floor(moment / DAY)
  if period == 'day' then
    return day * DAY, (day + 1) * DAY
  end
  local first = day - day_of_month(day)
  -- 31 days on is always in the next month.
  local later = first + 31
  return first * DAY, (later - day_of_month(later)) * DAY
end
