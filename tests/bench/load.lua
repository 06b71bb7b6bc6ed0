-- Gives each request the next of many credentials, and prints what happened as one JSON line.
-- Arguments: the file with one Authorization value a line, the request target, and the number of the first one to use.

local requests, place = {}, 0

function init(args)
  place = tonumber(args[3])
  for value in io.lines(args[1]) do
    requests[#requests + 1] = wrk.format("GET", args[2], { Host = wrk.headers.Host, Authorization = value })
  end
end

function request()
  place = place % #requests + 1
  return requests[place]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\nJSON {"requests":%d,"microseconds":%d,"p50":%d,"p99":%d,"longest":%d,"refused":%d,"broken":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    latency.max, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout))
end
