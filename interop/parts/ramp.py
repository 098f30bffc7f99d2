"""haproxy in front of two relays, one of which joins: with the health ramp its share of the requests grows, without it comes at once."""
import http.client
import itertools
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import peers  # noqa: E402
from plumbago import Carbon, Relay, metric, node_flags, write_rules  # noqa: E402
from stage import HOST, Stage, address, free_port  # noqa: E402

RAMP_SECONDS = 20
WINDOWS = 5
SENDERS = 4
PAUSE_SECONDS = 0.01
# The percentage of the ramp at which the checkers 127.0.1.1 to 127.0.1.20 are let in: |murmur3_32(address)| mod 100.
STEPS = [10, 75, 41, 68, 83, 6, 14, 63, 39, 9, 4, 77, 74, 25, 58, 30, 53, 37, 88, 57]
# A check may come up to 0.2 s late, the ramp's beginning is known to about as much, and requests in flight blur the rest.
TOLERANCE = 0.1


class Sender(threading.Thread):
    """Posts one line after the other through all of haproxy's doors in turn."""

    def __init__(self, number, ports, over):
        super().__init__(daemon=True)
        self.number, self.ports, self.over = number, ports, over
        self.answers, self.seconds = {}, []

    def run(self):
        connections = [http.client.HTTPConnection(HOST, port, timeout=10) for port in self.ports]
        for turn, connection in enumerate(itertools.cycle(connections)):
            if self.over.is_set():
                return
            began = time.monotonic()
            try:
                connection.request("POST", "/", f"ramp.{self.number} {turn} -1\n")
                answer = connection.getresponse()
                answer.read()
                status = answer.status
            except OSError as error:
                connection.close()
                status = type(error).__name__
            self.seconds.append(time.monotonic() - began)
            self.answers[status] = self.answers.get(status, 0) + 1
            time.sleep(PAUSE_SECONDS)


def relay(stage, node, port, ramp, label):
    """A relay that takes requests at the port."""
    return Relay(stage, [*node_flags([node], 1), "--http", address(port), "--health-ramp", ramp], label)


def received(one):
    return metric(one.admin, "plumbago_relay_lines_received_total")


def shares(old, new, seconds, windows):
    """The newcomer's share of what came in each window of time."""
    began, found = time.monotonic(), []
    before = received(old), received(new)
    for window in range(1, windows + 1):
        time.sleep(max(0, began + seconds * window / windows - time.monotonic()))
        now = received(old), received(new)
        theirs, ours = now[0] - before[0], now[1] - before[1]
        found.append(ours / max(1, theirs + ours))
        before = now
    return found


def expected(window):
    """The share while the ramp passes through the window: half of what the checkers that are let in get."""
    moments = [(window + part / 20) / WINDOWS * 100 for part in range(20)]
    return sum(sum(step <= moment for step in STEPS) for moment in moments) / len(moments) / len(STEPS) / 2


def main():
    with Stage("ramp") as stage:
        node = Carbon(stage, "a", write_rules(stage, "1s:1h")).start()
        ports = {name: free_port() for name in ("old", "new", "abrupt")}
        old = relay(stage, node, ports["old"], "0s", "old")
        doors = peers.haproxy(stage, [ports["old"], ports["new"], ports["abrupt"]], len(STEPS))
        over = threading.Event()
        senders = [Sender(number, doors[number:] + doors[:number], over) for number in range(SENDERS)]
        for sender in senders:
            sender.start()
        new = relay(stage, node, ports["new"], f"{RAMP_SECONDS}s", "new")
        found = shares(old, new, RAMP_SECONDS, WINDOWS)
        full = shares(old, new, 2, 1)[0]
        # Of three servers that are all in, the last gets a third of everything, and at once.
        abrupt = relay(stage, node, ports["abrupt"], "0s", "abrupt")
        before = [received(one) for one in (abrupt, old, new)]
        time.sleep(2)
        came = [received(one) - first for one, first in zip((abrupt, old, new), before)]
        at_once = came[0] / max(1, sum(came))
        over.set()
        for sender in senders:
            sender.join(15)
        for window, share in enumerate(found):
            wanted = expected(window)
            stage.check(abs(share - wanted) <= TOLERANCE, f"window {window}: the newcomer's share is {share:.2f}, not {wanted:.2f}")
        stage.check(all(one < two for one, two in zip(found, found[1:])), f"the share does not grow: {found}")
        stage.check(abs(full - 0.5) <= TOLERANCE, f"after the ramp the share is {full:.2f}, not a half")
        stage.check(at_once >= 0.2, f"without a ramp the share is {at_once:.2f} at once, not a third")
        answers = {}
        for sender in senders:
            for status, count in sender.answers.items():
                answers[status] = answers.get(status, 0) + count
        stage.check(set(answers) == {200}, f"answers: {answers}")
        slow = sorted(itertools.chain.from_iterable(sender.seconds for sender in senders))
        print(f"ramp: shares {[round(share, 2) for share in found]}, then {full:.2f}; without a ramp {at_once:.2f} at once; "
              f"{sum(answers.values())} requests, 99 % within {slow[len(slow) * 99 // 100] * 1000:.0f} ms", flush=True)


main()
