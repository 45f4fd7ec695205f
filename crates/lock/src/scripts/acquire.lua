-- Takes the leases of several names, of all or of those that are free.
-- KEYS: lk, fc, gen, wt of the 1st name, of the 2nd ..
-- ARGV: value of the lease, its holder, time to live in ms, 'all' or 'free',
--       for how many ms a name counts as waited for by who was refused it
-- Answers {'stale', name, its generation or '', ..}: nothing taken, these need a new generation;
--         {'busy', name, ..}: nothing taken, all these are held by others;
--         {'taken', name, generation, counter, ..}: these were taken. Names by number.
local value, holder, ttl, want, patience = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local LAST = 4294967295

local stale, found = {'stale'}, {}
for first = 1, #KEYS, 4 do
  local now = redis.call('MGET', KEYS[first], KEYS[first + 1], KEYS[first + 2], KEYS[first + 3])
  local name = #found + 1
  found[name] = {first = first, held_by = now[1], generation = now[3], waiter = now[4]}
  -- A counter that is lost would begin again and make old tokens new; one that is used up would
  -- run into the generation.
  if not now[2] or not now[3] or tonumber(now[2]) >= LAST then
    stale[#stale + 1] = name
    stale[#stale + 1] = now[3] or ''
  end
end
if #stale > 1 then return stale end

local busy = {'busy'}
for name, now in ipairs(found) do
  if now.held_by then
    busy[#busy + 1] = name
    -- Who has it learns when giving it back that another holder waits; its own calls do not count.
    if string.sub(now.held_by, 1, #holder) ~= holder then
      redis.call('SET', KEYS[now.first + 3], holder, 'PX', patience)
    end
  end
end
if want == 'all' and #busy > 1 then return busy end

local taken = {'taken'}
for name, now in ipairs(found) do
  if not now.held_by then
    redis.call('SET', KEYS[now.first], value, 'PX', ttl)
    if now.waiter == holder then redis.call('DEL', KEYS[now.first + 3]) end
    taken[#taken + 1] = name
    taken[#taken + 1] = now.generation
    taken[#taken + 1] = redis.call('INCR', KEYS[now.first + 1])
  end
end
return taken
