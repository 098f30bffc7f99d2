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


def receive(listener, seconds):
    """Every line was sent at the moment that is its value; those of a probe before, which the relay sends again, do not count."""
    started = time.time()
    while True:
        connection, _ = listener.accept()
        buffer = b""
        while data := connection.recv(1 << 16):
            now = time.time()
            *lines, buffer = (buffer + data).split(b"\n")
            sent = (float(line.split()[1]) for line in lines)
            seconds.extend(now - moment for moment in sent if moment >= started)


def listen(port):
    """A port and the list of what its lines took."""
    listener, seconds = socket.create_server((HOST, port)), []
    threading.Thread(target=receive, args=(listener, seconds), daemon=True).start()
    return listener.getsockname()[1], seconds


def connected(port):
    while True:
        try:
            return socket.create_connection((HOST, port), timeout=60)
        except OSError:
            time.sleep(PAUSE_SECONDS)


def main():
    task = json.loads(sys.stdin.readline())
    _, through = listen(task["node"])
    own_port, direct = listen(0)
    print("listening", flush=True)
    relay, own, sent = connected(task["line"]), connected(own_port), 0
    while not select.select([sys.stdin], [], [], PAUSE_SECONDS)[0]:
        now = time.time()
        line = f"probe.delay {now!r} {int(now)}\n".encode()
        try:
            own.sendall(line)
            relay.sendall(line)
            sent += 1
        except OSError:
            relay = connected(task["line"])
    time.sleep(LAST_LINES_SECONDS)  # what is on its way may still come
    print(json.dumps({"sent": sent, "through": through, "direct": direct}))


if __name__ == "__main__":
    main()
