-- Admits or refuses one request of KEYS[1] by the generic cell rate algorithm. ARGV is the window in
-- microseconds and the number of requests in it. Returns whether the request is admitted, the
-- microseconds until another one would be, and those until the whole quota is free again.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
-- Whole microseconds: fractions would add up to a refusal at the end of a burst.
local interval = math.floor(ARGV[1] / ARGV[2])
local window = interval * ARGV[2]
-- The time at which the quota is free again. It is never further away than one window: a server
-- whose clock was set back would refuse for as long as it was set back.
local free_at = tonumber(redis.call('GET', KEYS[1]) or now)
free_at = math.min(math.max(free_at, now), now + window)
local wait = free_at + interval - window - now
if wait > 0 then
  return {0, wait, free_at - now}
end
free_at = free_at + interval
redis.call('SET', KEYS[1], string.format('%.0f', free_at), 'PX', math.ceil((free_at - now) / 1000))
return {1, math.max(free_at + interval - window - now, 0), free_at - now}
