"""Half an hour of everything at once: 50,000 points a second in, 20 dashboards refreshing each 5 s, storage nodes killed or stopped in turn.

Every answer is compared with what was sent, and the memory of every process is watched.
"""
import json
import os
import random
import socket
import statistics
import sys
import threading
import time
import urllib.parse
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from pipeline import Pipeline  # noqa: E402
from series import file_of, read_file  # noqa: E402
from stage import HOST, Stage, close_in_order, wait_for  # noqa: E402

SEED = int(os.environ.get("INTEROP_SEED") or random.SystemRandom().randrange(10**6))
SECONDS = int(os.environ.get("INTEROP_MIXED_SECONDS", 1800))
HOSTS, METRICS = 500, 20
STAMPS_A_SECOND = 5
BACKFILL_START_SECONDS = 8000
RETENTIONS, LAG = "1s:3h,10s:6h", "60s"
DASHBOARDS, REFRESH_SECONDS = 20, 5
WINDOW_SECONDS, SETTLED_SECONDS = 300, 3
UP_SECONDS, DOWN_SECONDS, DRAIN_SECONDS = 50, 25, 60
FILES_READ = 200
MEMORY_GROWTH, MEMORY_SLACK_MIB = 1.25, 8
STAMP_PRIME, STAMP_VALUES = 7919, 10_000


def name_of(host, number):
    return f"mixed.eu-west-1.host-{host:03}.metric-{number:02}.count"


NAMES = [name_of(host, number) for host in range(HOSTS) for number in range(METRICS)]


def place_of(host, number):
    return host * METRICS + number


def of_stamp(stamp):
    """The part of a value that its timestamp gives; a series adds its place in front, so no two points of the run are alike by chance."""
    return stamp * STAMP_PRIME % STAMP_VALUES


def value(place, stamp):
    return place * STAMP_VALUES + of_stamp(stamp)


class Load(threading.Thread):
    """Each second every series gets the point of that second, and four of an older time, over one connection.

    Values follow from name and time, so nothing sent has to be remembered, and a second's lines are one `join`.
    """

    def __init__(self, port):
        super().__init__(daemon=True)
        self.connection = socket.create_connection((HOST, port), timeout=30)
        self.lines_before_stamp = [f"{name} {place}".encode() for place, name in enumerate(NAMES)]
        self.over = threading.Event()
        self.first = int(time.time()) + 1
        self.last = self.first - 1
        self.oldest = self.first - BACKFILL_START_SECONDS
        self.lines, self.behind, self.failure = 0, 0.0, None

    def run(self):
        try:
            while not self.over.is_set():
                self.send_second(self.last + 1)
        except OSError as error:
            self.failure = error

    def send_second(self, second):
        backfill = self.backfilled(second - 1)
        for part, stamp in enumerate([*range(backfill, backfill + STAMPS_A_SECOND - 1), second]):
            due = second + part / STAMPS_A_SECOND - time.time()
            if due > 0:
                time.sleep(due)
            self.behind = max(self.behind, -due)
            rest = f"{of_stamp(stamp):04} {stamp}\n".encode()
            self.connection.sendall(rest.join(self.lines_before_stamp) + rest)
            self.lines += len(NAMES)
        self.last = second

    def backfilled(self, second):
        """The older points have got up to here, itself not included, when this second has gone out."""
        return self.oldest + (second + 1 - self.first) * (STAMPS_A_SECOND - 1)

    def end(self):
        self.over.set()
        self.join(30)
        close_in_order(self.connection)


class Log:
    """What the dashboards saw: how long each answer took, by phase, and what was wrong."""

    def __init__(self):
        self.lock = threading.Lock()
        self.phase = "all up"
        self.took, self.failures = {}, []
        self.series = self.points = 0

    def answered(self, phase, took, series, points):
        with self.lock:
            self.took.setdefault(phase, []).append(took)
            self.series, self.points = self.series + series, self.points + points

    def failed(self, what):
        with self.lock:
            self.failures.append(what)


class Dashboard(threading.Thread):
    """Four panels, asked one after the other at each refresh, each compared point by point."""

    def __init__(self, number, api, load, log):
        super().__init__(daemon=True)
        self.number, self.api, self.load, self.log = number, api, load, log
        self.rng = random.Random(f"{SEED}/{number}")
        self.over = threading.Event()
        first, metric = number * HOSTS // DASHBOARDS, number % METRICS
        exact = self.rng.sample(range(len(NAMES)), 10)
        host, tens = first + 3, first // 10
        summed = f"mixed.eu-west-1.host-{{{tens:02},{tens + 1:02}}}*.metric-{metric:02}.count"
        self.panels = [
            ([NAMES[place] for place in exact], {NAMES[place]: [place] for place in exact}),
            ([f"mixed.eu-west-1.host-{host:03}.*.count"], {name_of(host, other): [place_of(host, other)] for other in range(METRICS)}),
            ([f"sumSeries({summed})"], {f"sumSeries({summed})": [place_of(other, metric) for other in range(tens * 10, tens * 10 + 20)]}),
        ]

    def run(self):
        self.over.wait(self.number * REFRESH_SECONDS / DASHBOARDS)
        while not self.over.is_set():
            began = time.monotonic()
            for targets, rows in self.panels:
                self.guarded(targets[0], lambda: self.render(targets, rows))
            self.guarded("find", self.find)
            self.over.wait(max(0, began + REFRESH_SECONDS - time.monotonic()))

    def guarded(self, label, ask):
        try:
            ask()
        except Exception as error:  # any failure to answer is what this part looks for
            self.log.failed(f"{self.log.phase}: dashboard {self.number}: {label}: {type(error).__name__}: {error}")

    def fetch(self, path, pairs):
        phase, began = self.log.phase, time.monotonic()
        with urllib.request.urlopen(f"{self.api.base}{path}?{urllib.parse.urlencode(pairs)}", timeout=30) as reply:
            partial, body = reply.headers.get("X-Plumbago-Partial"), reply.read()
        if partial is not None:
            raise ValueError(f"partial: {partial}")
        return phase, time.monotonic() - began, json.loads(body)

    def window(self):
        """The last minutes, or as many of the older time, whichever the dice say."""
        settled = self.load.last - SETTLED_SECONDS
        if self.rng.random() < 0.5:
            return max(self.load.first, settled - WINDOW_SECONDS + 1), settled
        until = self.load.backfilled(settled) - 1
        return max(self.load.oldest, until - WINDOW_SECONDS + 1), until

    def render(self, targets, rows):
        start, until = self.window()
        pairs = [("target", target) for target in targets] + [("from", start - 1), ("until", until), ("format", "json")]
        phase, took, answer = self.fetch("/render", pairs)
        found = {row["target"]: row["datapoints"] for row in answer}
        stamps = range(start, until + 1)
        for name, places in rows.items():
            expected = [[sum(places) * STAMP_VALUES + len(places) * of_stamp(stamp), stamp] for stamp in stamps]
            if found.get(name) != expected:
                self.log.failed(f"{phase}: {name} in [{start}, {until}]: {first_difference(expected, found.get(name))}")
        if len(answer) != len(rows):
            self.log.failed(f"{phase}: {targets[0]}: {len(answer)} series, not {len(rows)}")
        self.log.answered(phase, took, len(rows), len(rows) * len(stamps))

    def find(self):
        phase, took, answer = self.fetch("/metrics/find", [("query", f"mixed.eu-west-1.host-{self.number:02}*"), ("format", "treejson")])
        if len(answer) != 10:
            self.log.failed(f"{phase}: find: {len(answer)} hosts, not 10")
        self.log.answered(phase, took, 0, 0)


def first_difference(expected, found):
    if found is None:
        return "missing"
    pairs = [(want, have) for want, have in zip(expected, found) if want != have]
    return f"{len(pairs)} points differ and {len(found) - len(expected)} are too many, first {pairs[:1]}"


class Memory(threading.Thread):
    """Samples the resident memory of every process; a killed node goes on with its next process."""

    def __init__(self, cluster):
        super().__init__(daemon=True)
        self.cluster, self.over = cluster, threading.Event()
        self.samples = {label: [] for label, _ in cluster.parts()}

    def run(self):
        while not self.over.wait(2):
            for label, part in self.cluster.parts():
                size = resident_mib(part.process.pid)
                if size:
                    self.samples[label].append((time.monotonic(), size))

    def medians(self, label):
        """Of the second quarter of the run and of the last."""
        first, last = self.samples[label][0][0], self.samples[label][-1][0]
        quarters = [[], [], [], []]
        for when, size in self.samples[label]:
            quarters[min(3, int(4 * (when - first) / (last - first)))].append(size)
        return statistics.median(quarters[1]), statistics.median(quarters[3])


def resident_mib(process):
    try:
        with open(f"/proc/{process}/status", encoding="ascii") as status:
            return next((int(row.split()[1]) / 1024 for row in status if row.startswith("VmRSS:")), None)
    except OSError:
        return None


def fall_and_return(stage, cluster, load, log, node, politely):
    log.phase = "a node down"
    if politely:
        stage.stop(node.process)
    else:
        stage.kill(node.process)
    wait_load(load, DOWN_SECONDS)
    log.phase = "a node returning"
    cluster.start(node)
    cluster.wait_drained(DRAIN_SECONDS)
    log.phase = "all up"
    wait_load(load, UP_SECONDS)


def wait_load(load, seconds):
    until = load.last + seconds
    wait_for(f"{seconds} s of load", lambda: load.last >= until, seconds + 20)


def check_files(stage, cluster, load):
    """Python whisper finds every point of some series in the files of both owners."""
    ranges = [range(load.oldest, load.backfilled(load.last)), range(load.first, load.last + 1)]
    lacking = points = 0
    for place in random.Random(SEED).sample(range(len(NAMES)), FILES_READ):
        expected = {stamp: value(place, stamp) for stamps in ranges for stamp in stamps}
        for node in (node for node in cluster.nodes if node.name in cluster.owners[NAMES[place]]):
            found = read_file(os.path.join(node.whisper, file_of(NAMES[place])), load.oldest - 1, load.last)
            wrong = [stamp for stamp, number in found.items() if expected.get(stamp) != number]
            stage.check(not wrong, f"file of {node.name}: {NAMES[place]}: {len(wrong)} points that were not sent, first at {wrong[:1]}")
            lacking, points = lacking + len(expected) - len(found), points + len(expected)
    stage.check(lacking == 0, f"{lacking} of {points} points are not in the files")
    print(f"mixed_load: Python whisper: {lacking} of {points} points of {FILES_READ} series lacking on one of their two owners", flush=True)


def report(stage, cluster, load, log, memory):
    print(f"mixed_load: {load.lines} lines sent, at most {load.behind:.2f} s late; {log.series} series and {log.points} points compared", flush=True)
    for phase, took in sorted(log.took.items()):
        ranked = sorted(took)
        print(f"mixed_load: {phase}: {len(took)} answers, median {ranked[len(ranked) // 2] * 1000:.0f} ms, "
              f"99 % within {ranked[len(ranked) * 99 // 100] * 1000:.0f} ms, longest {ranked[-1] * 1000:.0f} ms", flush=True)
        stage.passed += len(took)
    check_memory(stage, cluster, memory)
    for failure in log.failures:
        stage.check(False, failure)


def check_memory(stage, cluster, memory):
    """The nodes are judged together: each begins anew every few minutes, at another time than the others."""
    growth = {}
    for label, _ in cluster.parts():
        early, late = memory.medians(label)
        print(f"mixed_load: memory of {label}: {early:.0f} MiB in the second quarter, {late:.0f} in the last, "
              f"at most {max(size for _, size in memory.samples[label]):.0f}", flush=True)
        judged = "all nodes" if label.startswith("node-") else label
        before, after = growth.get(judged, (0, 0))
        growth[judged] = (before + early, after + late)
    for judged, (early, late) in growth.items():
        stage.check(late <= early * MEMORY_GROWTH + MEMORY_SLACK_MIB, f"memory of {judged} grew from {early:.0f} to {late:.0f} MiB")


def main():
    with Stage("mixed_load") as stage:
        cluster = Pipeline(stage, NAMES, RETENTIONS, LAG)
        load, log = Load(cluster.relay.line), Log()
        print(f"mixed_load: INTEROP_SEED={SEED}, {SECONDS} s", flush=True)
        load.start()
        wait_for("the load", lambda: load.last >= load.first + SETTLED_SECONDS + 5)
        memory = Memory(cluster)
        dashboards = [Dashboard(number, cluster.api, load, log) for number in range(DASHBOARDS)]
        for thread in [memory, *dashboards]:
            thread.start()
        falls = 0
        while load.last - load.first < SECONDS:
            fall_and_return(stage, cluster, load, log, cluster.nodes[falls % len(cluster.nodes)], politely=falls // len(cluster.nodes) % 2 == 1)
            falls += 1
        for thread in [memory, *dashboards]:
            thread.over.set()
        for thread in dashboards:
            thread.join(40)
        load.end()
        cluster.wait_drained(DRAIN_SECONDS)
        stage.check(load.failure is None, f"the load broke off: {load.failure}")
        print(f"mixed_load: {falls} times a node fell and returned", flush=True)
        report(stage, cluster, load, log, memory)
        cluster.stop()
        check_files(stage, cluster, load)


main()
