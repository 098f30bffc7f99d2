"""Debian's Prometheus writes what it scrapes to our relay (remote_write); every sample is found as a point of a tagged series."""
import json
import os
import sys
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import peers  # noqa: E402
from plumbago import ApiDaemon, Carbon, Relay, metric, node_flags, write_rules  # noqa: E402
from series import describe, of_render  # noqa: E402
from stage import HOST, Failed, Stage, address, free_port, http, wait_for  # noqa: E402

# Prometheus' own numbers of which every kind of label is known; the last has a slash in a value.
METRICS = ["up", "scrape_samples_scraped", "go_goroutines", "process_resident_memory_bytes", "prometheus_http_requests_total"]
SAMPLES_MIN = 8
ARRIVE_SECONDS = 60


def name_of(labels):
    """The series' name at our side: labels as tags, the external one with a blank that no line can hold."""
    tags = {**labels, "site": "rack_1"}
    name = tags.pop("__name__")
    return name + "".join(f";{key}={value}" for key, value in sorted(tags.items(), key=lambda tag: tag[0] + "="))


def samples(port):
    """What Prometheus itself has, as {name: {second: value}}."""
    query = '{__name__=~"' + "|".join(METRICS) + '"}[5m]'
    answer = json.loads(http(f"http://{address(port)}/api/v1/query?{urllib.parse.urlencode({'query': query})}"))
    found = {}
    for row in answer["data"]["result"]:
        found[name_of(row["metric"])] = {int(float(stamp)): float(value) for stamp, value in row["values"]}
    return found


def enough(port):
    found = samples(port)
    shortest = min((len(points) for name, points in found.items() if name.startswith("up;")), default=0)
    return shortest >= SAMPLES_MIN and found


def main():
    with Stage("prometheus") as stage:
        node = Carbon(stage, "a", write_rules(stage, "1s:1h")).start()
        port = free_port()
        relay = Relay(stage, [*node_flags([node], 1), "--http", address(port)])
        api = ApiDaemon(stage, node.read)
        prometheus = peers.prometheus(stage, f"http://{address(port)}/api/v1/write", relay.admin)
        expected = wait_for("samples in Prometheus", lambda: enough(prometheus), ARRIVE_SECONDS)
        stamps = [stamp for points in expected.values() for stamp in points]
        window = min(stamps) - 1, max(stamps)
        found = {}

        def arrived():
            found.update(of_render(api.render([f"seriesByTag('name={name}')" for name in METRICS], *window)))
            return all(expected[name].items() <= found.get(name, {}).items() for name in expected)
        try:
            wait_for("every sample in the api", arrived, ARRIVE_SECONDS)
        except Failed:
            pass  # the comparison that follows names what is missing
        for name, points in expected.items():
            mine = {stamp: value for stamp, value in found.get(name, {}).items() if stamp in points}
            stage.check(mine == points, f"{name}: {describe(points, mine)}")
        stage.check(len(expected) > len(METRICS), f"Prometheus has only {sorted(expected)}")
        up = api.get("/tags/findSeries", ("expr", "name=up"), ("expr", "site=rack_1"))
        stage.check(len(up) == 2, f"findSeries for up: {up}")
        by_tag = of_render(api.render(["seriesByTag('name=up','job=relay')"], *window))
        stage.check(len(by_tag) == 1, f"seriesByTag finds {sorted(by_tag)}")
        dropped = metric(relay.admin, "plumbago_relay_lines_dropped_total")
        refused = json.loads(http(f"http://{relay.admin}/admin/rejected"))
        # Quantiles of nothing are NaN, which Graphite has no point for.
        not_finite = metric(relay.admin, 'plumbago_relay_lines_dropped_total{reason="not_finite"}')
        stage.check(dropped == not_finite, f"the relay dropped {dropped - not_finite:g} points: {refused[:3]}")
        print(f"prometheus: compared {len(expected)} series, {len(stamps)} samples, at {HOST}", flush=True)


main()
