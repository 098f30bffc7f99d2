"""A disk that is full, fails, turns read-only or is slow, under a running load."""
import json
import os
import re
import signal
import subprocess
import sys
import time

from nodes import check_ledger, total
from rig import into_cgroup, write_text
from stage import Failed, wait_for
from tracks import Sender, Track, read_ticks, verify

SERIES = 2000
TMPFS = "192m"
RATE_WHEN_FULL = 10_000
WRITABLE_SECONDS_MAX = 10
READ_SECONDS_MAX = 0.05
SLOW_BYTES_PER_SECOND = 1 << 20
RSS_BYTES_MAX = 512 << 20


class Reads:
    """Fresh points are asked for again and again while the body runs, by a process of its own: see reads.py."""

    SERIES = 20

    def __init__(self, rig, node, track, rate):
        names = [track.series_name(place) for place in range(0, track.series, max(1, track.series // self.SERIES))]
        self.task = {"read": node.read, "whisper": node.whisper, "names": names, "stamps_per_second": rate / track.series}
        self.rig, self.track = rig, track
        self.seconds, self.failures, self.half_made = [], [], []

    def __enter__(self):
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "reads.py")
        self.process = subprocess.Popen([sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.rig.processes.append(("reads", self.process))
        self.task["newest"] = self.track.stamp(self.track.next // self.track.series)
        self.process.stdin.write(json.dumps(self.task) + "\n")
        self.process.stdin.flush()
        return self

    def __exit__(self, *_):
        answer, _none = self.process.communicate("\n", timeout=30)
        self.rig.processes.remove(("reads", self.process))
        for name, value in json.loads(answer).items():
            setattr(self, name, value)

    def percentile(self, share):
        ranked = sorted(self.seconds) or [0.0]
        return ranked[min(len(ranked) - 1, int(len(ranked) * share))]

    def told(self):
        return f"{len(self.failures)} of {len(self.seconds) + len(self.failures)} reads failed"


class Injection:
    """strace on the running node; as a context it lasts as long as its body."""

    def __init__(self, rig, node, spec, calls, paths=()):
        self.path = rig.path("strace.log")
        trace = [part for path in paths for part in ("-P", path)]
        argv = ["strace", "-f", "-y", "-qq", "-o", self.path, *trace, "-e", f"trace={calls}", *[part for one in spec for part in ("-e", f"inject={one}")],
                "-p", str(node.process.pid)]
        self.rig, self.argv, self.node = rig, argv, node

    def __enter__(self):
        if os.path.exists(self.path):
            os.remove(self.path)
        self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for("strace to hold every thread", self.holds_all, 20)
        return self

    def holds_all(self):
        if self.process.poll() is not None:
            raise Failed("strace ended; is ptrace allowed here?")
        tasks = f"/proc/{self.node.process.pid}/task"
        for task in os.listdir(tasks):
            with open(os.path.join(tasks, task, "status"), encoding="ascii") as status:
                if re.search(r"^TracerPid:\s+0$", status.read(), re.MULTILINE):
                    return False
        return True

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)

    def lines(self):
        with open(self.path, encoding="utf-8", errors="replace") as log:
            return log.read().splitlines()

    def injected(self):
        return sum("(INJECTED)" in line or "(DELAYED)" in line for line in self.lines())


def full(rig):
    seconds = rig.long_or_quick(60, 10)
    node = make_on_tmpfs(rig, ["--lag", "1s", "--free-space-min", "0B", "--free-inodes-min", "0"])
    tracks = old, new = Track("old", 200), Track("new", 200)
    node.start()
    store_some(node, old)
    node.settle()
    with Reads(rig, node, old, RATE_WHEN_FULL // 2) as reads:
        set_size(node.data, None)
        senders = [Sender(node.line, track, RATE_WHEN_FULL // 2, seconds) for track in tracks]
        for sender in senders:
            sender.start()
        time.sleep(seconds)  # so long is the disk full
        rig.check(node.alive(), "died of the full disk")
        errors = node.metric("write_errors_total") if node.has_metrics else 0
        set_size(node.data, TMPFS)
        back = time.monotonic()
        for sender in senders:
            sender.join(60)
        dead, last = last_writable(node, tracks, back)
        for sender in senders:
            finish_if_open(rig, sender)
        node.settle()
    check_ledger(rig, node)
    found = [verify(track, node.whisper) for track in tracks]
    lost = sum(one.lost for one in found)
    rig.check(lost == 0 and not any(one.wrong for one in found), f"old: {found[0]}; new: {found[1]}")
    rig.check(not reads.half_made, f"{len(reads.half_made)} half-made files were seen, as {reads.half_made[:1]}")
    rig.check(not reads.failures, f"{reads.told()}: {reads.failures[:1]}")
    rig.check(dead == 0, f"{dead} of 400 series not writable {WRITABLE_SECONDS_MAX} s after there was space")
    rig.note(f"{seconds} s without a byte free: {lost:,} lost of {sum(sender.sent for sender in senders):,}; {dead} of 400 series dead, the last one writable "
             f"{last:.1f} s after space; {len(reads.half_made)} half-made files seen; {reads.told()}; {errors:,.0f} writes put off")


def make_on_tmpfs(rig, flags):
    node = rig.node(flags)
    rig.tmpfs(node.data, TMPFS)
    return node


def store_some(node, track, seconds=1):
    sender = Sender(node.line, track, 10 * track.series, seconds)
    sender.start()
    sender.join(30)
    sender.finish()


def set_size(path, size):
    """A new size of the tmpfs; None for what it holds now, so that not a byte is left."""
    def remount():
        facts = os.statvfs(path)
        wanted = size or (facts.f_blocks - facts.f_bfree) * facts.f_frsize
        done = subprocess.run(["mount", "-o", f"remount,size={wanted}", path], capture_output=True, text=True)
        return done.returncode == 0 and (size or os.statvfs(path).f_bfree == 0)
    wait_for("the new size of the disk", remount, 10)


def finish_if_open(rig, sender):
    try:
        sender.finish()
    except OSError as error:
        rig.check(False, f"the connection did not outlive the fault: {error}")


def last_writable(node, tracks, since):
    """(series that cannot be written, seconds until the last one could), by a fresh point in every file."""
    probes = [Probe(node, track) for track in tracks]
    deadline, last = since + WRITABLE_SECONDS_MAX, since
    while time.monotonic() < deadline:
        try:
            if node.has_metrics:
                node.flush()
        except OSError:
            pass
        waiting = sum(probe.waiting() for probe in probes)
        if waiting == 0:
            return 0, time.monotonic() - since
        last = time.monotonic()
        time.sleep(0.2)
    return sum(probe.waiting() for probe in probes), last - since


class Probe:
    """One more point for each series of a track."""

    def __init__(self, node, track):
        self.node, self.track = node, track
        track.skip_to_tick()
        self.tick = track.next // track.series
        sender = Sender(node.line, track, track.series * 10)
        sender.send(track.series)
        finish_quietly(sender)
        track.promise(sender.first, track.next)
        self.left = set(range(track.series))

    def waiting(self):
        stamp = self.track.stamp(self.tick)
        self.left = {place for place in self.left
                     if stamp not in read_ticks(self.track, self.track.file_of(self.node.whisper, place), self.tick, self.tick + 1)}
        return len(self.left)


def finish_quietly(sender):
    sender.started = sender.ended = time.monotonic()
    sender.connection.close()


def under_load(rig, node, track, body, rate):
    """Runs the body in the middle of a load; then everything sent is promised, settled and compared."""
    sender = Sender(node.line, track, rate)
    sender.start()
    time.sleep(1)  # the load runs before the fault
    body()
    time.sleep(1)  # and after it
    finish_if_open(rig, sender)
    rig.check(sender.failure is None, f"the sender was cut off: {sender.failure}")
    node.settle()
    check_ledger(rig, node)
    found = verify(track, node.whisper)
    rig.check(found.lost == found.wrong == 0, f"{found}")
    return sender, found


def write_errors(rig):
    """Failing data files first, then a failing journal."""
    node, track = rig.node(["--lag", "1s"]), Track("eio", SERIES)
    node.start()
    store_some(node, track)
    seen = {}

    def data_files():
        with Injection(rig, node, ["pwrite64:error=EIO"], "pwrite64") as injection:
            time.sleep(2)  # the fault's length
        seen["files"] = injection.injected()

    sender, found = under_load(rig, node, track, data_files, rig.options.rate)
    put_off = node.metric("write_errors_total")
    rig.check(seen["files"] > 0, "no write met the fault")
    rig.note(f"files: {seen['files']:,} calls failed, {put_off:,.0f} writes put off, {found.lost:,} lost of {sender.sent:,}")
    journal_fails(rig, node, track, "EIO", 2)


def journal_fails(rig, node, track, error, seconds):
    """Every write to the journal fails for so long, under load."""
    if not node.segments():
        rig.check(False, "there is no journal to fail")
        return
    seen = {}

    def journal():
        with Injection(rig, node, [f"write:error={error}"], "write", next_segments(node)) as injection:
            time.sleep(seconds)  # the fault's length
        seen["journal"] = injection.injected()

    sender, found = under_load(rig, node, track, journal, rig.options.rate)
    rig.check(seen["journal"] > 0, "no write of the journal met the fault")
    rig.note(f"journal: {seen['journal']:,} calls failed, {found.lost:,} lost of {sender.sent:,}")


def next_segments(node, count=40):
    """The journal's last segment and the ones that will follow it."""
    folder, last = os.path.split(node.segments()[-1])
    number = int(last.split(".")[0])
    return [os.path.join(folder, f"{number + step:020}.journal") for step in range(count)]


def sync_errors(rig):
    node, track = rig.node(["--lag", "60s"]), Track("sync", SERIES)
    node.start()
    store_some(node, track)
    if not node.segments():
        rig.check(False, "there is no journal to sync")
        return
    sender = Sender(node.line, track, rig.options.rate)
    sender.start()
    with Injection(rig, node, ["fdatasync:error=EIO:when=1..3"], "fdatasync") as injection:
        time.sleep(3)  # the fault, and the syncs after it
    failed, again = syncs_of(injection.lines())
    rig.check(failed, "no fdatasync met the fault")
    rig.check(not again, f"called again after it had failed: {sorted(again)[:2]}")
    alarms = {name: value for name, value in node.metrics().items() if "journal" in name and ("alarm" in name or "fail" in name or "error" in name)}
    rig.check(any(value > 0 for value in alarms.values()), f"no metric of the journal tells: {alarms}")
    finish_if_open(rig, sender)
    node.kill()
    ready = node.start()
    node.settle()
    check_ledger(rig, node)
    found = verify(track, node.whisper)
    rig.check(found.lost == found.wrong == 0, f"{found}")
    rig.note(f"{len(failed)} files failed to sync, {len(again)} were synced again; killed afterwards: {found.lost:,} lost of {sender.sent:,}; ready in {ready:.2f} s")


def syncs_of(lines):
    """(segments whose fdatasync failed, those of them that were called again)."""
    failed, again = set(), set()
    for line in lines:
        match = re.search(r"fdatasync\(\d+<([^>]*\.journal)>\s*(?:\)|<)", line)
        if not match:
            continue
        if match[1] in failed:
            again.add(match[1])
        if "(INJECTED)" in line:
            failed.add(match[1])
    return failed, again


READ_ONLY_CALLS = "pwrite64,mkdir,rename,unlink,ftruncate,fallocate"


def read_only(rig):
    """EROFS from every changing call on files. The kernel refuses to remount a file system that is open for writing, and never lets one back that turned by itself."""
    node, track = rig.node(["--lag", "1s"]), Track("erofs", SERIES)
    node.start()
    store_some(node, track)
    rate, seconds, seen = rig.options.rate // 5, rig.long_or_quick(20, 5), {}

    def body():
        spec = [f"{READ_ONLY_CALLS}:error=EROFS"]
        with Reads(rig, node, track, rate) as reads, Injection(rig, node, spec, READ_ONLY_CALLS) as files:
            time.sleep(seconds)  # the fault's length
        seen["injected"], seen["reads"] = files.injected(), reads

    sender, found = under_load(rig, node, track, body, rate)
    reads = seen["reads"]
    rig.check(seen["injected"] > 0, "no call met the fault")
    rig.check(not reads.failures, f"{reads.told()}: {reads.failures[:1]}")
    rig.note(f"files: {seconds} s, {seen['injected']:,} calls refused, {reads.told()}, {found.lost:,} lost of {sender.sent:,}, no restart")
    journal_fails(rig, node, track, "EROFS", 2)


def slow(rig):
    seconds, device = rig.long_or_quick(30, 10), os.stat(rig.folder).st_dev
    group = rig.cgroup("blkio")
    rig.check(group is not None, "no blkio cgroup here: nothing slows the disk")
    node, track, seen = rig.node(["--lag", "1s"], into_cgroup(group)), Track("slow", SERIES), {"rss": 0}
    node.start()
    store_some(node, track)
    throttle, number = os.path.join(group, "blkio.throttle.write_bps_device"), f"{os.major(device)}:{os.minor(device)}"

    def body():
        write_text(throttle, f"{number} {SLOW_BYTES_PER_SECOND}")
        with Reads(rig, node, track, rig.options.rate) as seen["reads"]:
            for _ in range(seconds * 2):
                time.sleep(0.5)  # the fault's length
                seen["rss"] = max(seen["rss"], node.rss())
        write_text(throttle, f"{number} 0")

    sender, found = under_load(rig, node, track, body, rig.options.rate)
    reads = seen["reads"]
    slowest = reads.percentile(0.99)
    rig.check(slowest <= READ_SECONDS_MAX, f"99 % of the reads within {slowest * 1000:.0f} ms")
    rig.check(not reads.failures, f"{reads.told()}: {reads.failures[:1]}")
    rig.check(seen["rss"] <= RSS_BYTES_MAX, f"memory grew to {seen['rss'] >> 20} MiB")
    waited = total(node.metrics(), "senders_waited_total")
    rig.note(f"{seconds} s at {SLOW_BYTES_PER_SECOND >> 20} MiB/s: 99 % of {len(reads.seconds)} reads within {slowest * 1000:.1f} ms, at most {seen['rss'] >> 20} MiB, "
             f"{sender.points_per_second():,.0f} points/s taken, senders waited {waited:,.0f} times, {found.lost:,} lost of {sender.sent:,}")
