-- A program whose garbage outgrows its limit although it keeps little: it renders
-- pages, remembers the newest hundred, and has turned its own collector off. When
-- its limit is reached the host's handler lends it a little and has it collected.
collectgarbage('stop')

local newest, total = {}, 0
for page = 1, 6000 do
  local rows = {}
  for row = 1, 20 do
    rows[row] = { cell = page * row, text = 'page ' .. page .. ' row ' .. row }
  end
  local lines = {}
  for row = 1, #rows do lines[row] = rows[row].text end
  newest[page % 100 + 1] = lines
  total = total + #lines
end
assert(total == 6000 * 20)
for _, lines in ipairs(newest) do
  assert(#lines == 20 and lines[20]:match('^page %d+ row 20$'))
end
return total .. ' rows rendered'
