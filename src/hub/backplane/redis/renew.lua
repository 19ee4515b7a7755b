-- Ends the log of a channel, if it still has that epoch: the next to use it begins another.
--
-- KEYS: meta, stream
-- ARGV: the epoch
if redis.call('HGET', KEYS[1], 'e') == ARGV[1] then
    redis.call('DEL', KEYS[1], KEYS[2])
end
return 0
