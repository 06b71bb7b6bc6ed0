-- Sends one event of the registry in each request, each with an id of its own, and prints what happened as load.lua does.
-- Arguments: the file with the bearer in its first line and one body in each other, then a name for this run.

local bodies, place, headers, name = {}, 0, {}, ''

function init(args)
  local lines = io.lines(args[1])
  headers = { Host = wrk.headers.Host, Authorization = 'Bearer ' .. lines() }
  for body in lines do bodies[#bodies + 1] = body end
  name = args[2]
end

function request()
  place = place + 1
  local body = bodies[place % #bodies + 1]:gsub('EVENT%-ID', name .. '-' .. place)
  return wrk.format('POST', '/events/registry', headers, body)
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\nJSON {"requests":%d,"microseconds":%d,"p50":%d,"p99":%d,"longest":%d,"refused":%d,"broken":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    latency.max, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout))
end
