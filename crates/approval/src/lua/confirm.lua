-- Ends a claim: remembers that the message was sent, or gives the claim up.
-- KEYS[1] claim   ARGV[1] token of the claimer   ARGV[2] how long to remember, ms; 0 gives up
-- A claim that has ended and is another's now is left alone.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  if tonumber(ARGV[2]) > 0 then
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
  else
    redis.call('DEL', KEYS[1])
  end
end
