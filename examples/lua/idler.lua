-- A program that sits on garbage: it stops its collector, makes 10 MiB of objects
-- that nothing refers to any more, and then waits for work that never comes.
collectgarbage('stop')
local last
while collectgarbage('count') < 10 * 1024 do
  last = { 'garbage', { last and #last } }
end
last = nil
while true do end
