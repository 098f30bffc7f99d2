"""What was sent, on record: each point's value is its number, so series, time and promise of every point are known.

A track has a fixed number of series; in each tick every one of them gets its next point. Point number `n` belongs to series `n % series`
and stands at second `base + n // series`.
"""
import os
import socket
import threading
import time

import whisper

from stage import HOST

TICKS_A_SECOND = 10
FIRST_POINT_SECONDS_AGO = 7200
RETENTIONS = "1s:3h,60s:1d"


class Track:
    """The sender's own list: which numbers must be in the files, and which may."""

    def __init__(self, name, series):
        self.name, self.series = name, series
        self.base = int(time.time()) - FIRST_POINT_SECONDS_AGO
        self.next = 0
        self.must = []
        self.verified_tick = 0

    def series_name(self, place):
        return f"faults.{self.name}.host-{place // 50:04}.disk-{place % 50:02}"

    def file_of(self, whisper_folder, place):
        return os.path.join(whisper_folder, self.series_name(place).replace(".", os.sep) + ".wsp")

    def stamp(self, tick):
        return self.base + tick

    def lines(self, first, count):
        """Points from number `first` on, as carbon lines."""
        return "".join(f"{self.series_name(n % self.series)} {n} {self.base + n // self.series}\n" for n in range(first, first + count)).encode()

    def take(self, count):
        """Gives out the next numbers."""
        first, self.next = self.next, self.next + count
        return first

    def promise(self, first, until):
        """From now on these numbers must be found."""
        if until > first:
            self.must.append((first, until))

    def promised(self, number):
        return any(first <= number < until for first, until in self.must)

    def skip_to_tick(self):
        """The next point begins a tick, so that no second of a series is sent twice."""
        self.next = -(-self.next // self.series) * self.series


class Found:
    """What the files hold of a track."""

    def __init__(self):
        self.present = self.lost = self.wrong = 0
        self.examples = []

    def example(self, text):
        if len(self.examples) < 3:
            self.examples.append(text)

    def __str__(self):
        return f"{self.present:,} in files, {self.lost:,} lost, {self.wrong:,} wrong{': ' if self.examples else ''}{', '.join(self.examples)}"


def verify(track, whisper_folder, places=None, from_tick=0, forgive=lambda place: False):
    """Compares Python whisper's reading of each file with the sender's list."""
    found, ticks = Found(), -(-track.next // track.series)
    if ticks == 0:
        return found
    for place in range(track.series) if places is None else places:
        path = track.file_of(whisper_folder, place)
        values = read_ticks(track, path, from_tick, ticks)
        for tick in range(from_tick, ticks):
            number, value = tick * track.series + place, values.get(track.stamp(tick))
            if value is None:
                if track.promised(number) and not forgive(place):
                    found.lost += 1
                    found.example(f"number {number} of {track.series_name(place)}")
            elif value == number and number < track.next:
                found.present += 1
            else:
                found.wrong += 1
                found.example(f"{value} where {number} belongs in {track.series_name(place)}")
    return found


def read_ticks(track, path, from_tick, ticks):
    try:
        (start, _, step), values = whisper.fetch(path, track.stamp(from_tick) - 1, track.stamp(ticks - 1))
    except (OSError, whisper.WhisperException, TypeError, ValueError):
        return {}
    return {start + place * step: value for place, value in enumerate(values) if value is not None}


class Sender(threading.Thread):
    """One connection at a steady rate; the order on it is the order of the numbers."""

    def __init__(self, port, track, rate, seconds=None):
        super().__init__(daemon=True)
        self.track, self.rate, self.seconds = track, rate, seconds
        track.skip_to_tick()
        self.first = track.next
        self.connection = socket.create_connection((HOST, port), timeout=120)
        self.bytes = 0
        self.ends = []
        self.over = threading.Event()
        self.failure = None
        self.started = time.monotonic()
        self.ended = None

    def run(self):
        portion = max(1, self.rate // TICKS_A_SECOND)
        rounds = 0
        try:
            while not self.over.is_set() and (self.seconds is None or rounds < self.seconds * TICKS_A_SECOND):
                due = self.started + rounds / TICKS_A_SECOND - time.monotonic()
                if due > 0 and self.over.wait(due):
                    break
                self.send(portion)
                rounds += 1
        except OSError as error:
            self.failure = error
        self.ended = time.monotonic()

    def send(self, count):
        payload = self.track.lines(self.track.next, count)
        self.track.take(count)  # from here on the points may arrive
        self.bytes += len(payload)
        self.ends.append((self.bytes, self.track.next))
        self.connection.sendall(payload)

    @property
    def sent(self):
        return self.track.next - self.first

    def points_per_second(self):
        return self.sent / max(0.1, (self.ended or time.monotonic()) - self.started)

    def taken_off_the_socket(self):
        """Up to which number the other side has read, as the kernel tells; whole portions only."""
        waiting = waiting_bytes(self.connection)
        read = self.bytes - waiting
        return max((number for end, number in list(self.ends) if end <= read), default=self.first)

    def finish(self, seconds=60):
        """Ends the load and waits for the receiver to close in its turn: from then on all of it is promised."""
        self.over.set()
        self.join(seconds)
        self.connection.settimeout(seconds)
        self.connection.shutdown(socket.SHUT_WR)
        while self.connection.recv(4096):
            pass
        self.connection.close()
        self.track.promise(self.first, self.track.next)

    def abandon(self):
        self.over.set()
        self.connection.close()
        self.join(30)


def waiting_bytes(connection):
    """Bytes on their way to the reader of a loopback connection: in our send queue and in its receive queue."""
    (_, ours), (_, theirs) = connection.getsockname(), connection.getpeername()
    waiting = 0
    with open("/proc/net/tcp", encoding="ascii") as table:
        for row in list(table)[1:]:
            fields = row.split()
            ends = tuple(int(field.rsplit(":", 1)[1], 16) for field in fields[1:3])
            send, receive = (int(field, 16) for field in fields[4].split(":"))
            if ends == (ours, theirs):
                waiting += send
            elif ends == (theirs, ours):
                waiting += receive
    return waiting


class Acknowledged(threading.Thread):
    """Small batches, each on a connection of its own that is half-closed: the receiver's close is its word for the batch."""

    PAUSE_SECONDS = 0.05

    def __init__(self, port, track):
        super().__init__(daemon=True)
        self.port, self.track = port, track
        self.over = threading.Event()
        self.handed_out = 0
        self.batches = 0
        self.seconds = []

    def run(self):
        while not self.over.wait(self.PAUSE_SECONDS):
            self.track.skip_to_tick()
            first = self.track.take(self.track.series)
            payload = self.track.lines(first, self.track.series)
            self.handed_out += self.track.series
            try:
                self.deliver(payload)
            except OSError:
                return  # the node is gone: no word, no promise
            self.track.promise(first, first + self.track.series)
            self.batches += 1

    def deliver(self, payload):
        started = time.monotonic()
        with socket.create_connection((HOST, self.port), timeout=20) as connection:
            connection.sendall(payload)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass
        self.seconds.append(time.monotonic() - started)

    def finish(self):
        self.over.set()
        self.join(30)
