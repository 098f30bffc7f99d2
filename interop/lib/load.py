"""A running load over one connection: each series gets points of now and of the past, and what was sent is on record."""
import array
import random
import socket
import threading
import time

from stage import HOST, close_in_order

SLICES = 10
BACKFILL_START_SECONDS = 900


class Load(threading.Thread):
    """Each second every series gets the point of that second, and further ones of an older time that catches up with the present.

    A second's lines go out in slices during that second; `last` is the newest second that went out whole.
    """

    def __init__(self, port, names, points_each, seed):
        super().__init__(daemon=True)
        self.names, self.points_each = names, points_each
        self.rng = random.Random(seed)
        self.connection = self.connect(port)
        self.over = threading.Event()
        self.first = int(time.time()) + 1
        self.last = self.first - 1
        self.sent = {}
        self.lines = 0
        self.behind = 0.0
        self.failure = None

    def connect(self, port):
        return socket.create_connection((HOST, port), timeout=30)

    def send(self, text):
        self.connection.sendall(text)

    def run(self):
        try:
            while not self.over.is_set():
                self.send_second(self.last + 1)
        except (OSError, ValueError) as error:
            self.failure = error

    def stamps(self, second):
        """The timestamps that go out during a second."""
        older = self.points_each - 1
        start = self.oldest() + (second - self.first) * older
        if start + older > self.first:
            raise ValueError("the load ran so long that the older points reach the newer")
        return [*range(start, start + older), second]

    def oldest(self):
        """The oldest timestamp of all."""
        return self.first - BACKFILL_START_SECONDS

    def send_second(self, second):
        count = len(self.names)
        stamps = self.stamps(second)
        # Eighths have short decimals and add up without rounding, so sums can be compared to the last bit.
        values = {stamp: array.array("d", (number / 8 for number in self.rng.choices(range(8_000_000), k=count))) for stamp in stamps}
        for part in range(SLICES):
            due = second + part / SLICES - time.time()
            if due > 0:
                time.sleep(due)
            self.behind = max(self.behind, -due)
            places = range(count * part // SLICES, count * (part + 1) // SLICES)
            lines = (f"{self.names[place]} {values[stamp][place]} {stamp}\n" for stamp in stamps for place in places)
            self.send("".join(lines).encode())
        self.sent |= values
        self.lines += count * len(stamps)
        self.last = second

    def sent_during(self, after, until):
        """The timestamps that went out after one second up to another."""
        return [stamp for second in range(max(after + 1, self.first), until + 1) for stamp in self.stamps(second)]

    def points(self, places, stamps):
        """What some series were sent for these timestamps, added up."""
        return {stamp: sum(map(self.sent[stamp].__getitem__, places)) for stamp in stamps}

    def end(self):
        """Ends with a whole second, and waits for the receiver to close in its turn."""
        self.over.set()
        self.join(30)
        close_in_order(self.connection)
