"""Index of the audit by team: for each team a stream with the ids of its entries, without content.

So the few entries of a team among hundreds of thousands of others are found without reading the others (ADR-0024). A
script that writes an entry of a team adds its id to the team's stream in the same step, and trimming removes it.

Entries of an older version are in no index. So a hash has the id ``since``, after which all entries are indexed, and
the id of the ``last`` entry that an indexing script wrote. When the newest entry of the audit is another one, it was
written otherwise (by an older version during an upgrade, a restored backup, a person), and everything up to it counts
as not indexed: readers examine those entries one by one, until they are trimmed.
"""

from authsvc.store import keys
from authsvc.store.audit_size import ADD_TO_STREAM

ADD_TO_AUDIT = (
    ADD_TO_STREAM
    + f"""
local index_state = '{keys.AUDIT_INDEX}'
local function check_index(stream)
  local newest = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
  newest = newest and newest[1] or '0-0'
  if redis.call('HGET', index_state, 'last') ~= newest then
    redis.call('HSET', index_state, 'since', newest, 'last', newest)
  end
end
local function add_to_audit(stream, size, fields, team)
  if team ~= '' then
    fields[#fields + 1] = 'team'
    fields[#fields + 1] = team
  end
  local id = add_to_stream(stream, size, fields)
  redis.call('HSET', index_state, 'last', id)
  if team ~= '' then
    local added = redis.pcall('XADD', '{keys.AUDIT_TEAM}' .. team, id, 'e', '')
    if type(added) == 'table' and added.err then redis.call('HSET', index_state, 'since', id) end
  end
end
"""
)
"""Lua that writes to the audit: ``check_index(stream)``, once before ``add_to_audit(stream, size, fields, team)``; the
team is empty for an entry that belongs to none."""

CHUNK = 50
"""Ids of an index that are read at once."""

SCANNED = 8
"""Entries of the audit that are read at once; after one with a field that is too long, each is read by itself."""

READ_AUDIT = f"""
local stream, forward, start, stop = KEYS[1], ARGV[1] == 'after', ARGV[2], ARGV[3]
local limit, most, most_bytes, most_field = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local wanted = cjson.decode(ARGV[8])
local packed, id, team = ARGV[9], wanted.request_id, wanted.team
local found, read, seen, last = {{}}, 0, 0, ''

local scanned, find, sub = {SCANNED}, string.find, string.sub

local function has_one(text, texts)
  for index = 1, #texts do
    if find(text, texts[index], 1, true) then return true end
  end
  return false
end

local function begins_later(entry) -- than wanted.begun_by, if the entry begins with an instant of UTC
  return sub(entry, 8, 26) > wanted.begun_by and find(entry, '^{{"at":"[%d-]+T[%d:.]+%+00:00"')
end

local function is_wanted(entry, ids, of_team, indexed)
  if wanted.begun_by ~= '' and begins_later(entry) then return false end
  if team ~= '' and not indexed then
    if of_team and of_team ~= team then return false end
    if not of_team and not has_one(entry, wanted.names) then return false end
  end
  if id ~= '' and not (packed ~= '' and find(ids, packed, 1, true)) and not find(entry, id, 1, true) then
    return false
  end
  if wanted.repeated and sub(entry, -10) == '"count":1}}' then return false end
  local clauses = wanted.clauses
  for index = 1, #clauses do
    if not has_one(entry, clauses[index]) then return false end
  end
  return true
end

local function look(row, indexed)
  local fields, entry, ids, team_of = row[2], '', '', nil
  local size = entry_size(fields)
  for index = 1, #fields, 2 do
    local name, value = fields[index], fields[index + 1]
    if name == 'entry' then entry = value elseif name == 'ids' then ids = value end
    if name == 'team' then team_of = value end
  end
  seen, read, last = seen + 1, read + size, row[1]
  if #entry > most_field or #ids > most_field then scanned = 1 end
  if is_wanted(entry, ids, team_of, indexed) then
    found[#found + 1] = {{row[1], sub(entry, 1, most_field), sub(ids, 1, most_field), #entry, size, team_of or ''}}
  end
end

local function has_room() return #found < limit and read < most_bytes and seen < most end

local function parts(bound)
  local milliseconds, number = string.match(bound, '(%d+)-(%d+)')
  return tonumber(milliseconds), tonumber(number)
end

local function is_before(one, other) -- ids, or bounds that are not '-' and '+'
  local first, first_number = parts(one)
  local second, second_number = parts(other)
  return first < second or (first == second and first_number < second_number)
end

local function range(key, from, to, count)
  if forward then return redis.call('XRANGE', key, from, to, 'COUNT', count) end
  if from ~= '+' then
    -- For a bound before the first entry Redis goes through the whole stream from its end, to find nothing.
    local first = redis.call('XRANGE', key, '-', '+', 'COUNT', 1)[1]
    if not first or not (from == first[1] or is_before(first[1], from)) then return {{}} end
  end
  return redis.call('XREVRANGE', key, from, to, 'COUNT', count)
end

local function scan(from, to)
  if not has_room() then return false end
  local count = math.min(scanned, most - seen)
  local rows = range(stream, from, to, count)
  local first = not forward and redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
  while true do
    for index = 1, #rows do
      look(rows[index], false)
      if first and last == first[1] then return true end
      if not has_room() then return false end
    end
    if #rows < count then return true end
    count = math.min(scanned, most - seen)
    rows = redis.call(forward and 'XRANGE' or 'XREVRANGE', stream, '(' .. last, to, 'COUNT', count)
  end
end

local function scan_index(from, to)
  while has_room() do
    local rows = range('{keys.AUDIT_TEAM}' .. team, from, to, {CHUNK})
    for _, one in ipairs(rows) do
      if not has_room() then return false end
      local row = redis.call('XRANGE', stream, one[1], one[1])[1]
      if row then look(row, true) else seen, last = seen + 1, one[1] end
      from = '(' .. one[1]
    end
    if #rows < {CHUNK} then return true end
  end
  return false
end

local at_end
if team == '' then
  at_end = scan(start, stop)
else
  local newest = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
  local since = newest and newest[1] or '0-0'
  local state = redis.call('HMGET', '{keys.AUDIT_INDEX}', 'last', 'since')
  if state[1] == since and state[2] then since = state[2] end
  local open = forward and '+' or '-'
  local stops_late = stop ~= open and is_before(since, stop) -- behind the entries that are not indexed
  local begins_early = start == '-' or (start ~= '+' and not is_before(since, start))
  if forward then
    local goes_on = stop == open or stops_late
    at_end = not begins_early or scan(start, goes_on and since or stop)
    if at_end and goes_on then at_end = scan_index(begins_early and '(' .. since or start, stop) end
  else
    at_end = begins_early or scan_index(start, stops_late and stop or '(' .. since)
    if at_end and not stops_late then at_end = scan(begins_early and start or since, stop) end
  end
end
return {{found, last, at_end and 1 or 0, seen}}
"""
"""Lua that reads the audit, behind ENTRY_SIZE: of one team by its index, and without one what the index lacks.

KEYS: the stream. ARGV: ``after`` or ``before``; where to begin and to end, as XRANGE takes bounds; most entries to
return, to look at, bytes to look at, bytes of one field; the selection as JSON; and the packed request id, or nothing.
"""
