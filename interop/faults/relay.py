"""A relay with its log between a load and three storage nodes: what is accepted comes to both owners, once, whoever dies, stops, is slow or cut off."""
import collections
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import whisper

import plumbago
from crash import check_stop
from damage import JOURNAL_DAMAGES
from nodes import Plumbago, check_ledger
from rig import into_cgroup
from stage import HOST, Failed, address, free_port, http, wait_for
from tracks import Acknowledged, Sender, Track, read_ticks

SERIES = 2000
ACK_SERIES = 500
COPIES = 2
DELAY_SECONDS_MAX = 0.1
BACK_SECONDS_MAX = 10
HEALED_SECONDS_MAX = 60
PRIORITY = -10
DESCRIPTORS = 64
IDLE_CONNECTIONS = 100
CPU_SHARE_MAX = 0.5
LOG_TMPFS = "256m"


class Store(Plumbago):
    """One of several storage nodes, with a port for the acknowledged link."""

    def __init__(self, rig, label):
        self.label, self.link, self.lives = label, free_port(), 0
        super().__init__(rig, ["--lag", "2s", "--link", address(self.link)])

    def start(self):
        self.lives += 1
        return super().start()


class Relay(Plumbago):
    """The relay under test, as a process that can be ended and started again on its log."""

    label = "relay"
    prefix = "plumbago_relay_"

    def __init__(self, rig, nodes, probe, is_plain, wrap=(), segment="64MiB", rule=""):
        self.rig, self.options, self.probe, self.is_plain, self.segment, self.rule = rig, {}, probe, is_plain, segment, rule
        self.line, self.admin = free_port(), address(free_port())
        self.log_folder = rig.path("relay-log")
        self.argv = [*wrap, plumbago.binary("plumbago-relay"), "--config", self.configure(nodes)]

    def configure(self, nodes):
        """Writes the settings for these nodes; gives their path."""
        owners = ", ".join(self.owner(node) for node in nodes)
        return self.rig.write("relay.toml", RELAY_TOML.format(line=address(self.line), admin=self.admin, log=self.log_folder, copies=COPIES, nodes=owners,
                                                              probe=address(self.probe), segment=self.segment, rule=self.rule))

    def owner(self, node):
        link = "" if self.is_plain else f", link = '{address(node.link)}'"
        return f"{{ line = '{address(node.line)}', instance = '{node.label}'{link} }}"

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def backlog(self):
        """Lines that wait, by storage node."""
        rows = json.loads(http(f"http://{self.admin}/admin/backlog"))
        return {row["node"].split("=")[1]: row["lines"] for row in rows if "=" in row["node"]}

    def ledger(self):
        """(lines that were to go to a node, where they are, text)."""
        count = self.metrics()
        left = {"routed": sum(count.get(f'cluster_lines_total{{cluster="{name}"}}', 0) * copies for name, copies in (("default", COPIES), ("probe", 1))),
                "log_lines_found_total": self.sum(count, "log_lines_found_total")}
        right = {name: self.sum(count, name) for name in ("lines_sent_total", "link_lines_known_total", "backlog_lines", "node_lines_dropped_total")}
        right["lines_resent_total"] = -self.sum(count, "lines_resent_total")
        text = " = ".join(" ".join(f"{value:+,.0f} {name.removeprefix('lines_').removesuffix('_total')}" for name, value in side.items()) for side in (left, right))
        return sum(left.values()), sum(right.values()), text

    @staticmethod
    def sum(count, name):
        return sum(value for key, value in count.items() if key.split("{")[0] == name)


class Probe:
    """What a line takes to a node that has no fault, as a context around the fault."""

    def __init__(self, rig, node_port, line_port):
        self.rig, self.task = rig, {"node": node_port, "line": line_port}
        self.seconds, self.direct, self.sent = [], [], 0

    def __enter__(self):
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "probe.py")
        self.process = subprocess.Popen([sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.rig.processes.append(("probe", self.process))
        self.process.stdin.write(json.dumps(self.task) + "\n")
        self.process.stdin.flush()
        self.process.stdout.readline()
        return self

    def __exit__(self, *_):
        answer, _none = self.process.communicate("\n", timeout=60)
        self.rig.processes.remove(("probe", self.process))
        told = json.loads(answer)
        self.seconds, self.direct, self.sent = sorted(told["through"]), sorted(told["direct"]), told["sent"]

    def check(self):
        """The fault was nothing to a node that has none. What a line takes without any relay is the machine's own share."""
        self.rig.check(len(self.seconds) >= self.sent > 0, f"{len(self.seconds)} of {self.sent} probes came through")
        if self.seconds and self.direct:
            delay, own = percentile(self.seconds, 0.99), percentile(self.direct, 0.99)
            self.rig.check(delay < DELAY_SECONDS_MAX + own, f"a node without a fault gets its lines after {delay * 1000:.0f} ms (p99)")
            self.rig.note(f"another node's lines take {percentile(self.seconds, 0.5) * 1000:.0f} ms (p99 {delay * 1000:.0f}; without a relay {own * 1000:.0f})")


def percentile(ranked, share):
    return ranked[min(len(ranked) - 1, int(len(ranked) * share))]


class Chain:
    """A relay, three storage nodes of which two own each series, and a probe. Relay and nodes speak by the acknowledged link, unless it is plain."""

    def __init__(self, rig, is_plain=False, **relay):
        self.rig = rig
        # What else runs on this machine is no fault of the relay's; all that the case starts has this priority.
        os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)
        self.nodes = [Store(rig, label) for label in ("a", "b", "c")]
        self.relay = Relay(rig, self.nodes, free_port(), is_plain, **relay)
        self.probe = Probe(rig, self.relay.probe, self.relay.line)
        self.tracks = []

    def start(self, *away):
        for node in self.nodes:
            if node.label not in away:
                node.start()
        self.relay.start()
        return self

    def node(self, label):
        return next(node for node in self.nodes if node.label == label)

    def track(self, name, series=SERIES):
        self.tracks.append(Track(name, series))
        return self.tracks[-1]

    def sender(self, rate=None, seconds=None):
        """A load over one connection, running already; after its `finish` all of it is promised."""
        sender = Sender(self.relay.line, self.track(f"load-{len(self.tracks)}"), rate or self.rig.options.rate, seconds)
        sender.start()
        return sender

    def batches(self, seconds):
        """Answered batches for so long, or until the relay is gone; returns what promises them."""
        batches = Acknowledged(self.relay.line, self.track(f"batch-{len(self.tracks)}", ACK_SERIES))
        batches.start()
        time.sleep(seconds)  # the load runs
        return batches

    def wait_for_no_backlog(self, seconds):
        """Gives the seconds until nothing waits for any node."""
        started = time.monotonic()
        wait_for("nothing to wait for a node", lambda: not any(self.relay.backlog().values()), seconds)
        return time.monotonic() - started

    def check(self):
        """At the end: every promised point is in the files of two nodes, once, and all books balance."""
        self.wait_for_no_backlog(HEALED_SECONDS_MAX)
        check_relay_ledger(self.rig, self.relay)
        self.wait_for_quiet()
        for node in self.nodes:
            node.settle()
            check_ledger(self.rig, node, f" of {node.label}")
        found = collections.Counter()
        for track in self.tracks:
            found += self.copies_of(track)
        if not self.relay.is_plain:
            self.check_once(found)
        self.rig.check(found["lost"] == 0, f"{found['lost']:,} copies lost of {found['promised'] * COPIES:,}")
        self.rig.check(found["wrong"] == 0, f"{found['wrong']:,} wrong points")
        self.rig.check(found["spread"] == 0, f"{found['spread']:,} points on more nodes than they have owners")
        self.rig.check(found["promised"] > 0, "nothing was promised: this proves nothing")
        self.rig.note(f"{found['lost']:,} of {found['promised']:,} points lost, each on {COPIES} nodes; {self.resent():,.0f} lines had to wait again after a lost connection")

    def check_once(self, found):
        """Over the link a node takes nothing twice: it received as many points as its files have. A node that died has lost its count."""
        for node in self.nodes:
            received = node.received(None)
            self.rig.check(node.lives > 1 or received == found[node.label], f"{node.label} received {received:,} points, and has {found[node.label]:,} in its files")

    def wait_for_quiet(self):
        """What the relay has handed to a connection, a node may still be reading."""
        def received():
            return [node.received(None) for node in self.nodes]
        before = None
        while before != (before := received()):
            time.sleep(0.5)

    def resent(self):
        return self.relay.metric("lines_resent_total")

    def copies_of(self, track):
        """How many points are promised, lost, wrong, on too many nodes, and in the files of each node."""
        found = collections.Counter(promised=sum(until - first for first, until in track.must))
        ticks = -(-track.next // track.series)
        for place in range(track.series):
            rows = [read_ticks(track, track.file_of(node.whisper, place), 0, ticks) for node in self.nodes] if ticks else []
            for tick in range(ticks):
                number, stamp = tick * track.series + place, track.stamp(tick)
                found.update(node.label for node, row in zip(self.nodes, rows) if stamp in row)
                values = [row[stamp] for row in rows if stamp in row]
                copies = values.count(number)
                found["wrong"] += len(values) - copies
                found["spread"] += copies > COPIES
                if copies < COPIES and track.promised(number):
                    found["lost"] += COPIES - copies
        return found


def check_relay_ledger(rig, relay):
    try:
        wait_for("the relay's ledger to balance", lambda: (books := relay.ledger())[0] == books[1], 5)
    except Failed:
        pass
    left, right, text = relay.ledger()
    rig.check(left == right, f"relay's ledger: {text}, which is {left - right:+,.0f}")
    rig.books.append(text)


def dead_node(rig):
    """Down for the whole load, then up."""
    chain = Chain(rig).start("b")
    with chain.probe:
        sender = chain.sender(seconds=rig.long_or_quick(60, 8))
        sender.join(120)
        sender.finish()
    waits = chain.relay.backlog()["b"]
    chain.node("b").start()
    took = chain.wait_for_no_backlog(120)
    rig.check(took <= BACK_SECONDS_MAX, f"the last of {waits:,} lines came only {took:.1f} s after the node was back")
    rig.note(f"{waits:,} lines waited, and were there {took:.1f} s after the node")
    chain.check()
    chain.probe.check()


def killed_node_of_plain_lines(rig):
    killed_node(rig, is_plain=True)


def killed_node(rig, is_plain=False):
    """kill -9 in the middle of a load, started again a second later."""
    chain = Chain(rig, is_plain).start()
    seconds = rig.long_or_quick(60, 8)
    with chain.probe:
        sender = chain.sender(seconds=seconds)
        time.sleep(seconds / 3)  # the load runs
        chain.node("b").kill()
        time.sleep(1)  # so long is it away
        chain.node("b").start()
        sender.join(120)
        sender.finish()
    chain.check()
    chain.probe.check()


def stopped_reader(rig):
    chain = Chain(rig).start()
    seconds = rig.long_or_quick(60, 8)
    with chain.probe:
        sender = chain.sender(seconds=seconds + 2)
        time.sleep(1)  # the load runs
        chain.node("b").process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)  # so long does it not read
        chain.node("b").process.send_signal(signal.SIGCONT)
        sender.join(120)
        sender.finish()
    rig.note(f"a node was stopped for {seconds} s")
    chain.check()
    chain.probe.check()


def slow_node(rig):
    """A node whose listener of plain lines takes a fifth of what comes for it, until it is started again without that limit."""
    rate = rig.options.rate
    chain = Chain(rig, is_plain=True)
    node = chain.node("b")
    argv, limit = list(node.argv), rate * COPIES // len(chain.nodes) // 5
    config = rig.write("slow.toml", f"line = []\n[[listener]]\naddress = '{address(node.line)}'\nlines_per_second_max = {limit}\n")
    place = node.argv.index("--line")
    node.argv[place:place + 2] = ["--config", config]
    chain.start()
    with chain.probe:
        sender = chain.sender(seconds=rig.long_or_quick(60, 8))
        sender.join(120)
        rig.check(sender.points_per_second() > rate * 0.9, f"the sender was slowed to {sender.points_per_second():,.0f} points/s")
        sender.finish()
        rig.note(f"a node that takes {limit:,} lines/s was {chain.relay.backlog()['b']:,} behind")
    node.terminate()
    node.argv = argv
    node.start()
    chain.check()
    chain.probe.check()


def killed_relay(rig):
    """kill -9 with lines waiting for a dead node; both come back."""
    restarted_relay(rig, lambda relay: relay.kill())


def stopped_relay(rig):
    """SIGTERM with lines waiting for a dead node; both come back."""
    restarted_relay(rig, lambda relay: check_stop(rig, *relay.terminate()))


def restarted_relay(rig, end):
    chain = Chain(rig).start("b")
    batches = []
    for _ in range(rig.long_or_quick(10, 3)):
        running = chain.batches(2)
        end(chain.relay)
        running.finish()
        batches.append(running.batches)
        chain.relay.start()
    waits = chain.relay.backlog()["b"]
    chain.node("b").start()
    took = chain.wait_for_no_backlog(120)
    rig.check(took <= BACK_SECONDS_MAX, f"the last of {waits:,} lines came only {took:.1f} s after the node was back")
    rig.note(f"{len(batches)} ends of the relay under load; {sum(batches):,} batches of {ACK_SERIES} points were answered before, {waits:,} lines waited for the dead node")
    chain.check()


PARTITIONS = {"both ways": ("--dport", "--sport"), "towards the node": ("--dport",), "from the node": ("--sport",)}


def partition(rig):
    chain = Chain(rig).start()
    port = chain.node("b").link
    for what, ends in PARTITIONS.items():
        rules = [["INPUT", "-p", "tcp", end, str(port), "-j", "DROP"] for end in ends]
        with chain.probe:
            sender = chain.sender(seconds=rig.long_or_quick(60, 6))
            time.sleep(1)  # the load runs
            for rule in rules:
                subprocess.run(["iptables", "-A", *rule], check=True)
            sender.join(120)
            for rule in rules:
                subprocess.run(["iptables", "-D", *rule], check=True)
            sender.finish()
            waited = chain.relay.backlog()["b"]
            took = chain.wait_for_no_backlog(HEALED_SECONDS_MAX)
        rig.note(f"{what}: {waited:,} lines waited, and were there {took:.1f} s after it was over")
        chain.probe.check()
    chain.check()


def bad_reload(rig):
    """SIGHUP with a file that has a fault, under load; then with a sound one."""
    chain = Chain(rig).start()
    path = rig.path("relay.toml")
    with open(path, encoding="utf-8") as file:
        sound = file.read()
    sender = chain.sender(seconds=4)
    rig.write("relay.toml", sound.replace("type = 'carbon_ch'", "type = 'carbon_hc'"))
    chain.relay.reload()
    wait_for("the fault to be counted", lambda: chain.relay.metrics(prefix="plumbago_").get("settings_faults"), 10)
    said = next((row for row in chain.relay.log().splitlines() if "relay.toml:" in row), "")
    rig.check("relay.toml:9:8" in said and "carbon_ch" in said, f"place and hint are not told: {said!r}")
    rig.check(chain.relay.alive(), "a bad file ended the relay")
    rig.write("relay.toml", sound)
    chain.relay.reload()
    wait_for("sound settings to be in force", lambda: chain.relay.metrics(prefix="plumbago_").get("settings_faults") == 0, 10)
    sender.join(60)
    sender.finish()
    rig.note(f"the old settings stayed; it said: {said.split('ERROR')[-1].strip()}")
    chain.check()


def nodes_come_and_go(rig):
    """SIGHUP adds a node under load and removes it: points have two owners of one ring or the other."""
    chain = Chain(rig)
    relay, (first, second, third) = chain.relay, chain.nodes
    relay.configure([first, second])
    chain.start()
    with chain.probe:
        sender = chain.sender(seconds=9)
        for nodes in (chain.nodes, [first, second]):
            time.sleep(3)  # the load runs
            relay.configure(nodes)
            relay.reload()
        sender.join(60)
        sender.finish()
    rig.check(third.received(None) > 0, "the new node got nothing")
    rig.note(f"the node that came and went got {third.received(None):,} points")
    chain.check()
    chain.probe.check()


def few_descriptors(rig):
    chain = Chain(rig, wrap=["prlimit", f"--nofile={DESCRIPTORS}"]).start()
    relay, before = chain.relay, chain.sender(rate=5000)
    idle = [open_idle(relay.line) for _ in range(IDLE_CONNECTIONS)]
    time.sleep(1)  # it takes what it can
    cpu, started = relay.cpu_seconds(), time.monotonic()
    time.sleep(3)  # the shortage lasts
    share, descriptors = (relay.cpu_seconds() - cpu) / (time.monotonic() - started), len(os.listdir(f"/proc/{relay.process.pid}/fd"))
    rig.check(share <= CPU_SHARE_MAX, f"{share:.0%} of a CPU while it cannot accept")
    for connection in idle:
        connection.close()
    freed = time.monotonic()
    after = chain.sender(rate=5000, seconds=1)
    after.join(30)
    after.finish(30)
    rig.note(f"{descriptors} of {DESCRIPTORS} descriptors under {IDLE_CONNECTIONS} idle connections: {share:.0%} of a CPU; "
             f"a second's load of a new connection answered {time.monotonic() - freed:.1f} s after they closed")
    before.finish()
    chain.check()


def open_idle(port):
    connection = socket.socket()
    connection.setblocking(False)
    connection.connect_ex((HOST, port))
    return connection


def starved(rig):
    """A fifth of a CPU for relay and a node each, then the relay frozen."""
    group = rig.cgroup("cpu", cfs_quota_us=20_000)
    rig.check(group is not None, "no cpu cgroup here: nothing starves")
    chain = Chain(rig, wrap=into_cgroup(group)).start()
    sender = chain.sender(rate=10_000, seconds=rig.long_or_quick(60, 6))
    sender.join(120)
    sender.finish(120)
    frozen = rig.long_or_quick(30, 5)
    sender = chain.sender(rate=10_000, seconds=frozen + 2)
    time.sleep(1)  # the load runs
    chain.relay.process.send_signal(signal.SIGSTOP)
    time.sleep(frozen)  # so long does it stand still
    chain.relay.process.send_signal(signal.SIGCONT)
    sender.join(120)
    sender.finish(120)
    lost = chain.relay.metric("connects_total") - len(chain.nodes) - 1
    rig.check(lost <= 0, f"{lost:.0f} connections to nodes were given up")
    rig.note(f"with a fifth of a CPU, and frozen for {frozen} s: no node was taken for dead")
    chain.check()


def log_disk_full(rig):
    """No byte free under the log while lines wait for a dead node; then space."""
    chain = Chain(rig)
    rig.tmpfs(chain.relay.log_folder, LOG_TMPFS)
    chain.start("b")
    before = chain.sender(rate=5000, seconds=2)
    before.join(30)
    before.finish()
    fill = os.path.join(chain.relay.log_folder, "fill")
    with chain.probe:
        subprocess.run(["sh", "-c", f"head -c 1G /dev/zero > '{fill}' 2>/dev/null"], check=False)
        sender = chain.sender(rate=5000, seconds=rig.long_or_quick(60, 6))
        wait_for("the log to stall", lambda: chain.relay.metric("log_stalled"), 20)
        sender.join(120)
        errors = chain.relay.metric("log_write_errors_total")
        rig.check(chain.relay.alive(), "died of the full disk")
        os.remove(fill)
        sender.finish()
    chain.node("b").start()
    took = chain.wait_for_no_backlog(120)
    rig.note(f"{errors:,.0f} writes of the log failed; all lines were with the dead node {took:.1f} s after it was back")
    chain.check()
    chain.probe.check()


def damaged_log(rig):
    """The relay is killed with lines waiting for a dead node, and a copy of its log damaged in each way."""
    chain = Chain(rig, segment="1MiB").start("b")
    running = chain.batches(4)
    chain.relay.kill()
    running.finish()
    sound = f"{chain.relay.log_folder}.sound"
    os.rename(chain.relay.log_folder, sound)
    track, node = chain.tracks[0], chain.node("b")
    owned = sum(value for label, value in copies_by_node(chain, track).items() if label != "b")
    expected = sum(until - first for first, until in track.must) * COPIES - owned
    for what, damage in JOURNAL_DAMAGES.items():
        damaged = sound.replace(".sound", ".damaged")
        shutil.copytree(sound, damaged)
        segments = sorted(os.path.join(damaged, name) for name in os.listdir(damaged) if name.endswith(".relay"))
        allowed = damage(rig.rng, segments)
        os.rename(damaged, chain.relay.log_folder)
        shutil.rmtree(node.data, ignore_errors=True)
        chain.relay.start()
        node.start()
        chain.wait_for_no_backlog(60)
        chain.wait_for_quiet()
        node.settle()
        arrived = copies_by_node(chain, track)["b"]
        told = {name: value for name, value in chain.relay.metrics().items() if any(word in name for word in ("damaged", "torn", "unusable")) and value}
        rig.check(expected - arrived <= allowed, f"{what}: {expected - arrived:,} lost, and the damaged frames had {allowed:,} lines")
        rig.check(told or what == "missing segment", f"{what}: no metric tells")
        check_relay_ledger(rig, chain.relay)
        rig.note(f"{what}: {max(0, expected - arrived):,} lost (its frames had {allowed:,})")
        node.kill()
        chain.relay.kill()
        shutil.rmtree(chain.relay.log_folder)


def copies_by_node(chain, track):
    """How many of the promised points each node's files have."""
    ticks = -(-track.next // track.series)
    count = collections.Counter()
    for node in chain.nodes:
        if node.label != "b":
            node.settle()
        for place in range(track.series):
            values = read_ticks(track, track.file_of(node.whisper, place), 0, ticks)
            count[node.label] += sum(track.promised(int(value)) for value in values.values())
    return count


def killed_with_windows(rig):
    """kill -9 of a relay again and again while one window is open: its sums are those of all answered points."""
    chain = Chain(rig, rule=WINDOW_RULE).start()
    minute = int(time.time()) // 60 * 60 - 600
    lives = rig.long_or_quick(20, 4)
    for life in range(lives):
        numbers = range(life * WINDOW_POINTS, (life + 1) * WINDOW_POINTS)
        plumbago.send_lines(chain.relay.line, "".join(f"part.host-{number % 100} {number} {minute + number % 60}\n" for number in numbers))
        chain.relay.kill()
        chain.relay.start()
    plumbago.send_lines(chain.relay.line, f"part.host-0 1 {minute + 300}\n")
    count = lives * WINDOW_POINTS
    wanted = {"count": count, "sum": count * (count - 1) / 2, "max": count - 1}
    for method, value in wanted.items():
        # What was sent before the last life's points came is sent again with them.
        wait_for(f"{method} of {count:,} points to be {value:,} on {COPIES} nodes", lambda: slots_of(chain, method, minute) == [value] * COPIES, 60)
    chain.wait_for_no_backlog(10)
    check_relay_ledger(rig, chain.relay)
    rig.note(f"{lives} lives: count, sum and max of {count:,} points in one open window are exact")


def slots_of(chain, method, stamp):
    """What the nodes' files of a result have at a time."""
    for node in chain.nodes:
        node.settle()
    paths = [os.path.join(node.whisper, "total", f"{method}.wsp") for node in chain.nodes]
    slots = [whisper.fetch(path, stamp - 1, stamp)[1][0] for path in paths if os.path.exists(path)]
    return [slot for slot in slots if slot is not None]


WINDOW_POINTS = 1000
WINDOW_RULE = """[[rule]]
name = 'sums'
match = { regex = '^part\\..*$' }
aggregate = { into = 'total.{method}', window = '1m', method = ['count', 'sum', 'max'] }
stop = true
"""

RELAY_TOML = """line = ['{line}']
pickle = []
admin = '{admin}'
log = '{log}'
log_segment_bytes = '{segment}'
self_metrics_interval = '0s'

[clusters.default]
type = 'carbon_ch'
copies = {copies}
node = [{nodes}]

[clusters.probe]
type = 'forward'
node = ['{probe}']

[[rule]]
match = {{ prefix = 'probe.' }}
send = 'probe'
stop = true

{rule}"""
