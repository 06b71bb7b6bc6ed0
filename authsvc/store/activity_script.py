"""The script that records events of the registry: each once, with every count that it changes, in one atomic step.

It does not interpret events (:mod:`authsvc.activity.attribution` does): it takes names, hashes and accounts, adds up,
and makes the names of most keys. It stores only first and last instants, or the newest one with its data, so that the
order of events does not matter.
"""

from authsvc.store import activity_layout as layout
from authsvc.store import keys
from authsvc.store.ordered_index import INDEX_FUNCTIONS
from authsvc.store.webhook_keys import TEAM_WEBHOOKS
from authsvc.store.webhook_outbox import OFFER
from authsvc.webhooks.event import EventType

SEEN_PER_BUCKET = 512
"""Ids of events in one set: as many integers as Redis stores in eight bytes each."""

SEEN_LEVELS = 8
"""Each level of an hour has four times as many sets as the one before: 11 million events in an hour fill seven."""

# Which events were seen: for each hour of their timestamps, sets of 64 bits of each id. When a set is full, further
# ones go to the next level, of four times as many sets; a search looks at one set of each level.
_SEEN = f"""
local function is_new(event)
  local hour = base .. 'seen:' .. event.hour
  local level = tonumber(redis.call('GET', hour) or 0)
  local function bucket(number) return hour .. ':' .. number .. ':' .. event.spread % 4 ^ number end
  for each = 0, level do
    if redis.call('SISMEMBER', bucket(each), event.id) == 1 then return false end
  end
  local size = redis.call('SCARD', bucket(level))
  if size >= {SEEN_PER_BUCKET} and level < {SEEN_LEVELS} then
    level = level + 1
    redis.call('SET', hour, level)
    end_at(hour, event.seen_until)
    size = redis.call('SCARD', bucket(level))
  end
  redis.call('SADD', bucket(level), event.id)
  if size == 0 then end_at(bucket(level), event.seen_until) end
  return true
end
"""

# Accounts have small numbers within an app, so that they take little room wherever they are named.
_ACCOUNTS = f"""
local function account_part(app, number)
  local size = {layout.ACCOUNTS_PER_PART}
  return base .. 'account:' .. app .. ':' .. math.floor(number / size), number % size
end
local function account(app, subject)
  local names = base .. 'accounts:' .. app
  local known = redis.call('HGET', names, subject)
  if known then return tonumber(known) end
  local number = redis.call('HLEN', names) + 1
  redis.call('HSET', names, subject, number)
  local part, rest = account_part(app, number)
  redis.call('HSET', part, rest, subject)
  return number
end
local function account_pulled(app, number, at)
  local part, rest = account_part(app, number)
  local subject, first, last = string.match(redis.call('HGET', part, rest), '^(%S+) ?(%d*) ?(%d*)$')
  local is_first = first == ''
  first, last = math.min(tonumber(first) or at, at), math.max(tonumber(last) or at, at)
  redis.call('HSET', part, rest, subject .. ' ' .. first .. ' ' .. last)
  return is_first
end
"""

_COUNTS = f"""
local function count(name, unit, units, app, number, letter, image, event, most, life)
  local index = math.floor(event.at / unit)
  local block, offset = math.floor(index / units), event.at % unit
  local key = base .. name .. ':' .. app .. ':' .. number .. ':' .. block
  local start = string.char(index % units) .. letter
  local field = start .. image
  local old = redis.call('HGET', key, field)
  local size = old and 1 or redis.call('HLEN', key)
  if size >= most then
    field = start .. NO_IMAGE
    old = redis.call('HGET', key, field)
  end
  local first, last, times, total, missed, stale = offset, offset, 0, 0, 0, 0
  if old then
    first, last = struct.unpack('>I3I3', old)
    times, total, missed, stale = string.match(string.sub(old, 7), '^(%d+) ?(%d*) ?(%d*) ?(%d*)$')
    total, missed, stale = tonumber(total) or 0, tonumber(missed) or 0, tonumber(stale) or 0
    first, last = math.min(first, offset), math.max(last, offset)
  end
  if event.missed then
    missed = missed + 1
  else
    times, total, stale = times + 1, total + event.size, stale + (event.stale and 1 or 0)
  end
  local value = struct.pack('>I3I3', first, last) .. string.format('%.0f', times)
  if letter == 'b' or missed + stale > 0 then value = value .. ' ' .. string.format('%.0f', total) end
  if missed + stale > 0 then value = value .. string.format(' %.0f %.0f', missed, stale) end
  redis.call('HSET', key, field, value)
  if size == 0 then end_at(key, (block + 1) * units * unit + life) end
  return not old
end
local function count_all(app, number, letter, image, event, most)
  count('hour', {layout.HOUR}, 24, app, number, letter, image, event, most / 4, plan.hours_kept)
  if count('day', DAY, {layout.BLOCK_DAYS}, app, number, letter, image, event, most, plan.days_kept) and number > 0 then
    local day = math.floor(event.at / DAY)
    local active = base .. 'active:' .. app .. ':' .. day
    if redis.call('SETBIT', active, number, 1) == 0 then
      end_at(active, (day + 1) * DAY + plan.days_kept)
    end
  end
end
"""

# What is known of a repository, tag or digest. r, t and d: its name. p…, g… and l…: last push, last pull, and last pull
# by a license; each with s, milliseconds, b, by whom, and of a tag d, the digest. cs and cd: when a crawl first found
# this digest. xs: last delete. c: part of an index. e: entry
# in the index of the repository's tags. A name that exists, as far as events say, has no end.
_IMAGES = f"""
local function image_key(name) return base .. 'image:' .. name.hash end
local function known(name, event)
  local key = image_key(name)
  if redis.call('EXISTS', key) == 1 then return true end
  local block = math.floor(event.at / DAY / {layout.BLOCK_DAYS})
  local new = base .. 'new:' .. event.app .. ':' .. block
  local number = redis.call('INCR', new)
  if number == 1 then end_at(new, (block + 2) * {layout.BLOCK_DAYS} * DAY) end
  if number > {layout.MAX_NEW_IMAGES} then return false end
  redis.call('HSET', key, 'r', name.repository)
  if name.tag then redis.call('HSET', key, 't', name.tag) end
  if name.digest then redis.call('HSET', key, 'd', name.digest) end
  end_at(key, event.era_until)
  return true
end
local function keep_longer(name, event) end_at(image_key(name), event.era_until, 'GT') end
local function newest(name, letter, event)
  local key, by = image_key(name), event.by or ''
  local at, who = unpack(redis.call('HMGET', key, letter .. 's', letter .. 'b'))
  at = tonumber(at or 0)
  if event.ms < at or (event.ms == at and by <= who) then return end
  redis.call('HSET', key, letter .. 's', event.ms, letter .. 'b', by)
  if name.tag then redis.call('HSET', key, letter .. 'd', event.digest or '') end
end
local function settle(name, event)
  local key = image_key(name)
  local pushed, found, gone, entry = unpack(redis.call('HMGET', key, 'ps', 'cs', 'xs', 'e'))
  local exists = math.max(tonumber(pushed or 0), tonumber(found or 0)) > tonumber(gone or 0)
  if exists then redis.call('PERSIST', key) else end_at(key, event.era_until) end
  if name.tag and exists and not entry then
    redis.call('HSET', key, 'e', event.entry .. name.hash)
    index_add(event.index, event.entry .. name.hash)
  elseif entry and not exists then
    redis.call('HDEL', key, 'e')
    index_remove(event.index, entry)
  end
end
local function pushed(name, event)
  newest(name, 'p', event)
  settle(name, event)
end
local function deleted(name, event)
  local key = image_key(name)
  local at = tonumber(redis.call('HGET', key, 'xs') or 0)
  if event.ms > at then redis.call('HSET', key, 'xs', event.ms) end
  settle(name, event)
end
"""

_USES = f"""
local function use(app, number, name, event)
  local key, image = base .. 'used:' .. app .. ':' .. number .. ':' .. event.era, bytes_of(name.hash)
  local old = redis.call('HGET', key, image)
  local size = old and 1 or redis.call('HLEN', key)
  if size >= {layout.MAX_USED} then
    redis.call('HSET', key, '{layout.MORE}', '')
    return
  end
  local first, last, head, times = 0, 0, 0, 0
  if old then
    first, last, head = struct.unpack('>I4I4I4', old)
    times = tonumber(string.sub(old, 13))
  end
  if event.kind == 'head' then
    head = math.max(head, event.at)
  else
    first, last = first == 0 and event.at or math.min(first, event.at), math.max(last, event.at)
    times = times + 1
  end
  redis.call('HSET', key, image, struct.pack('>I4I4I4', first, last, head) .. times)
  if size == 0 then end_at(key, event.era_until) end
end
local function downloaded(app, number, event)
  local key = base .. 'used:' .. app .. ':' .. number .. ':' .. event.era
  local size = redis.call('HLEN', key)
  redis.call('HINCRBY', key, '{layout.BYTES}', event.size)
  if size == 0 then end_at(key, event.era_until) end
end
local function user_of(name, number, event)
  local size = {layout.USERS_PER_PART}
  local key = base .. 'users:' .. name.hash .. ':' .. event.era .. ':' .. math.floor(number / size)
  local old = redis.call('HGET', key, number % size)
  local at = event.kind == 'pull' and event.at or 0
  if old and tonumber(old) >= at then return end
  redis.call('HSET', key, number % size, at)
  if not old then end_at(key, event.era_until) end
end
local function networks_key(app, number, era) return base .. 'networks:' .. app .. ':' .. number .. ':' .. era end
local function is_from_elsewhere(app, number, event)
  local is_known = false
  for era = event.era - {layout.ERAS_KEPT}, event.era do
    for _, network in ipairs(redis.call('HKEYS', networks_key(app, number, era))) do
      if string.sub(network, 1, #event.block) == event.block then return false end
      is_known = true
    end
  end
  return is_known
end
local function network_of(app, number, event)
  local key = networks_key(app, number, event.era)
  local old = redis.call('HGET', key, event.network)
  if old and tonumber(old) >= event.at then return false end
  local size = old and 1 or redis.call('HLEN', key)
  if not old and size >= {layout.MAX_NETWORKS} then
    redis.call('HSET', key, '{layout.MORE}', '')
    return false
  end
  local is_new = not old and event.watched and is_from_elsewhere(app, number, event)
  redis.call('HSET', key, event.network, event.at)
  if size == 0 then end_at(key, event.era_until) end
  return is_new
end
"""

# Notes for webhooks: the sender makes the events from them (authsvc/webhook_sender/fanout.py).
_NOTES = f"""
local function note(event, kind, facts)
  facts.note, facts.event, facts.at, facts.team, facts.app = kind, event.id, event.at, event.team, event.app
  facts.repository, facts.tag, facts.digest = event.image.repository, event.image.tag, event.image.digest
  offer(event.team, cjson.encode(facts))
end
local function note_of_license(event, kind, subject)
  note(event, kind, {{license = string.sub(subject, 2), network = event.area}})
end
local function is_watched(event)
  return event.team and redis.call('EXISTS', '{TEAM_WEBHOOKS}' .. event.team) == 1
end
local function note_push(event)
  if event.watched and event.kind == 'push' and event.tagged then
    note(event, '{EventType.PUSHED}', {{by = event.by}})
  end
end
"""

_EVENT = f"""
local function image_of_count(event)
  if not known(event.image, event) then return NO_IMAGE end
  keep_longer(event.image, event)
  return bytes_of(event.image.hash)
end
local function is_part(event)
  return event.kind == 'pull' and not event.tagged
    and redis.call('HGET', image_key(event.image), 'c') == '1'
end
local function follow(names, event)
  for _, name in ipairs(names) do
    if event.kind == 'pull' then
      keep_longer(name, event)
      newest(name, 'g', event)
      if event.licensed then newest(name, 'l', event) end
    elseif event.kind == 'push' then
      pushed(name, event)
    end
  end
  if event.deletes and #names == #event.names then deleted(names[#names], event) end
end
local function count_for(event, subject, names, image, part)
  local number, is_license = account(event.app, subject), string.sub(subject, 1, 1) == 'l'
  if not part then count_all(event.app, number, event.letter, image, event, {layout.MAX_COUNTS}) end
  if event.kind == 'download' then downloaded(event.app, number, event) end
  for _, name in ipairs(names) do user_of(name, number, event) end
  if (event.kind == 'pull' or event.kind == 'head') and image ~= NO_IMAGE then
    use(event.app, number, event.image, event)
  end
  local is_first = event.kind == 'pull' and account_pulled(event.app, number, event.at)
  local is_new = event.network and network_of(event.app, number, event)
  if not event.watched or not is_license then return end
  if is_first then note_of_license(event, '{EventType.FIRST_PULL}', subject) end
  if is_new then note_of_license(event, '{EventType.NEW_NETWORK}', subject) end
end
local function know_parts(event)
  for _, name in ipairs(event.parts) do
    if known(name, event) then redis.call('HSET', image_key(name), 'c', '1') end
  end
end
local function count_missed(event)
  local image = image_of_count(event)
  if is_part(event) then return end
  count_all(event.app, 0, event.letter, image, event, {layout.MAX_APP_COUNTS})
  for _, subject in ipairs(event.accounts) do
    count_all(event.app, account(event.app, subject), event.letter, image, event, {layout.MAX_COUNTS})
  end
end
local function record(event)
  if not is_new(event) then return 0 end
  know_parts(event)
  if event.missed then
    count_missed(event)
    return 1
  end
  if event.changed then redis.call('SADD', KEYS[1], event.changed) end
  local names = {{}}
  for _, name in ipairs(event.names) do
    if known(name, event) then names[#names + 1] = name end
  end
  follow(names, event)
  if not event.kind then return 1 end
  event.watched = is_watched(event)
  note_push(event)
  local image = image_of_count(event)
  local part = is_part(event)
  if not part then count_all(event.app, 0, event.letter, image, event, {layout.MAX_APP_COUNTS}) end
  for _, subject in ipairs(event.accounts) do
    count_for(event, subject, names, image, part)
  end
  return 1
end
"""

_PLAN = f"""#!lua
local plan = cjson.decode(ARGV[1])
local base, DAY, NO_IMAGE = '{keys.ACTIVITY}', {layout.DAY}, string.rep('\\0', 8)
local function bytes_of(hash)
  return struct.pack('>I4I4', tonumber(string.sub(hash, 1, 8), 16), tonumber(string.sub(hash, 9), 16))
end
local function end_at(key, at, ...) redis.call('EXPIRE', key, at - plan.now, ...) end
"""

RECORD = (
    _PLAN
    + INDEX_FUNCTIONS
    + _SEEN
    + _ACCOUNTS
    + _COUNTS
    + _IMAGES
    + _USES
    + OFFER
    + _NOTES
    + _EVENT
    + """
local results = {}
for place, event in ipairs(plan.events) do results[place] = record(event) end
return results
"""
)
"""KEYS: the set of changed repositories. ARGV: the plan as JSON. Returns for each event 1, or 0 if it was seen before.

It is refused as a whole, before it begins, when Redis is out of memory."""

RECONCILE = (
    _PLAN
    + INDEX_FUNCTIONS
    + _IMAGES
    + """
local changed = 0
for _, event in ipairs(plan.found) do
  for _, name in ipairs(event.names) do
    if known(name, event) then
      local key, digest = image_key(name), event.digest
      local pushed, found, gone, was, before = unpack(redis.call('HMGET', key, 'ps', 'cs', 'xs', 'pd', 'cd'))
      pushed, found, gone = tonumber(pushed or 0), tonumber(found or 0), tonumber(gone or 0)
      local alive = pushed > gone and (not name.tag or was == digest)
        or found > gone and found >= pushed and (not name.tag or before == digest)
      if not alive and event.ms > math.max(pushed, found, gone) then
        redis.call('HSET', key, 'cs', event.ms)
        if name.tag then redis.call('HSET', key, 'cd', digest) end
        settle(name, event)
        changed = changed + 1
      end
    end
  end
end
for _, event in ipairs(plan.gone) do
  for _, name in ipairs(event.names) do
    local key = image_key(name)
    local pushed, found, gone = unpack(redis.call('HMGET', key, 'ps', 'cs', 'xs'))
    local newest = math.max(tonumber(pushed or 0), tonumber(found or 0))
    if newest > tonumber(gone or 0) and event.ms > newest then
      deleted(name, event)
      changed = changed + 1
    end
  end
end
return changed
"""
)
"""ARGV: the plan as JSON: what a crawl found, and what is gone. Returns how many names are known otherwise now."""
