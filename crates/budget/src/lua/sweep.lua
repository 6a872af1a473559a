-- Returns the family's holds whose lease ended.
-- ARGV[2] most in this call
-- ok {returned}
return {'ok', reclaim(ARGV[2])}
