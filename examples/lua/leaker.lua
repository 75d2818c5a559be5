-- A program that leaks: it keeps everything it ever made, until there is no more
-- memory. Lua turns that into a clean error, "not enough memory".
local kept = {}
while true do
  local entry = { id = #kept, text = 'request number ' .. #kept }
  entry.handler = function() return entry.text end
  kept[#kept + 1] = entry
end
