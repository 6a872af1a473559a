-- Returns the family's holds whose lease ended.
-- ARGV[5] most in this call
-- ok {returned}
return {'ok', {reclaim(tonumber(ARGV[5]))}, {}}
