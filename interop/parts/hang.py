"""A storage node hangs (SIGSTOP): it takes connections and never answers. Every answer stays whole and the same, and soon costs no more than before."""
import os
import signal
import sys
import time
import urllib.parse
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from pipeline import Pipeline  # noqa: E402
from plumbago import metric, send_lines  # noqa: E402
from stage import Stage, wait_for  # noqa: E402

HOSTS, DISKS, MINUTES = 20, 20, 30
RETENTIONS = "60s:1d"
QUERIES = 400
# The hedge delay and 20 ms more; as much again for a machine that does other things.
P99_SECONDS_MAX = 0.080
PARTIAL_HEADER = "X-Plumbago-Partial"


def name_of(host, disk):
    return f"hang.host-{host:02}.disk-{disk:02}.bytes"


NAMES = [name_of(host, disk) for host in range(HOSTS) for disk in range(DISKS)]
DASHBOARD = [NAMES[7:300:37], ["hang.host-03.*.bytes"], ["hang.*.disk-11.bytes"], ["sumSeries(hang.host-1*.disk-0?.bytes)"]]


class Asker:
    """Asks the panels of a dashboard in turn, past all caches, and compares each answer with its first one."""

    def __init__(self, stage, api, start, until):
        self.stage, self.api, self.window, self.first = stage, api, [("from", start), ("until", until)], {}

    def ask(self, number):
        panel = number % len(DASHBOARD)
        pairs = [("target", target) for target in DASHBOARD[panel]] + self.window + [("format", "json"), ("noCache", "1")]
        began = time.monotonic()
        with urllib.request.urlopen(f"{self.api.base}/render?{urllib.parse.urlencode(pairs)}", timeout=30) as reply:
            partial, body = reply.headers.get(PARTIAL_HEADER), reply.read()
        took = time.monotonic() - began
        self.stage.check(partial is None, f"query {number}: {PARTIAL_HEADER} {partial}")
        self.stage.check(self.first.setdefault(panel, body) == body, f"query {number}: another answer than before")
        return took

    def run(self, label):
        took = sorted(self.ask(number) for number in range(QUERIES))
        p50, p99 = took[len(took) // 2], took[len(took) * 99 // 100]
        print(f"hang: {label}: {len(took)} queries, p50 {p50 * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms, longest {took[-1] * 1000:.1f} ms", flush=True)
        return p99


def main():
    with Stage("hang") as stage:
        cluster = Pipeline(stage, NAMES, RETENTIONS, "1s")
        now = int(time.time()) // 60 * 60
        stamps = range(now - MINUTES * 60, now, 60)
        send_lines(cluster.relay.line, "".join(f"{name} {place + stamp % 97} {stamp}\n" for stamp in stamps for place, name in enumerate(NAMES)))
        cluster.wait_drained()
        read = lambda: sum(metric(node.admin, "plumbago_carbon_points_received_total") for node in cluster.nodes)  # noqa: E731
        wait_for("all points on both copies", lambda: read() >= 2 * len(NAMES) * len(stamps))
        asker = Asker(stage, cluster.api, stamps[0] - 1, stamps[-1])
        before = asker.run("all nodes up")
        victim = cluster.nodes[1].process
        victim.send_signal(signal.SIGSTOP)
        try:
            hung = asker.run("one of four nodes hangs")
        finally:
            victim.send_signal(signal.SIGCONT)
        stage.check(hung <= max(P99_SECONDS_MAX, 2 * before), f"p99 was {hung:.3f} s with a node that hangs, {before:.3f} s without")
        asker.run("it goes on")
        cluster.stop()


main()
