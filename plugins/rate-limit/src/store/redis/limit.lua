-- Rate limits of Tidegate. A key holds "LEVEL TIME": how many requests are taken, and since when
-- (microseconds of this server's clock). The level falls by `requests` in a `window`; what is taken
-- may not raise it above `burst`. A key that is not there has the level 0.
-- ARGV: the mode, then for each key requests, window (microseconds), burst, want, least.
--   take    takes `want` from all keys if all admit `least`, else from none
--   lease   takes from each key that admits `least` as much of `want` as it admits
--   charge  takes `want` also beyond the burst, up to two bursts more
--   refund  gives `want` back
-- Answer, for each key: admitted (1 or 0), taken, remaining, and in microseconds the wait until `least`
-- is admitted (-1: never) and the time until the level is 0.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local mode = ARGV[1]
local all = true
local limits = {}
for i, key in ipairs(KEYS) do
  local at = (i - 1) * 5 + 2
  local limit = {
    requests = tonumber(ARGV[at]), window = tonumber(ARGV[at + 1]), burst = tonumber(ARGV[at + 2]),
    want = tonumber(ARGV[at + 3]), least = tonumber(ARGV[at + 4]), level = 0, taken = 0,
  }
  local kept = redis.call('GET', key)
  if kept then
    local level, since = string.match(kept, '^([%d%.e+-]+) (%d+)$')
    level, since = tonumber(level), tonumber(since)
    if not level or not since then
      return redis.error_reply('WRONGVALUE a key of a rate limit holds something else')
    end
    local passed = math.max(0, now - since)
    limit.level = math.max(0, level - passed * limit.requests / limit.window)
  end
  limit.free = limit.burst - limit.level
  limit.admitted = limit.free >= limit.least
  all = all and limit.admitted
  limits[i] = limit
end
local answer = {}
for i, key in ipairs(KEYS) do
  local limit = limits[i]
  local level = limit.level
  if mode == 'charge' then
    limit.admitted = true
    level = math.min(level + limit.want, math.max(level, 3 * limit.burst))
  elseif mode == 'refund' then
    limit.admitted = true
    level = math.max(0, level - limit.want)
  elseif mode == 'lease' and limit.admitted then
    limit.taken = math.min(limit.want, math.floor(limit.free))
  elseif mode == 'take' and all then
    limit.taken = limit.want
  end
  level = level + limit.taken
  local full = level * limit.window / limit.requests
  if level == 0 then
    redis.call('DEL', key)
  elseif level ~= limit.level then
    redis.call('SET', key, string.format('%.17g %.0f', level, now), 'PX', math.ceil(full / 1000) + 1)
  end
  local wait = 0
  if not limit.admitted then
    wait = limit.least > limit.burst and -1
      or math.ceil((limit.least - limit.free) * limit.window / limit.requests)
  end
  answer[i] = { limit.admitted and 1 or 0, limit.taken, math.max(0, math.floor(limit.burst - level)),
    wait, math.ceil(full) }
end
return answer
