-- A program that searches: all ways to put n queens on a board so that none attacks
-- another. Each board found is kept as a string, so it also allocates all the time.
local n, expected = 10, 724
local boards = {}

local function place(row, taken, up, down, columns)
  if row > n then
    boards[#boards + 1] = table.concat(columns, ' ')
    return
  end
  for column = 1, n do
    if not (taken[column] or up[row + column] or down[row - column + n]) then
      taken[column], up[row + column], down[row - column + n] = true, true, true
      columns[row] = column
      place(row + 1, taken, up, down, columns)
      taken[column], up[row + column], down[row - column + n] = nil, nil, nil
    end
  end
  columns[row] = nil
end

place(1, {}, {}, {}, {})
assert(#boards == expected, 'found ' .. #boards)
table.sort(boards)
assert(boards[1] < boards[#boards])
return string.format('%d boards with %d queens', #boards, n)
