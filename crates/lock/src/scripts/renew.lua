-- Begins a new generation of several names, each unless somebody else has done so.
-- KEYS: fc, gen of the 1st name, of the 2nd ..
-- ARGV: the new generation, then the generation seen of every name ('' for none).
-- Answers how many were renewed.
local next = ARGV[1]
local renewed = 0
for name = 1, #KEYS / 2 do
  local counter, generation = KEYS[name * 2 - 1], KEYS[name * 2]
  local now = redis.call('GET', generation) or ''
  -- A generation never goes back, whatever it is told.
  if now == ARGV[name + 1] and (now == '' or tonumber(next) > tonumber(now)) then
    redis.call('SET', generation, next)
    redis.call('SET', counter, 0)
    renewed = renewed + 1
  end
end
return renewed
