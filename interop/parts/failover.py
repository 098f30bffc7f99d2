"""Storage nodes die by SIGKILL and return under a running load: every answer stays whole, and equals what was sent."""
import json
import os
import random
import sys
import threading
import time
import urllib.parse
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from load import Load  # noqa: E402
from pipeline import Pipeline  # noqa: E402
from series import describe, file_of, of_render, points_of, read_file  # noqa: E402
from stage import Stage, http, wait_for  # noqa: E402

SEED = int(os.environ.get("INTEROP_SEED") or random.SystemRandom().randrange(10**6))
NODES, REPLICATION = 4, 2
HOSTS, DISKS = 40, 50
POINTS_EACH = 10
RETENTIONS = "1s:30min,10s:1h"
LOAD_SECONDS, DOWN_SECONDS, BACK_SECONDS = 19, 10, 4
LAG = "12s"
WINDOW_SECONDS = 30
SETTLED_SECONDS = 3
QUERY_PAUSE_SECONDS = 0.2
QUERY_SECONDS_MAX = 1.0
HOSTS_A_REQUEST = 10
NAMES_A_REQUEST = 50
PARTIAL_HEADER = "X-Plumbago-Partial"


def name_of(host, disk):
    return f"failover.eu-west-1.host-{host:03}.disk-{disk:02}.io.bytes_written_per_second"


NAMES = [name_of(host, disk) for host in range(HOSTS) for disk in range(DISKS)]


def pattern(host, disk):
    return f"failover.eu-west-1.host-{host}.disk-{disk}.io.bytes_written_per_second"


def among(hosts, disks):
    return [host * DISKS + disk for host in hosts for disk in disks]


def make_queries(rng):
    """(targets, {name in the answer: places of the series that it sums up}): fixed for the whole run."""
    exact = rng.sample(range(len(NAMES)), 12)
    alone = {NAMES[place]: [place] for place in exact}
    globs = {pattern("017", "*"): among([17], range(DISKS)), pattern("{030,031}", "1?"): among([30, 31], range(10, 20)),
             pattern("02*", "42"): among(range(20, 30), [42])}
    found = {NAMES[place]: [place] for places in globs.values() for place in places}
    totals = {f"sumSeries({pattern('011', '*')})": among([11], range(DISKS)),
              f"sumSeries({pattern('*', '07')})": among(range(HOSTS), [7]),
              f"sumSeries({pattern('0[0-3]5', '[2-3]*')})": among([5, 15, 25, 35], range(20, 40))}
    return [([NAMES[exact[0]]], {NAMES[exact[0]]: [exact[0]]}), (list(alone), alone), (list(globs), found), (list(totals), totals)]


class Asker(threading.Thread):
    """Asks the api the same questions again and again, about a window that ended a moment ago."""

    def __init__(self, api, load, queries):
        super().__init__(daemon=True)
        self.api, self.load, self.queries = api, load, queries
        self.over = threading.Event()
        self.phase = "all nodes up"
        self.longest = {}
        self.failures = []
        self.asked = self.passed = self.series = self.points = 0

    def run(self):
        while not self.over.is_set():
            settled = self.load.last - SETTLED_SECONDS
            for newest in self.load.stamps(settled)[-2:]:  # of the past and of now
                stamps = [stamp for stamp in range(newest - WINDOW_SECONDS + 1, newest + 1) if stamp in self.load.sent]
                for targets, rows in self.queries:
                    failed = len(self.failures)
                    try:
                        self.ask(targets, rows, stamps)
                    except Exception as error:  # any failure to answer is what this part looks for
                        self.failures.append(f"{self.phase}: {targets[0]}: {error}")
                    self.passed += len(self.failures) == failed
            self.over.wait(QUERY_PAUSE_SECONDS)

    def ask(self, targets, rows, stamps):
        start, until = stamps[0] - 1, stamps[-1]
        pairs = [("target", target) for target in targets] + [("from", start), ("until", until), ("format", "json")]
        phase, began = self.phase, time.monotonic()
        with urllib.request.urlopen(f"{self.api.base}/render?{urllib.parse.urlencode(pairs)}", timeout=30) as reply:
            status, partial, body = reply.status, reply.headers.get(PARTIAL_HEADER), reply.read()
        took = time.monotonic() - began
        self.asked += 1
        self.longest[phase] = max(took, self.longest.get(phase, 0))
        self.note(status == 200 and partial is None, f"{phase}: {targets[0]}: status {status}, {PARTIAL_HEADER} {partial}")
        self.note(took <= QUERY_SECONDS_MAX, f"{phase}: {targets[0]}: took {took:.3f} s")
        answer = json.loads(body)
        self.note(len(answer) == len(rows), f"{phase}: {targets[0]}: {len(answer)} series, not {len(rows)}")
        found = of_render(answer)
        for name, places in rows.items():
            expected = self.load.points(places, stamps)
            self.series, self.points = self.series + 1, self.points + len(expected)
            if found.get(name) != expected:
                self.failures.append(f"{phase}: {name} in ({start}, {until}]: {describe(expected, found.get(name))}")

    def note(self, holds, what):
        if not holds:
            self.failures.append(what)


def owned(cluster, node):
    """The places of the names that a node holds."""
    return [place for place, name in enumerate(NAMES) if node.name in cluster.owners[name]]


def pages(start, until):
    """The queries that together ask for every series, each as the end of a URL."""
    for first in range(0, HOSTS, HOSTS_A_REQUEST):
        hosts = ",".join(f"{host:03}" for host in range(first, first + HOSTS_A_REQUEST))
        pairs = [("target", pattern(f"{{{hosts}}}", "*")), ("from", start), ("until", until), ("format", "json")]
        yield urllib.parse.urlencode(pairs)


def held_by_node(node, start, until):
    """What a node alone tells of every series, at its read address."""
    found = {}
    for query in pages(start, until):
        for row in json.loads(http(f"http://{node.read}/render/?{query}"))["metrics"]:
            values = [None if absent else value for value, absent in zip(row["values"], row["isAbsent"])]
            found[row["name"]] = points_of(row["startTime"], row["stepTime"], values)
    return found


def told_by_api(api, start, until):
    found = {}
    for query in pages(start, until):
        found |= of_render(json.loads(http(f"{api.base}/render?{query}")))
    return found


def compare(stage, label, load, found, places, stamps):
    """One check a series; gives how many points were compared."""
    points = 0
    for place in places:
        expected = load.points([place], stamps)
        points += len(expected)
        stage.check(found.get(NAMES[place]) == expected, f"{label}: {NAMES[place]}: {describe(expected, found.get(NAMES[place]))}")
    return points


def wait_load(load, seconds):
    until = load.last + seconds
    wait_for(f"{seconds} s of load", lambda: load.last >= until, seconds + 20)


def fall_and_return(stage, cluster, load, asker, node):
    """Kills a node, lets load and questions go on, and brings it back; gives the last second that it may lack points of."""
    asker.phase = f"{node.name} down"
    stage.kill(node.process)
    killed = int(time.time())
    wait_load(load, DOWN_SECONDS)
    waiting = cluster.backlog()
    asker.phase = f"{node.name} returning"
    began = time.monotonic()
    cluster.start(node)
    ready = time.monotonic() - began
    cluster.wait_drained()
    drained = time.monotonic() - began
    asker.phase = f"{node.name} back"
    wait_load(load, BACK_SECONDS)
    print(f"failover: {node.name} killed; {waiting:.0f} lines waited for it; ready {ready:.2f} s after its start, backlog empty after {drained:.2f} s",
          flush=True)
    return killed


def check_returned(stage, cluster, load, node, killed):
    """All that was sent after the kill is on the node; what it lost of the time before is on the copy."""
    until = load.last
    cluster.wait_drained()
    found = held_by_node(node, load.oldest() - 1, until)
    places = owned(cluster, node)
    since, earlier = set(load.sent_during(killed, until)), load.sent_during(0, killed)
    late = {name: {stamp: value for stamp, value in points.items() if stamp in since} for name, points in found.items()}
    points = compare(stage, f"{node.name} after its return", load, late, places, since)
    wrong = [name for name in found if node.name not in cluster.owners[name]]
    stage.check(not wrong, f"{node.name} holds {len(wrong)} series that it does not own, such as {wrong[:1]}")
    holes = {stamp: [place for place in places if stamp not in found.get(NAMES[place], {})] for stamp in earlier}
    lost, before = sum(map(len, holes.values())), len(places) * len(earlier)
    for newest in [stamp for stamp, lacking in holes.items() if lacking and stamp >= load.first]:
        check_window_into_hole(stage, cluster, load, newest, holes[newest])
    print(f"failover: {node.name}: of {before} points sent before its kill {lost} are lost on it; "
          f"{points} points sent since are there", flush=True)


def check_window_into_hole(stage, cluster, load, newest, places):
    """Exact names, asked for a window that ends where their node lacks points: the copy's points stand in."""
    stamps = [stamp for stamp in range(newest - WINDOW_SECONDS + 1, newest + 1) if stamp in load.sent]
    found = {}
    for first in range(0, len(places), NAMES_A_REQUEST):
        names = [NAMES[place] for place in places[first:first + NAMES_A_REQUEST]]
        found |= of_render(cluster.api.render(names, stamps[0] - 1, newest))
    compare(stage, f"api up to {newest}", load, found, places, stamps)


def check_files(stage, cluster, load, since):
    """Python whisper finds, in the files of each owner, what was sent to it since it last started."""
    files = points = 0
    for node in cluster.nodes:
        stamps = load.sent_during(since.get(node.name, 0), load.last)
        for place in owned(cluster, node):
            expected = load.points([place], stamps)
            path = os.path.join(node.whisper, file_of(NAMES[place]))
            found = read_file(path, load.oldest() - 1, load.last) if os.path.exists(path) else {}
            found = {stamp: value for stamp, value in found.items() if stamp in expected}
            stage.check(found == expected, f"file of {node.name}: {NAMES[place]}: {describe(expected, found)}")
            files, points = files + 1, points + len(expected)
    return files, points


def main():
    rng = random.Random(SEED)
    first = rng.randrange(NODES)
    victims = [first, (first + NODES // 2) % NODES]
    with Stage("failover") as stage:
        cluster = Pipeline(stage, NAMES, RETENTIONS, LAG, NODES, REPLICATION)
        print(f"failover: INTEROP_SEED={SEED}, {[cluster.nodes[place].name for place in victims]} will be killed, one after the other", flush=True)
        load = Load(cluster.relay.line, NAMES, POINTS_EACH, SEED)
        load.start()
        wait_for("the load", lambda: load.last >= load.first + SETTLED_SECONDS + 2)
        asker = Asker(cluster.api, load, make_queries(rng))
        asker.start()
        wait_load(load, LOAD_SECONDS)
        since = {}
        for place in victims:
            node = cluster.nodes[place]
            since[node.name] = fall_and_return(stage, cluster, load, asker, node)
            check_returned(stage, cluster, load, node, since[node.name])
        asker.over.set()
        asker.join(30)
        load.end()
        cluster.wait_drained()
        stage.check(load.failure is None, f"the load broke off: {load.failure}")
        whole = told_by_api(cluster.api, load.oldest() - 1, load.last)
        points = compare(stage, "api at the end", load, whole, range(len(NAMES)), sorted(load.sent))
        stage.passed += asker.passed
        phases = [f"{cluster.nodes[place].name} {state}" for place in victims for state in ("down", "returning", "back")]
        stage.check(set(phases) <= set(asker.longest), f"queries were made only in {list(asker.longest)}")
        for failure in asker.failures:
            stage.check(False, failure)
        print(f"failover: {load.lines} lines sent, at most {load.behind:.2f} s late; {asker.asked} queries, {asker.series} series and {asker.points} points "
              f"compared during the load; {len(whole)} series and {points} points after it", flush=True)
        print("failover: longest query: " + ", ".join(f"{phase} {took * 1000:.0f} ms" for phase, took in asker.longest.items()), flush=True)
        cluster.stop()
        files, points = check_files(stage, cluster, load, since)
        print(f"failover: Python whisper reads {points} points in {files} files", flush=True)


main()
