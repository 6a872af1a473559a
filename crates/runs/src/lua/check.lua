-- Whether the attempt still holds the record. Writes nothing.
-- KEYS[1] record   ARGV[1] fence
-- Returns {'ok'} | a refusal.
return {refusal(KEYS[1], ARGV[1]) or 'ok'}
