-- Gives each request the next of many credentials, and prints what happened as one JSON line.
-- Arguments: the file with one Authorization value a line, then the request target.

local requests, place = {}, 0

function init(args)
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
    '\nJSON {"requests":%d,"microseconds":%d,"p50":%d,"p99":%d,"refused":%d,"broken":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), errors.status,
    errors.connect + errors.read + errors.write + errors.timeout))
end
