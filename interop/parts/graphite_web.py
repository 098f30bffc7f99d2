"""graphite-web in front of our storage nodes, all four of a cluster and one alone, and of our zipper: its /render answers as our api does."""
import math
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import peers  # noqa: E402
from plumbago import Api, ApiDaemon, Carbon, Up, Zipper, metric, send_lines, write_rules  # noqa: E402
from series import describe, differences, of_render  # noqa: E402
from stage import Failed, Stage, wait_for  # noqa: E402

STEP = 60
POINTS = 120
HOSTS = 8
RETENTIONS = "60s:1d,300s:7d"
TARGETS = [
    "web.host1.cpu.user",
    "web.*.cpu.user",
    "web.host{1,3,5}.cpu.*",
    "web.host[2-4].requests",
    "sumSeries(web.*.cpu.user)",
    "averageSeries(web.*.cpu.*)",
    "maxSeries(web.*.requests)",
    "aliasByNode(web.*.cpu.system, 1)",
    "groupByNode(web.*.cpu.*, 3, 'sum')",
    "derivative(web.host1.requests)",
    "perSecond(web.*.requests)",
    "nonNegativeDerivative(web.host2.requests)",
    "summarize(web.host1.cpu.user, '10min', 'avg')",
    "summarize(web.*.requests, '15min', 'max', true)",
    "movingAverage(web.host1.cpu.user, 5)",
    "keepLastValue(web.*.cpu.user, 3)",
    "asPercent(web.*.cpu.user)",
    "scale(web.host1.cpu.user, 8)",
    "highestMax(web.*.cpu.user, 3)",
    "percentileOfSeries(web.*.cpu.user, 90)",
    "timeShift(web.host1.cpu.user, '30min')",
    "integral(web.host3.cpu.system)",
    "alias(divideSeries(web.host1.cpu.user, web.host2.cpu.user), 'ratio')",
    "removeBelowValue(web.host4.cpu.user, 50)",
    "no.such.series",
]


def make_series(last):
    """{name: {timestamp: value}}: gauges with gaps and counters."""
    rng = random.Random(11)
    stamps = [last - STEP * age for age in reversed(range(POINTS))]
    series = {}
    for host in range(1, HOSTS + 1):
        for kind in ("user", "system"):
            series[f"web.host{host}.cpu.{kind}"] = {stamp: rng.randrange(100_000) / 1000 for stamp in stamps if rng.random() < 0.9}
        count = 0
        series[f"web.host{host}.requests"] = {stamp: float(count := count + rng.randrange(500)) for stamp in stamps}
    return series


def compare(stage, label, web, ours, start, until):
    """One comparison a target; the answers are equal to the last digit, tags and order included."""
    compared = 0
    for target in TARGETS:
        for more in ((), (("maxDataPoints", 37),)):
            theirs, answer = (api.render([target], start, until, *more) for api in (web, ours))
            compared += len(theirs)
            stage.check(theirs == answer, f"{label}: {target} {dict(more)}: {first_difference(theirs, answer)}")
            stage.check(bool(theirs) == (target != "no.such.series"), f"{label}: {target} gives {len(theirs)} series")
    for query in ("web.*.cpu.*", "web.{host1,host2}.*", "*"):
        theirs, answer = (sorted(api.get("/metrics/expand", ("query", query))["results"]) for api in (web, ours))
        stage.check(theirs == answer and theirs, f"{label}: expand {query}: {theirs[:3]} there, {answer[:3]} here")
    return compared


def check_folded(stage, api, folding, start, until):
    """Sums that nodes add up carry what rounding takes away: all but the last digits are those of graphite-web."""
    for target in TARGETS:
        plain, folded = (one.render([target], start, until) for one in (api, folding))
        names = [[row["target"] for row in answer] for answer in (plain, folded)]
        pairs = [pair for rows in zip(plain, folded) for pair in zip(rows[0]["datapoints"], rows[1]["datapoints"], strict=True)]
        equal = all(a == b or None not in (a, b) and math.isclose(a, b, rel_tol=1e-12) and one == other for (a, one), (b, other) in pairs)
        stage.check(names[0] == names[1] and equal, f"folded by the nodes: {target}: {first_difference(plain, folded)}")


def first_difference(theirs, ours):
    if [row["target"] for row in theirs] != [row["target"] for row in ours]:
        return f"names {[row['target'] for row in theirs][:4]} there, {[row['target'] for row in ours][:4]} here"
    for one, other in zip(theirs, ours):
        if one.get("tags") != other.get("tags"):
            return f"tags {one.get('tags')} there, {other.get('tags')} here"
        if one != other:
            points, found = of_render([one])[one["target"]], of_render([other])[one["target"]]
            if points != found:
                return describe(points, found)
            return f"{len(one['datapoints'])} slots there, {len(other['datapoints'])} here"
    return "equal"


def wait_for_points(up, series, start, until):
    def complete():
        return not differences("api", series, of_render(up.api.render(sorted(series), start, until)))
    try:
        wait_for("every point in the api", complete, 30)
    except Failed as error:
        found = of_render(up.api.render(sorted(series), start, until))
        raise Failed(f"{error}: {differences('api', series, found)[:2]}") from error


def main():
    last = int(time.time()) // STEP * STEP
    start, until = last - STEP * POINTS, last
    series = make_series(last)
    text = "".join(f"{name} {value} {stamp}\n" for name, points in series.items() for stamp, value in points.items())
    with Stage("graphite_web") as stage:
        up = Up(stage, RETENTIONS, nodes=4, replication=2)
        alone = Carbon(stage, "alone", write_rules(stage, RETENTIONS)).start()
        send_lines(up.line, text)
        send_lines(alone.line, text)
        wait_for_points(up, series, start, until)
        sent = text.count("\n")
        wait_for("every point on the lone node", lambda: metric(alone.admin, "plumbago_carbon_points_received_total") == sent, 30)
        compared = 0
        zipper = Zipper(stage, ["--cluster", up.cluster_file])
        exact = ApiDaemon(stage, zipper.listen, ["--push-down=false"])
        check_folded(stage, exact, up.api, start, until)
        fronts = {"four nodes, pickle": [node.read for node in up.nodes], "one node, msgpack": [f"{alone.read}?format=msgpack"],
                  "our zipper, pickle": [zipper.listen]}
        for number, (label, servers) in enumerate(fronts.items(), 1):
            web = Api(peers.graphite_web(stage, f"graphite-web-{number}", servers, exact.base))
            compared += compare(stage, label, web, exact, start, until)
        print(f"graphite_web: compared {compared} series of {len(TARGETS)} targets, each with and without maxDataPoints", flush=True)


main()
