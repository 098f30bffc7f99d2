"""The storage nodes under test: ours, and go-carbon by the same calls."""
import json
import os
import re
import signal
import subprocess
import time
import urllib.parse

import plumbago
from stage import HOST, Failed, address, free_port, http, wait_for
from tracks import RETENTIONS

READY_SECONDS = 60


class Plumbago(plumbago.Carbon):
    """Our node as one process in a folder of its own."""

    label = "node"
    prefix = "plumbago_carbon_"
    has_metrics = True

    def __init__(self, rig, flags=(), wrap=(), **options):
        super().__init__(rig, self.label, plumbago.write_rules(rig, RETENTIONS))
        self.rig, self.options = rig, options
        self.data = os.path.dirname(self.whisper)
        known = plumbago_flags()
        quiet = {"--self-metrics-interval": "0s", "--scan-interval": "0s"}
        self.argv = [*wrap, *self.argv, *(part for pair in quiet.items() if pair[0] in known for part in pair), *flags]

    def start(self):
        """Starts it and returns the seconds until it is ready."""
        started = time.monotonic()
        self.process = self.rig.spawn(self.label, self.argv, **self.options)
        self.rig.wait_alive(self.process, "readiness", lambda: http(f"http://{self.admin}/ready") is not None, READY_SECONDS)
        self.rig.wait_port(self.process, self.line)
        return time.monotonic() - started

    def kill(self, number=signal.SIGKILL):
        """Ends it by a signal. Rust takes a first SIGSEGV that no bad access has caused for nothing, so it is sent until it works."""
        for _ in range(20):
            self.process.send_signal(number)
            try:
                self.process.wait(1)
                break
            except subprocess.TimeoutExpired:
                continue
        else:
            raise Failed(f"still runs after signal {number}")
        self.forget()

    def forget(self):
        self.rig.processes = [(label, other) for label, other in self.rig.processes if other is not self.process]

    def terminate(self, seconds=30):
        """SIGTERM; gives exit code and seconds."""
        started = time.monotonic()
        self.process.terminate()
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failed(f"still runs {seconds} s after SIGTERM") from None
        self.forget()
        return code, time.monotonic() - started

    def alive(self):
        return self.process.poll() is None

    def settle(self, seconds=60):
        """All that was taken is in files."""
        wait_for("a flush that writes everything", lambda: self.flush() or True, seconds)

    def metrics(self, prefix=None):
        """Every metric as {name without prefix, labels and all: value}."""
        prefix = prefix or self.prefix
        rows = http(f"http://{self.admin}/metrics").decode().splitlines()
        pairs = (row.rsplit(" ", 1) for row in rows if row.startswith(prefix))
        return {name.removeprefix(prefix): float(value) for name, value in pairs}

    def metric(self, name):
        return total(self.metrics(), name)

    def received(self, _sender):
        return int(self.metric("points_received_total"))

    def render(self, names, start, until):
        pairs = [("target", name) for name in names] + [("from", start), ("until", until), ("format", "json")]
        return json.loads(http(f"http://{self.read}/render?{urllib.parse.urlencode(pairs)}", seconds=20))

    def rss(self, field="VmRSS"):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return next(int(row.split()[1]) * 1024 for row in status if row.startswith(field + ":"))

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def segments(self):
        folder = os.path.join(self.data, "journal")
        names = os.listdir(folder) if os.path.isdir(folder) else []
        return sorted(os.path.join(folder, name) for name in names if name.endswith(".journal"))

    def log(self):
        with open(self.rig.path(f"{self.label}.log"), encoding="utf-8", errors="replace") as log:
            return log.read()


def plumbago_flags():
    """The flags that this build knows."""
    done = subprocess.run([plumbago.binary("plumbago-carbon"), "--help"], capture_output=True, text=True, check=True)
    return set(re.findall(r"--[a-z-]+", done.stdout))


def total(metrics, name):
    """A metric summed over its labels."""
    return sum(value for key, value in metrics.items() if key.split("{")[0] == name)


def ledger(node):
    """(left side, right side, text) of the node's own books."""
    metrics = node.metrics()
    left = {name: total(metrics, name) for name in ("points_received_total", "points_replayed_total")}
    names = ("points_written_total", "points_superseded_total", "points_dropped_total", "points_pending")
    right = {name: total(metrics, name) for name in names}
    text = " = ".join(" + ".join(f"{value:,.0f} {name.removeprefix('points_').removesuffix('_total')}" for name, value in side.items() if value or name in ("points_received_total", "points_written_total"))
                      for side in (left, right))
    return sum(left.values()), sum(right.values()), text


def check_ledger(rig, node, what=""):
    """The books balance at a quiet moment; a moment that is not quiet yet gets some seconds."""
    if not node.has_metrics:
        return
    try:
        wait_for("the ledger to balance", lambda: ledger(node)[0] == ledger(node)[1], 5)
    except Failed:
        pass
    left, right, text = ledger(node)
    rig.check(left == right, f"ledger{what}: {text}, which is {left - right:+,.0f}")
    rig.books.append(text)


class GoCarbon(Plumbago):
    """The peer; $GO_CARBON names its binary."""

    label = "go-carbon"
    has_metrics = False

    def __init__(self, rig, flags=(), wrap=(), **options):
        self.rig, self.options = rig, options
        self.data = rig.path(self.label)
        self.whisper = os.path.join(self.data, "whisper")
        self.line, port = free_port(), free_port()
        self.read = address(port)
        rules = plumbago.write_rules(rig, RETENTIONS)
        config = rig.write("go-carbon.conf", CONFIG.format(whisper=self.whisper, schemas=rules[1], aggregation=rules[3], line=self.line, read=port))
        self.argv = [*wrap, os.environ["GO_CARBON"], "-config", config]

    def start(self):
        started = time.monotonic()
        os.makedirs(self.whisper, exist_ok=True)
        self.process = self.rig.spawn(self.label, self.argv, **self.options)
        self.rig.wait_port(self.process, self.line)
        return time.monotonic() - started

    def received(self, sender):
        return sender.taken_off_the_socket() - sender.first

    def settle(self, seconds=60):
        """It has no flush: its files have not changed for three seconds."""
        deadline, quiet, last = time.monotonic() + seconds, time.monotonic(), None
        while time.monotonic() < deadline and time.monotonic() - quiet < 3:
            now = newest_change(self.whisper)
            if now != last:
                quiet, last = time.monotonic(), now
            time.sleep(0.2)

    def render(self, names, start, until):
        pairs = [("target", name) for name in names] + [("from", start), ("until", until), ("format", "json")]
        return http(f"http://{self.read}/render?{urllib.parse.urlencode(pairs)}", seconds=20)


def newest_change(folder):
    newest = 0
    for path, _, names in os.walk(folder):
        newest = max([newest, *(os.stat(os.path.join(path, name)).st_mtime_ns for name in names)])
    return newest


CONFIG = """[common]
user = "root"
max-cpu = 2
metric-endpoint = "local"
metric-interval = "1h0m0s"
[whisper]
data-dir = "{whisper}"
schemas-file = "{schemas}"
aggregation-file = "{aggregation}"
workers = 2
sparse-create = true
[cache]
max-size = 100000000
[udp]
enabled = false
[tcp]
listen = "127.0.0.1:{line}"
[pickle]
enabled = false
[carbonlink]
enabled = false
[grpc]
enabled = false
[carbonserver]
listen = "127.0.0.1:{read}"
enabled = true
trie-index = true
trigram-index = false
scan-frequency = "1s"
max-globs = 100000
query-cache-enabled = false
find-cache-enabled = false
[[logging]]
logger = ""
file = "stdout"
level = "warn"
"""
