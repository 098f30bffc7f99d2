"""Deaths and stops: nothing that was accepted may go with the process."""
import os
import signal
import subprocess
import threading
import time

from nodes import check_ledger, total
from plumbago import send_lines
from stage import Failed, wait_for
from tracks import Acknowledged, Sender, Track, verify

PROMISED_AFTER_SECONDS = 0.05
READY_SECONDS_MAX = 5
STOP_SECONDS_MAX = 5
SERIES = 5000
ACK_SERIES = 500
RATE_SHARE_MIN = 0.5  # with less traffic than this share of the rate, a run proves nothing
POLL_SECONDS = 0.01


class Watch(threading.Thread):
    """Notes again and again how much of the stream the node says it has read, and when it said so."""

    def __init__(self, node, sender, acknowledged, before, clock=time.monotonic):
        super().__init__(daemon=True)
        self.node, self.sender, self.acknowledged, self.before, self.clock = node, sender, acknowledged, before, clock
        self.over = threading.Event()
        self.notes = [(clock(), sender.first)]

    def run(self):
        while not self.over.wait(POLL_SECONDS):
            try:
                received = self.node.received(self.sender) - self.before
            except OSError:
                return
            # at most what was handed out on the other connections is theirs
            read = received - (self.acknowledged.handed_out if self.acknowledged else 0)
            self.notes.append((self.clock(), self.sender.first + max(0, read)))

    def read_before(self, moment):
        return max(number for answered, number in self.notes if answered <= moment)


class Episode:
    """One life under load that ends at a moment of the case's choice."""

    def __init__(self, rig, node, tracks):
        self.rig, self.node, self.tracks = rig, node, tracks
        before = node.received(None) if node.has_metrics else 0
        self.sender = Sender(node.line, tracks[0], rig.options.rate)
        # the peer has no answer by close, so asking it for one would prove nothing
        self.acknowledged = Acknowledged(node.line, tracks[1]) if node.has_metrics else None
        self.watch = Watch(node, self.sender, self.acknowledged, before)
        for thread in self.threads():
            thread.start()

    def threads(self):
        return [thread for thread in (self.sender, self.acknowledged, self.watch) if thread]

    def end_by(self, number):
        moment = time.monotonic()
        self.node.kill(number)
        self.close(moment - PROMISED_AFTER_SECONDS)

    def close(self, promised_until):
        for thread in self.threads():
            thread.over.set()
        self.sender.abandon()
        for thread in self.threads():
            thread.join(30)
        first, until = self.sender.first, self.watch.read_before(promised_until)
        self.tracks[0].promise(first, until)
        self.promised = until - first
        self.seconds = self.sender.ended - self.sender.started


def new_tracks(names=("stream", "ack")):
    return [Track(names[0], SERIES), Track(names[1], ACK_SERIES)]


def verify_all(rig, node, tracks, what):
    """After a flush, the files against the sender's list; returns how much is there and how much is lost."""
    present = lost = 0
    for track in tracks:
        found = verify(track, node.whisper, from_tick=track.verified_tick)
        rig.check(found.lost == 0, f"{what}, {track.name}: {found}")
        rig.check(found.wrong == 0, f"{what}, {track.name}: {found}")
        present, lost = present + found.present, lost + found.lost
        track.skip_to_tick()
        track.verified_tick = track.next // track.series
    return present, lost


def kill_at_random_moments(rig):
    kills = rig.options.kills or rig.long_or_quick(100, 10)
    rig.note(repeat_deaths(rig, [signal.SIGKILL] * kills, "kills"))


def aborts(rig):
    rig.note(repeat_deaths(rig, [signal.SIGABRT, signal.SIGSEGV] * rig.long_or_quick(5, 1), "aborts and faults"))
    rig.note("that a panic in any thread aborts: `threads::tests` of crates/daemon")


def repeat_deaths(rig, signals, what):
    node, tracks = rig.node(["--lag", "2s"]), new_tracks()
    present = lost = promised = batches = sent = 0
    readiest = seconds = 0.0
    node.start()
    until_verified = 1
    for turn, number in enumerate(signals, 1):
        episode = Episode(rig, node, tracks)
        time.sleep(rig.rng.uniform(0.3, 2.0))  # the moment of death is the case's choice
        episode.end_by(number)
        promised, sent, seconds = promised + episode.promised, sent + episode.sender.sent, seconds + episode.seconds
        batches += episode.acknowledged.batches if episode.acknowledged else 0
        if rig.rng.random() < 0.2:
            die_while_starting(rig, node)
        readiest = max(readiest, node.start())
        until_verified -= 1
        if until_verified == 0 or turn == len(signals):
            node.settle()
            check_ledger(rig, node, f" after death {turn}")
            one = verify_all(rig, node, tracks, f"after death {turn}")
            present, lost = present + one[0], lost + one[1]
            until_verified = rig.rng.randint(1, 3)
    rig.check(readiest <= READY_SECONDS_MAX, f"ready only {readiest:.1f} s after a death")
    rig.check(sent >= RATE_SHARE_MIN * rig.options.rate * seconds, f"only {sent / seconds:,.0f} points a second were sent: too little to prove anything")
    return (f"{len(signals)} {what} under {sent / max(seconds, 0.1):,.0f} points/s: {lost:,} lost of {promised:,} read {PROMISED_AFTER_SECONDS * 1000:.0f} ms before "
            f"and {batches:,} answered batches of {ACK_SERIES}; {present:,} points in files; ready within {readiest:.2f} s")


def die_while_starting(rig, node):
    node.process = rig.spawn(node.label, node.argv, **node.options)
    time.sleep(rig.rng.uniform(0.0, 0.15))
    node.kill()


def orderly_stop(rig):
    """Twice: at the moment when all of 200,000 points have been read, and in the middle of a running load."""
    node, tracks = rig.node(["--lag", "60s"]), new_tracks()
    node.start()
    sender = Sender(node.line, tracks[0], rig.options.rate * 4, 1)
    before = node.received(sender) if node.has_metrics else 0
    sender.start()
    sender.join(60)
    wait_for("the node to have read everything", lambda: node.received(sender) - before >= sender.sent, 30)
    tracks[0].promise(sender.first, tracks[0].next)
    code, seconds = node.terminate()
    sender.abandon()
    ready = node.start()
    node.settle()
    check_ledger(rig, node, " after the first stop")
    present, lost = verify_all(rig, node, tracks, "after a stop with all read")
    rig.note(f"stopped with {code} in {seconds:.2f} s as soon as {sender.sent:,} points had been read: {lost:,} lost; ready again in {ready:.2f} s")
    check_stop(rig, code, seconds)
    episode = Episode(rig, node, tracks)
    time.sleep(2)  # the load runs
    moment = time.monotonic()
    code, seconds = node.terminate()
    episode.close(moment)
    node.start()
    node.settle()
    check_ledger(rig, node, " after the second stop")
    present, lost = verify_all(rig, node, tracks, "after a stop under load")
    rig.note(f"with {code} in {seconds:.2f} s under load: {lost:,} lost of {episode.promised:,} read before; {present:,} in files")
    check_stop(rig, code, seconds)


def check_stop(rig, code, seconds):
    rig.check(code == 0, f"ends with {code} after SIGTERM")
    rig.check(seconds <= STOP_SECONDS_MAX, f"takes {seconds:.1f} s to stop")


def second_process(rig):
    node, track = rig.node(), Track("first", 500)
    node.start()
    second = type(node)(rig)
    place = second.argv.index("--data") + 1
    second.argv[place] = node.data
    started = time.monotonic()
    done = subprocess.run(second.argv, capture_output=True, text=True, timeout=30)
    seconds, said = time.monotonic() - started, done.stdout + done.stderr
    rig.check(done.returncode != 0, "the second one starts")
    rig.check(node.data in said and str(node.process.pid) in said, f"does not name folder and process {node.process.pid}: {said[-300:]!r}")
    sender = Sender(node.line, track, 5000, 1)
    sender.start()
    sender.join(30)
    sender.finish()
    node.settle()
    check_ledger(rig, node)
    found = verify(track, node.whisper)
    rig.check(found.lost == found.wrong == 0, f"the first one: {found}")
    node.kill()
    ready = node.start()
    rig.note(f"ends with {done.returncode} after {seconds:.2f} s, names process {'and folder' if node.data in said else ''}; the first stored {found.present:,} of "
             f"{sender.sent:,}; after its kill -9 the folder is free again ({ready:.2f} s)")


def clock_jumps(rig):
    """The whole process sees a clock that is set a day ahead and back again; each points' own times are of the clock's moment."""
    library = next(path for path in faketime_libraries() if os.path.exists(path))
    dial = rig.write("clock", "+0\n")
    environment = os.environ | {"LD_PRELOAD": library, "FAKETIME_TIMESTAMP_FILE": dial, "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    node = rig.node(["--lag", "1s"], env=environment)
    node.start()
    day, tracks = 86_400, []
    for turn, jump in enumerate((0, day, 0, -day, -5, 0)):
        rig.write("clock", f"{jump:+d}\n")
        track = Track(f"clock-{turn}", 500)
        track.base += jump
        tracks.append((track, jump))
        sender = Sender(node.line, track, 5000, 1)
        sender.start()
        sender.join(30)
        sender.finish()
        check_clock(rig, node, jump)
        newest = track.series_name(0)
        wait_for(f"a read at {jump:+d} s", lambda: node.render([newest], track.base - 1, track.stamp(20)), 10)
        settled = time.monotonic()
        wait_for(f"waiting points to be written by age at {jump:+d} s", lambda: node.metric("points_pending") == 0, 30)
        rig.check(time.monotonic() - settled < 15, f"points wait {time.monotonic() - settled:.0f} s after a jump to {jump:+d} s")
    dropped = total(node.metrics(), "points_dropped_total")
    rig.check(dropped == 0, f"{dropped:.0f} points dropped")
    check_ledger(rig, node)
    present = 0
    for track, jump in tracks:
        found = verify_at(track, node.whisper, jump)
        rig.check(found.lost == found.wrong == 0, f"at {jump:+d} s: {found}")
        present += found.present
    rig.note(f"+1 d, -1 d, -5 s and back: {present:,} points of their moment's time stored, {dropped:.0f} dropped, each written by its age")


def check_clock(rig, node, jump):
    """A point without a time of its own gets the node's: proof that the jump has reached it."""
    name, now = f"faults.now.at{jump}", int(time.time()) + jump
    send_lines(node.line, f"{name} 1 -1\n")

    def stored():
        rows = node.render([name], now - 30, now + 30)
        values = rows["metrics"][0]["values"] if isinstance(rows, dict) and rows.get("metrics") else []
        return any(value is not None for value in values)
    try:
        wait_for("the point of now", stored, 5)
    except Failed as error:
        rig.check(False, f"the node's clock did not follow to {jump:+d} s: {error}")


def verify_at(track, whisper_folder, jump):
    """As the files are read while the clock stands there."""
    import whisper
    real = time.time
    whisper.time.time = lambda: real() + jump
    try:
        return verify(track, whisper_folder)
    finally:
        whisper.time.time = real


def faketime_libraries():
    import glob
    return glob.glob("/usr/lib/*/faketime/libfaketime.so.1")

