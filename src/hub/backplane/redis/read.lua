-- Reads the log of a channel, which is begun unless there is one.
--
-- KEYS: meta, stream
-- ARGV: a new epoch, the first offset to read, how many publications, age of meta in milliseconds
local meta = redis.call('HMGET', KEYS[1], 'e', 'o', 't')
if not meta[1] then
    redis.call('HSET', KEYS[1], 'e', ARGV[1])
    redis.call('DEL', KEYS[2])
    meta = {ARGV[1], false, false}
end
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return {
    meta[1], meta[2] or '0', meta[3] or '0',
    redis.call('XRANGE', KEYS[2], ARGV[2] .. '-0', '+', 'COUNT', ARGV[3])
}
