-- Gives leases back, each only if it is still ours.
-- KEYS: lk, wt of the 1st name, of the 2nd ..  ARGV: value of the lease, its holder.
-- Answers how many were ours, then by number those of them for which another holder waits.
local value, holder = ARGV[1], ARGV[2]
local answer = {0}
for first = 1, #KEYS, 2 do
  local now = redis.call('MGET', KEYS[first], KEYS[first + 1])
  if now[1] == value then
    redis.call('DEL', KEYS[first])
    answer[1] = answer[1] + 1
    if now[2] and now[2] ~= holder then answer[#answer + 1] = (first + 1) / 2 end
  end
end
return answer
