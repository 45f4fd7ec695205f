-- Takes the leases of several names, of all or of those that are free.
-- KEYS: lk, fc, gen of the 1st name, of the 2nd ..
-- ARGV: value of the lease, time to live in ms, 'all' or 'free'
-- Answers {'stale', name, its generation or '', ..}: nothing taken, these need a new generation;
--         {'busy', name, ..}: nothing taken, all these are held by others;
--         {'taken', name, generation, counter, ..}: these were taken. Names by number.
local value, ttl, want = ARGV[1], ARGV[2], ARGV[3]
local names = #KEYS / 3
local LAST = 4294967295

local stale = {'stale'}
for name = 1, names do
  local count = redis.call('GET', KEYS[name * 3 - 1])
  local generation = redis.call('GET', KEYS[name * 3])
  -- A counter that is lost would begin again and make old tokens new; one that is used up would
  -- run into the generation.
  if not generation or not count or tonumber(count) >= LAST then
    stale[#stale + 1] = name
    stale[#stale + 1] = generation or ''
  end
end
if #stale > 1 then return stale end

if want == 'all' then
  local busy = {'busy'}
  for name = 1, names do
    if redis.call('EXISTS', KEYS[name * 3 - 2]) == 1 then busy[#busy + 1] = name end
  end
  if #busy > 1 then return busy end
end

local taken = {'taken'}
for name = 1, names do
  if redis.call('SET', KEYS[name * 3 - 2], value, 'NX', 'PX', ttl) then
    taken[#taken + 1] = name
    taken[#taken + 1] = redis.call('GET', KEYS[name * 3])
    taken[#taken + 1] = redis.call('INCR', KEYS[name * 3 - 1])
  end
end
return taken
