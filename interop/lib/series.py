"""What was sent, what the Whisper files hold and what the API answers, each as {name: {timestamp: value}}, so that they can be compared."""
import json
import os
import socket
import subprocess
import sys
import threading

import whisper
from carbon.util import TaggedSeries

from stage import HOST

FETCH_COMMAND = os.path.join(os.path.dirname(sys.executable), "whisper-fetch.py")


def parse_lines(text):
    """Carbon lines as a store keeps them: the last value of a second wins, NaN is no point."""
    points = {}
    for line in text.splitlines():
        name, value, timestamp = line.split()
        if float(value) == float(value):
            points.setdefault(name, {})[int(float(timestamp))] = float(value)
    return points


def file_of(name):
    """Where carbon keeps a series, below the tree."""
    return TaggedSeries.encode(name, os.sep, hash_only=True) + ".wsp" if ";" in name else name.replace(".", os.sep) + ".wsp"


def points_of(start, step, values):
    return {start + place * step: value for place, value in enumerate(values) if value is not None}


def read_file(path, start, until):
    """The points after start up to until, read by Python whisper."""
    (first, _, step), values = whisper.fetch(path, start, until)
    return points_of(first, step, values)


def fetch_command(path, start, until):
    """The same, by the program that operators use: whisper-fetch.py."""
    done = subprocess.run([sys.executable, FETCH_COMMAND, "--json", f"--from={start}", f"--until={until}", path],
                          capture_output=True, text=True, check=True, timeout=30)
    answer = json.loads(done.stdout)
    return points_of(answer["start"], answer["step"], answer["values"])


def of_render(answer):
    return {row["target"]: {timestamp: value for value, timestamp in row["datapoints"] if value is not None} for row in answer}


def differences(label, expected, found):
    """One text a series that differs."""
    return [f"{label}: {name}: {describe(points, found.get(name))}" for name, points in sorted(expected.items()) if found.get(name) != points]


def describe(expected, found):
    if found is None:
        return "missing"
    slots = sorted(slot for slot in expected.keys() | found.keys() if expected.get(slot) != found.get(slot))
    if not slots:
        return "equal"
    first = slots[0]
    return f"{len(slots)} of {len(expected)} points differ, first at {first}: {expected.get(first)} expected, {found.get(first)} found"


class Recorder:
    """Listens on 127.0.0.1 and keeps every byte that is sent to it."""

    def __init__(self):
        self.listener = socket.create_server((HOST, 0))
        self.port = self.listener.getsockname()[1]
        self.received = []
        self.readers = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            connection, _ = self.listener.accept()
            chunks = []
            self.received.append(chunks)
            reader = threading.Thread(target=self.read, args=(connection, chunks), daemon=True)
            self.readers.append(reader)
            reader.start()

    @staticmethod
    def read(connection, chunks):
        with connection:
            while chunk := connection.recv(65536):
                chunks.append(chunk)

    def text(self):
        """All that was sent; waits for the senders to close."""
        for reader in self.readers:
            reader.join(10)
        return "".join(b"".join(chunks).decode() for chunks in self.received)
