"""Two apis share replies through Debian's Redis; frozen or killed, it costs time and no answer."""
import os
import signal
import sys
import time
import urllib.parse
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from plumbago import ApiDaemon, Carbon, metric, send_lines, write_rules  # noqa: E402
from stage import Stage, address, free_port, wait_for  # noqa: E402

STEP = 60
SERIES = 20
POINTS = 30
TARGETS = [f"sumSeries(cached.s{n}.*)" for n in range(SERIES)]


def render(api, target, start, until, *more):
    """Status, seconds, the age of a kept reply (None for a fresh one), and the body."""
    query = urllib.parse.urlencode([("target", target), ("from", start), ("until", until), *more])
    began = time.monotonic()
    with urllib.request.urlopen(f"{api.base}/render?{query}", timeout=30) as reply:
        body = reply.read()
        return reply.status, time.monotonic() - began, reply.headers.get("X-Plumbago-Cached"), body


def start_redis(stage):
    port = free_port()
    argv = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", stage.folder]
    process = stage.spawn("redis", argv)
    stage.wait_port(process, port)
    return process, port


def compare(stage):
    until = int(time.time()) // STEP * STEP - STEP
    start = until - POINTS * STEP
    node = Carbon(stage, "node", write_rules(stage, "60s:1d")).start()
    lines = (f"cached.s{n}.{part} {n + part * 0.5} {start + STEP * point}\n"
             for n in range(SERIES) for part in range(3) for point in range(1, POINTS))
    send_lines(node.line, "".join(lines))
    redis, port = start_redis(stage)
    flags = ["--cache-server", f"redis://{address(port)}", "--cache-time", "10m", "--reply-cache-bytes-max", "0B", "--fetch-cache-bytes-max", "0B"]
    first, second = (ApiDaemon(stage, node.read, flags) for _ in range(2))
    plain = ApiDaemon(stage, node.read, ["--cache-time", "0s"])
    wait_for("all points", lambda: b"null" not in render(plain, TARGETS[-1], start, until - STEP)[3][:2000])

    fresh = {target: render(first, target, start, until) for target in TARGETS}
    for target in TARGETS:
        wait_for(f"{target} in Redis", lambda: render(second, target, start, until)[2] is not None)
        kept, truth = render(second, target, start, until), render(plain, target, start, until)
        stage.check(fresh[target][2] is None, f"{target}: fresh at the first")
        stage.check(kept[3] == fresh[target][3] == truth[3], f"{target}: the other api answers with the same bytes")
    stage.check(metric(first.admin, "plumbago_api_cache_server_failures_total") == 0, "no failure while Redis is well")
    stage.check(render(second, TARGETS[0], start, until, ("noCache", 1))[2] is None, "noCache goes round Redis")

    redis.send_signal(signal.SIGSTOP)
    for target in TARGETS[:5]:
        status, seconds, age, body = render(second, target, start, until, ("maxDataPoints", 7))
        stage.check(status == 200 and age is None and body, f"{target}: answered while Redis hangs: {status} {age}")
        stage.check(seconds < 1, f"{target}: within a second while Redis hangs: {seconds:.3f} s")
    stage.check(metric(second.admin, "plumbago_api_cache_server_failures_total") >= 1, "the hanging Redis is counted")
    redis.send_signal(signal.SIGCONT)
    stage.kill(redis)
    for target in TARGETS[:5]:
        status, seconds, _, body = render(first, target, start, until)
        stage.check(status == 200 and body == fresh[target][3], f"{target}: the same answer without Redis")
        stage.check(seconds < 1, f"{target}: within a second without Redis: {seconds:.3f} s")


def main():
    with Stage("cache") as stage:
        compare(stage)


main()
