-- Reads the log of a channel, which is begun unless there is one.
--
-- KEYS: meta, stream
-- ARGV: a new epoch, the first offset to read, how many publications at most, how many bytes of them
-- (two may be larger: the first is one that the hub has already), age of meta in milliseconds
local meta = redis.call('HMGET', KEYS[1], 'e', 'o', 't')
if not meta[1] then
    redis.call('HSET', KEYS[1], 'e', ARGV[1])
    redis.call('DEL', KEYS[2])
    meta = {ARGV[1], false, false}
end
-- Not each time: it would be written to all replicas.
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[5]) / 2 then
    redis.call('PEXPIRE', KEYS[1], ARGV[5])
end
local entries, bytes, more, start = {}, 0, 0, ARGV[2] .. '-0'
-- Few at first: all that is looked at is held in memory, however large it is.
local count = 2
repeat
    local part = redis.call('XRANGE', KEYS[2], start, '+', 'COUNT', count)
    for _, entry in ipairs(part) do
        bytes = bytes + #(entry[2][4] or '')
        local full = #entries == tonumber(ARGV[3]) or bytes > tonumber(ARGV[4])
        if full and #entries > 1 then
            more = 1
            break
        end
        entries[#entries + 1] = entry
        start = '(' .. entry[1]
    end
    local is_last = #part < count
    count = math.min(2 * count, 16)
    if not is_last and bytes > tonumber(ARGV[4]) then
        local last = string.match(start, '%d+')
        more = tonumber(last) < tonumber(meta[2] or '0') and 1 or 0
        is_last = true
    end
until is_last or more == 1
return {meta[1], meta[2] or '0', meta[3] or '0', entries, more}
