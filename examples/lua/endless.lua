-- A program that never ends by itself: a worker with jobs in coroutines. Its host
-- kills it in the middle of whatever it is doing, without lua_close.
local queue, done = {}, {}

local function job(number)
  return coroutine.create(function()
    local words = {}
    for step = 1, 50 do
      words[step] = 'job ' .. number .. ' step ' .. step
      coroutine.yield()
    end
    done[number % 500] = table.concat(words, '; ')
  end)
end

local number = 0
while true do
  while #queue < 40 do
    number = number + 1
    queue[#queue + 1] = job(number)
  end
  for i = #queue, 1, -1 do
    assert(coroutine.resume(queue[i]))
    if coroutine.status(queue[i]) == 'dead' then table.remove(queue, i) end
  end
end
