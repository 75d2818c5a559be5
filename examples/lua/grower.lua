-- A program that honestly needs much: an index of 18 MiB, all of it in use.
local index, count = {}, 0
while collectgarbage('count') < 18 * 1024 do
  count = count + 1
  index[count] = { key = count * 7919 % 100003, name = 'entry ' .. count }
end
table.sort(index, function(a, b) return a.key < b.key end)
for i = 2, count do assert(index[i - 1].key <= index[i].key) end
return 'an index of ' .. count .. ' entries, sorted'
