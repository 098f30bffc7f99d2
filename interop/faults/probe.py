"""Sends a line through the relay every few milliseconds and receives it as one of its nodes; a process of its own, so that the load does not slow it.

Takes one JSON object on standard input, runs until a line follows it, and prints one JSON object: the seconds that each line took through the relay, and
those that the same lines took over a connection from here to here.
"""
import json
import os
import select
import socket
import sys
import threading
import time

HOST = "127.0.0.1"
PAUSE_SECONDS = 0.005
LAST_LINES_SECONDS = 1.0


class Times:
    """What lines took that were sent since `begin`; a line's value is the moment at which it was sent."""

    def __init__(self):
        self.begin()

    def begin(self):
        self.since, self.seconds = time.time(), []

    def note(self, line):
        now, sent = time.time(), float(line.split()[1])
        if sent >= self.since:
            self.seconds.append(now - sent)


def receive(listener, times):
    while True:
        connection, _ = listener.accept()
        buffer = b""
        while data := connection.recv(1 << 16):
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                times.note(line)


def listen(port):
    """A port, and what its lines take."""
    listener, times = socket.create_server((HOST, port)), Times()
    threading.Thread(target=receive, args=(listener, times), daemon=True).start()
    return listener.getsockname()[1], times


def connected(port):
    while True:
        try:
            return socket.create_connection((HOST, port), timeout=60)
        except OSError:
            time.sleep(PAUSE_SECONDS)


def send(connections):
    now = time.time()
    for connection in connections:
        connection.sendall(f"probe.delay {now!r} {int(now)}\n".encode())


def main():
    task = json.loads(sys.stdin.readline())
    _, through = listen(task["node"])
    own_port, direct = listen(0)
    connections = [connected(own_port), connected(task["line"])]
    while not through.seconds:  # the relay connects when it next tries
        send(connections)
        time.sleep(PAUSE_SECONDS)
    for times in (through, direct):
        times.begin()
    print("ready", flush=True)
    sent = 0
    while not select.select([sys.stdin], [], [], PAUSE_SECONDS)[0]:
        send(connections)
        sent += 1
    time.sleep(LAST_LINES_SECONDS)  # what is on its way may still come
    print(json.dumps({"sent": sent, "through": through.seconds, "direct": direct.seconds}))


if __name__ == "__main__":
    main()
