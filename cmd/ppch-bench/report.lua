-- Writes what wrk measured as one line of numbers, on standard error, where wrk writes nothing else.
function done(summary, latency)
	local errors = summary.errors;
	io.stderr:write(("%d %d %d %d %d %d\n"):format(summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
		errors.status, errors.connect + errors.read + errors.write + errors.timeout));
end
