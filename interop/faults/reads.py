"""Asks a node for its newest points again and again, and looks for half-made files; a process of its own, so that the load does not slow it.

Takes one JSON object on standard input, runs until a line follows it, and prints one JSON object.
"""
import json
import os
import select
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

PAUSE_SECONDS = 0.02
WINDOW_SECONDS = 120
TREE_PAUSE_SECONDS = 1.0
SMALLEST_FILE_BYTES = 40


def half_made_files(folder):
    """Whisper files under their own name that are no whole files."""
    found = set()
    for path, _, names in os.walk(folder):
        for name in names:
            full = os.path.join(path, name)
            try:
                if name.endswith(".wsp") and os.stat(full).st_size < SMALLEST_FILE_BYTES:
                    found.add(full)
            except OSError:
                continue
    return found


def main():
    task = json.loads(sys.stdin.readline())
    started, looked = time.monotonic(), 0.0
    seconds, failures, half_made = [], [], set()
    while not select.select([sys.stdin], [], [], PAUSE_SECONDS)[0]:
        newest = task["newest"] + int((time.monotonic() - started) * task["stamps_per_second"])
        pairs = [("target", name) for name in task["names"]] + [("from", newest - WINDOW_SECONDS), ("until", newest), ("format", "json")]
        asked = time.monotonic()
        try:
            with urllib.request.urlopen(f"http://{task['read']}/render?{urllib.parse.urlencode(pairs)}", timeout=20) as answer:
                answer.read()
            seconds.append(time.monotonic() - asked)
        except (OSError, urllib.error.URLError) as error:
            failures.append(str(error))
        if time.monotonic() - looked > TREE_PAUSE_SECONDS:
            half_made |= half_made_files(task["whisper"])
            looked = time.monotonic()
    half_made |= half_made_files(task["whisper"])
    print(json.dumps({"seconds": seconds, "failures": failures, "half_made": sorted(half_made)}))


if __name__ == "__main__":
    main()
