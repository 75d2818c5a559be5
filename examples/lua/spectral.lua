-- A program that computes: the spectral norm of the infinite matrix
-- a(i, j) = 1 / ((i+j)(i+j+1)/2 + i+1), cut to n rows and columns, by the power method.
-- It knows nothing of its host. It returns one line that says what it found.
local n = 120

local function a(i, j)
  local d = i + j
  return 1.0 / (d * (d + 1) // 2 + i + 1)
end

-- y = A x, or its transpose. Each call makes a new table: work for the collector.
local function product(x, transposed)
  local y = {}
  for i = 0, n - 1 do
    local sum = 0.0
    for j = 0, n - 1 do
      sum = sum + (transposed and a(j, i) or a(i, j)) * x[j + 1]
    end
    y[i + 1] = sum
  end
  return y
end

local function dot(x, y)
  local sum = 0.0
  for i = 1, n do sum = sum + x[i] * y[i] end
  return sum
end

local u, v = {}, nil
for i = 1, n do u[i] = 1.0 end
for _ = 1, 10 do
  v = product(product(u, false), true)
  u = product(product(v, false), true)
end
local norm = math.sqrt(dot(u, v) / dot(v, v))
assert(math.abs(norm - 1.27422) < 1e-4, "wrong norm: " .. norm)
return string.format("spectral norm %.6f", norm)
