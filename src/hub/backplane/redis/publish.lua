-- Appends a message to the log of a channel and passes it on, in one step.
--
-- KEYS: meta, stream, channel of pub/sub, and, if there is one, the idempotency key
-- ARGV: a new epoch, content, history size, history age, age of meta, age of the idempotency key (all
-- in milliseconds), PUBLISH or SPUBLISH
if KEYS[4] then
    local first = redis.call('GET', KEYS[4])
    if first then
        return {1, first}
    end
end
local time = redis.call('TIME')
local millis = time[1] .. string.format('%03d', math.floor(tonumber(time[2]) / 1000))
local epoch = redis.call('HGET', KEYS[1], 'e')
if not epoch then
    epoch = ARGV[1]
    redis.call('HSET', KEYS[1], 'e', epoch)
    -- Left over from a log whose meta was evicted.
    redis.call('DEL', KEYS[2])
end
local offset = redis.call('HINCRBY', KEYS[1], 'o', 1)
redis.call('HSET', KEYS[1], 't', millis)
redis.call('PEXPIRE', KEYS[1], ARGV[5])
local position = string.format('%s-%.0f', epoch, offset)
if tonumber(ARGV[3]) > 0 then
    local function append()
        return redis.pcall('XADD', KEYS[2], 'MAXLEN', '=', ARGV[3],
            string.format('%.0f-0', offset), 't', millis, 'c', ARGV[2])
    end
    if append().err then
        -- It holds what comes later in no log that there is.
        redis.call('DEL', KEYS[2])
        append()
    end
    redis.call('PEXPIRE', KEYS[2], ARGV[4])
end
redis.call(ARGV[7], KEYS[3], position .. ':' .. millis .. ':' .. ARGV[2])
if KEYS[4] then
    redis.call('SET', KEYS[4], position, 'PX', ARGV[6])
end
return {0, position}
