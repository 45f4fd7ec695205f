-- Gives leases back, each only if it is still ours.
-- KEYS: lk of the 1st name, of the 2nd ..  ARGV: value of the lease. Answers how many were ours.
local released = 0
for _, lease in ipairs(KEYS) do
  if redis.call('GET', lease) == ARGV[1] then
    redis.call('DEL', lease)
    released = released + 1
  end
end
return released
