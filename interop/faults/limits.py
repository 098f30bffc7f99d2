"""Too few descriptors, too little memory, too many names."""
import os
import socket
import threading
import time

from disk import store_some
from nodes import check_ledger, total
from rig import into_cgroup, read_text
from stage import HOST, wait_for
from tracks import Sender, Track, verify

DESCRIPTORS = 64
IDLE_CONNECTIONS = 100
CPU_SHARE_MAX = 0.5
MEMORY_BYTES = 256 << 20
NAMES_A_PORTION = 20_000


def few_descriptors(rig):
    node, track = rig.node(["--lag", "1s"], ["prlimit", f"--nofile={DESCRIPTORS}"]), Track("few", 500)
    node.start()
    sender = Sender(node.line, track, 5000)
    sender.start()
    wait_for("the first points", lambda: node.metric("points_received_total") > 0, 10)
    idle = []
    for _ in range(IDLE_CONNECTIONS):
        connection = socket.socket()
        connection.setblocking(False)
        connection.connect_ex((HOST, node.line))
        idle.append(connection)
    descriptors = f"/proc/{node.process.pid}/fd"
    wait_for("the node to hold half of its descriptors or more for connections", lambda: len(os.listdir(descriptors)) >= DESCRIPTORS * 3 // 4, 10)
    before, started, cpu = files_written(node, track), time.monotonic(), node.cpu_seconds()
    time.sleep(4)  # the shortage lasts
    share = (node.cpu_seconds() - cpu) / (time.monotonic() - started)
    open_now, grown = len(os.listdir(descriptors)), os.path.getsize(rig.path("node.log"))
    written = files_written(node, track) - before
    rig.check(share <= CPU_SHARE_MAX, f"{share:.0%} of a CPU while it cannot accept")
    rig.check(written > 0, "no file was written meanwhile")
    for connection in idle:
        connection.close()
    freed = time.monotonic()
    other = Track("after", 500)
    store_some(node, other)
    back = time.monotonic() - freed
    sender.finish()
    node.settle()
    check_ledger(rig, node)
    found = [verify(one, node.whisper) for one in (track, other)]
    rig.check(not any(one.lost or one.wrong for one in found), "; ".join(map(str, found)))
    rig.check(back < 5, f"accepts again only after {back:.1f} s")
    rig.note(f"{open_now} of {DESCRIPTORS} descriptors open under {IDLE_CONNECTIONS} idle connections: {share:.0%} of a CPU, {written} of 500 files written meanwhile, {grown:,} bytes of log; "
             f"a new connection's points taken {back:.1f} s after they closed; {sum(one.lost for one in found)} lost of {sender.sent + other.next:,}")


def files_written(node, track):
    """A number that grows with what is in the files of a track, read without the node, which has no descriptor to answer with."""
    found = verify(track, node.whisper)
    return found.present


class Flood(threading.Thread):
    """Fresh names as fast as they are taken."""

    def __init__(self, port, names):
        super().__init__(daemon=True)
        self.connection = socket.create_connection((HOST, port), timeout=300)
        self.names, self.sent, self.failure = names, 0, None

    def run(self):
        try:
            while self.sent < self.names:
                now = int(time.time())
                portion = range(self.sent, self.sent + NAMES_A_PORTION)
                self.connection.sendall("".join(f"flood.customer-{n % 997}.request-{n}.latency 1 {now}\n" for n in portion).encode())
                self.sent += NAMES_A_PORTION
            self.connection.shutdown(socket.SHUT_WR)
            while self.connection.recv(4096):
                pass
        except OSError as error:
            self.failure = error
        self.connection.close()


def flood_of_names(rig):
    names, limit = rig.long_or_quick((10_000_000, 100_000), (1_000_000, 20_000))
    group = rig.cgroup("memory", limit_in_bytes=MEMORY_BYTES)
    rig.check(group is not None, "no memory cgroup here: nothing caps the memory")
    flags = ["--series-limit", str(limit), "--pending-bytes-max", "64MiB", "--free-space-min", "0B", "--lag", "5s"]
    node, track = rig.node(flags, into_cgroup(group)), Track("existing", 1000)
    node.start()
    store_some(node, track)
    node.settle()
    sender, flood = Sender(node.line, track, 10_000), Flood(node.line, names)
    started = time.monotonic()
    for thread in (sender, flood):
        thread.start()
    highest = 0
    while flood.is_alive() and node.alive():
        flood.join(0.5)
        highest = max(highest, node.rss() if node.alive() else 0)
    took = time.monotonic() - started
    rig.check(node.alive(), f"died after {flood.sent:,} names")
    rig.check(flood.failure is None, f"the flood was cut off after {flood.sent:,} names: {flood.failure}")
    sender.finish(120)
    node.settle(180)
    check_ledger(rig, node)
    found = verify(track, node.whisper)
    rig.check(found.lost == found.wrong == 0, f"existing series: {found}")
    metrics = node.metrics()
    refused, series = metrics.get('points_dropped_total{reason="series_limit"}', 0), total(metrics, "series")
    rig.check(series <= limit, f"{series:,.0f} series with a limit of {limit:,}")
    rig.check(refused == names - (limit - track.series), f"{refused:,.0f} names refused of {names:,} with {limit - track.series:,} places")
    kills = [row for row in read_text(os.path.join(group, "memory.oom_control")).splitlines() if row.startswith("oom_kill ")]
    rig.note(f"{names:,} new names in {took:.0f} s: at most {highest >> 20} MiB resident of {MEMORY_BYTES >> 20} ({' '.join(kills)}), {series:,.0f} series, {refused:,.0f} points refused as series_limit; "
             f"existing series {found.lost:,} lost of {sender.sent:,}")
