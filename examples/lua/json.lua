-- A program that parses: it builds a document, writes it as JSON, reads that text
-- back, writes it again and compares. Strings with every escape, numbers, deep nesting.
local escapes = {
  ['"'] = '\\"', ['\\'] = '\\\\', ['\b'] = '\\b', ['\f'] = '\\f',
  ['\n'] = '\\n', ['\r'] = '\\r', ['\t'] = '\\t',
}
local plain = {}
for char, text in pairs(escapes) do plain[text:sub(2)] = char end
plain['/'] = '/'

local function quote(text)
  return '"' .. text:gsub('[%c"\\]', function(char)
    return escapes[char] or string.format('\\u%04x', char:byte())
  end) .. '"'
end

local encode
local function encode_table(value, out)
  if #value > 0 or next(value) == nil then
    out[#out + 1] = '['
    for i, item in ipairs(value) do
      if i > 1 then out[#out + 1] = ',' end
      encode(item, out)
    end
    out[#out + 1] = ']'
    return
  end
  local keys = {} -- sorted, so that equal tables give equal text
  for key in pairs(value) do keys[#keys + 1] = key end
  table.sort(keys)
  out[#out + 1] = '{'
  for i, key in ipairs(keys) do
    if i > 1 then out[#out + 1] = ',' end
    out[#out + 1] = quote(key)
    out[#out + 1] = ':'
    encode(value[key], out)
  end
  out[#out + 1] = '}'
end

function encode(value, out)
  if type(value) == 'table' then encode_table(value, out)
  elseif type(value) == 'string' then out[#out + 1] = quote(value)
  elseif math.type(value) == 'float' then out[#out + 1] = string.format('%.17g', value)
  else out[#out + 1] = tostring(value) end
end

local function to_json(value)
  local out = {}
  encode(value, out)
  return table.concat(out)
end

local decode -- (text, position) -> value, next position

local function skip(text, at) return text:find('%S', at) or #text + 1 end

local function decode_string(text, at)
  local parts, from = {}, at + 1
  while true do
    local stop = assert(text:find('["\\]', from), 'string without an end')
    parts[#parts + 1] = text:sub(from, stop - 1)
    if text:byte(stop) == 34 then return table.concat(parts), stop + 1 end
    local code = text:sub(stop + 1, stop + 1)
    if code == 'u' then
      parts[#parts + 1] = utf8.char(tonumber(text:sub(stop + 2, stop + 5), 16))
      from = stop + 6
    else
      parts[#parts + 1] = assert(plain[code], 'bad escape')
      from = stop + 2
    end
  end
end

local function decode_list(text, at, close, item)
  at = skip(text, at + 1)
  if text:sub(at, at) == close then return at + 1 end
  while true do
    at = skip(text, item(at))
    local char = text:sub(at, at)
    if char == close then return at + 1 end
    assert(char == ',', 'expected a comma or ' .. close)
    at = skip(text, at + 1)
  end
end

local words = { ['true'] = true, ['false'] = false }

function decode(text, at)
  at = skip(text, at)
  local char = text:sub(at, at)
  local result = {}
  if char == '"' then return decode_string(text, at) end
  if char == '[' then
    local stop = decode_list(text, at, ']', function(from)
      local value, following = decode(text, from)
      result[#result + 1] = value
      return following
    end)
    return result, stop
  end
  if char == '{' then
    local stop = decode_list(text, at, '}', function(from)
      local key, colon = decode_string(text, from)
      colon = skip(text, colon)
      assert(text:sub(colon, colon) == ':', 'expected a colon')
      local value, following = decode(text, colon + 1)
      result[key] = value
      return following
    end)
    return result, stop
  end
  local word = text:match('^%a+', at)
  if word then
    assert(words[word] ~= nil, 'unknown word')
    return words[word], at + #word
  end
  local number = assert(text:match('^-?[%d.eE+-]+', at), 'expected a value')
  return assert(tonumber(number), 'bad number'), at + #number
end

-- The document: orders of a shop, with all that makes encoders stumble.
local orders = {}
for i = 1, 800 do
  local lines = {}
  for k = 1, i % 7 + 1 do
    lines[k] = { article = 'article ' .. (i * 31 + k) % 97, price = (i * k % 1000) / 8, count = k }
  end
  orders[i] = {
    id = i, paid = i % 3 == 0, lines = lines, weight = i / 3,
    note = ('quote " slash \\ tab \t bell \7 line %d\n'):format(i),
    name = 'K\u{e4}thchen \u{4f60}\u{597d} ' .. string.char(65 + i % 26):rep(i % 40),
  }
end

local first = to_json { orders = orders, empty = {} }
local again, stop = decode(first, 1)
assert(stop == #first + 1, 'text left over')
assert(to_json(again) == first, 'round trip differs')
assert(not pcall(decode, '{"cut": [1, 2', 1), 'broken text accepted')
return string.format('%d KiB of JSON, there and back', #first // 1024)
