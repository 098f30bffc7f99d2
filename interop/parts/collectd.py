"""collectd's write_graphite into `plumbago up`: every series is found, and api, files and collectd's own words agree."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import peers  # noqa: E402
from plumbago import Up  # noqa: E402
from series import Recorder, describe, differences, fetch_command, file_of, of_render, parse_lines, read_file  # noqa: E402
from stage import Failed, Stage, wait_for  # noqa: E402

SECONDS = float(os.environ.get("INTEROP_COLLECTD_SECONDS", "60"))
REPLICATION = 2
EXPECTED_BRANCHES = {"cpu", "load", "memory", "interface", "df"}


def run_collectd(stage, up):
    """Lets collectd report for a while, to us and to a recorder, and returns what it said."""
    recorder = Recorder()
    process = peers.collectd(stage, [up.line, recorder.port])
    deadline = time.monotonic() + SECONDS
    stage.wait_alive(process, "collectd's time", lambda: time.monotonic() > deadline, SECONDS + 5)
    stage.stop(process)
    sent = parse_lines(recorder.text())
    branches = {name.split(".")[2].split("-")[0] for name in sent}
    if not EXPECTED_BRANCHES <= branches:
        raise Failed(f"collectd reported only {sorted(branches)}")
    return sent


def window(sent):
    stamps = [stamp for points in sent.values() for stamp in points]
    return min(stamps) - 1, max(stamps)


def wait_for_answer(up, sent):
    """Waits until the api shows every point that was sent, before anything was flushed."""
    start, until = window(sent)

    def pending():
        return differences("api before the flush", sent, of_render(up.api.render(sorted(sent), start, until)))
    try:
        wait_for("every point in the api", lambda: not pending(), 30)
    except Failed:
        pass  # the comparison that follows names what is missing
    return pending()


def copies_of(up, name):
    paths = [os.path.join(node.whisper, file_of(name)) for node in up.nodes]
    return [path for path in paths if os.path.exists(path)]


def compare_files(stage, up, sent, read, label):
    start, until = window(sent)
    answer = of_render(up.api.render(sorted(sent), start, until)) if up.process.poll() is None else sent
    for name, points in sorted(sent.items()):
        copies = copies_of(up, name)
        stage.check(len(copies) == REPLICATION, f"{label}: {name} lies on {len(copies)} nodes, not {REPLICATION}")
        for path in copies:
            found = read(path, start, until)
            stage.check(found == points, f"{label}: {path}: {describe(points, found)}")
            stage.check(found == answer.get(name), f"{label}: {path} is not what the api answers")


def main():
    with Stage("collectd") as stage:
        up = Up(stage, "1s:1h,10s:6h", nodes=4, replication=REPLICATION)
        sent = run_collectd(stage, up)
        missing = wait_for_answer(up, sent)
        stage.check(not missing, "; ".join(missing[:3]))
        listed = set(up.api.names())
        for name in sent:
            stage.check(name in listed, f"index.json does not list {name}")
        stage.check(listed <= set(sent), f"index.json lists names that nobody sent: {sorted(listed - set(sent))[:3]}")
        for node in up.nodes:
            node.flush()
        compare_files(stage, up, sent, fetch_command, "whisper-fetch.py after the flush")
        stage.stop(up.process)
        compare_files(stage, up, sent, read_file, "Python whisper after SIGTERM")
        points = sum(len(series) for series in sent.values())
        print(f"collectd: compared {len(sent)} series, {points} points, on {REPLICATION} nodes each", flush=True)


main()
