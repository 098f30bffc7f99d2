"""Series of 37 kB moved between two live nodes by `plumbago apply`, and the same series by carbonate: rsync to a staging folder and whisper-fill.

Both find files with the last points on the side that takes, as a new owner has them once relays send to it. How fast each is, what it
costs in processor time, and how long the node that takes them lets senders wait, idle and meanwhile.
"""
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import whisper  # noqa: E402
from plumbago import Carbon, binary, metric, send_lines, write_rules  # noqa: E402
from series import file_of  # noqa: E402
from stage import Stage, address, free_port, wait_for  # noqa: E402

SERIES = int(os.environ.get("INTEROP_MOVES_SERIES", 50_000))
CARBONATE_SERIES = min(SERIES, int(os.environ.get("INTEROP_MOVES_CARBONATE_SERIES", 5_000)))
RETENTIONS, ARCHIVES = "1m:1d,1h:68d", [(60, 1440), (3600, 1632)]
KINDS = 200
LAST_POINTS = 3
IDLE_SECONDS = 20
BATCH_LINES, BATCH_PAUSE_SECONDS = 500, 0.025  # 20,000 points/s, and enough batches for a p99
INDEX_SECONDS = 600
FASTER, SLOWER = 5, 1.5

NAMES = [f"moved.host-{number % 500:03}.metric-{number}" for number in range(SERIES)]


def write_files(stage, root, now):
    """The files of all series; of each kind one is made by whisper, the others have its bytes."""
    rng, kinds = random.Random(1), []
    for kind in range(KINDS):
        path = stage.path("kinds", f"{kind}.wsp")
        whisper.create(path, ARCHIVES, xFilesFactor=0, aggregationMethod="average")
        level, points = rng.uniform(0, 1000), []
        for age in [*range(68 * 86400 - 7200, 86400, -3600), *range(86400 - 120, 600, -60)]:
            level += rng.gauss(0, 1)
            points.append((now - age, round(level, 2)))
        for begin in range(0, len(points), 1000):
            whisper.update_many(path, points[begin:begin + 1000])
        with open(path, "rb") as file:
            kinds.append(file.read())
    for number, name in enumerate(NAMES):
        path = os.path.join(root, file_of(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(kinds[number % KINDS])


class Sender(threading.Thread):
    """Batches to a node, each over a connection of its own, whose close says that the node has the points."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.over, self.took, self.failure = port, threading.Event(), [], None

    def run(self):
        try:
            while not self.over.wait(BATCH_PAUSE_SECONDS):
                stamp = int(time.time())
                text = "".join(f"load.s{number} {stamp % 1000} {stamp}\n" for number in range(BATCH_LINES))
                began = time.monotonic()
                send_lines(self.port, text)
                self.took.append(time.monotonic() - began)
        except OSError as error:
            self.failure = error

    def p99_ms(self):
        """Of all batches since it was last asked."""
        took, self.took = sorted(self.took), []
        return took[int(len(took) * 0.99)] * 1e3 if took else 0.0


def cpu_seconds(process):
    with open(f"/proc/{process.pid}/stat") as file:
        fields = file.read().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def plumbago(*words):
    done = subprocess.run([binary("plumbago"), *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"plumbago {' '.join(words)}: {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def cluster_text(node):
    return f'[ring]\ncopies = 1\n\n[[node]]\nname = "{node.name}"\nhost = "127.0.0.1"\ninstance = "{node.name}"\nadmin = "{node.admin}"\n'


def carbonate(source, target, names, staging):
    """Seconds and processor seconds of carbonate's own batches from one folder into another."""
    paths = [file_of(name) for name in names]
    # A source on the same disk needs neither ssh nor compression.
    script = ("import json, sys; from carbonate.sync import run_batch; paths, source, target, tmp = json.load(sys.stdin)\n"
              "for at in range(0, len(paths), 1000): run_batch(paths[at:at + 1000], source + '/', target, '-apS', 'local', False, tmpdir=tmp)")
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run([sys.executable, "-c", script], input=json.dumps([paths, source, target, staging]), text=True, check=True, stdout=subprocess.DEVNULL)
    took, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(stage):
    now = int(time.time())
    rules = [*write_rules(stage, RETENTIONS), "--self-metrics-interval", "0s"]
    giver, taker = Carbon(stage, "giver", rules), Carbon(stage, "taker", rules)
    write_files(stage, giver.whisper, now)
    giver.start("--link", address(free_port()))
    wait_for("the index of the node that gives", lambda: metric(giver.admin, "plumbago_carbon_series") >= SERIES, INDEX_SECONDS)
    taker.start("--link", address(free_port()))
    cluster, wanted = stage.write("cluster.toml", cluster_text(giver)), stage.write("wanted.toml", cluster_text(taker))
    plan = stage.path("move.plan")
    plumbago("plan", "rebalance", "--cluster", cluster, "--to", wanted, "--out", plan, "--yes")
    # From now on points come to the new owner.
    for age in range(LAST_POINTS):
        send_lines(taker.line, "".join(f"{name} 1 {now - age * 60}\n" for name in NAMES), seconds=120)
    taker.flush()
    by_carbonate = stage.path("carbonate", "whisper")
    for name in NAMES[:CARBONATE_SERIES]:
        path = os.path.join(by_carbonate, file_of(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        shutil.copyfile(os.path.join(taker.whisper, file_of(name)), path)

    sender = Sender(taker.line)
    sender.start()
    time.sleep(IDLE_SECONDS)
    idle_ms = sender.p99_ms()
    cpu, began = cpu_seconds(giver.process) + cpu_seconds(taker.process), time.monotonic()
    print(plumbago("apply", plan, "--yes").strip(), flush=True)
    took, cpu = time.monotonic() - began, cpu_seconds(giver.process) + cpu_seconds(taker.process) - cpu
    busy_ms = sender.p99_ms()
    sender.over.set()
    sender.join()
    began = time.monotonic()
    verified = plumbago("verify", plan)
    print(f"{verified.strip()} in {time.monotonic() - began:.1f} s")

    peer_took, peer_cpu = carbonate(giver.whisper, by_carbonate, NAMES[:CARBONATE_SERIES], stage.path("staging", ""))
    ours, theirs = SERIES / took, CARBONATE_SERIES / peer_took
    print(f"apply: {SERIES} series in {took:.1f} s, {ours:.0f}/s, {1e3 * cpu / SERIES:.2f} ms CPU each; batches of {BATCH_LINES} lines: "
          f"p99 {idle_ms:.1f} ms idle, {busy_ms:.1f} ms meanwhile")
    print(f"carbonate: {CARBONATE_SERIES} series in {peer_took:.1f} s, {theirs:.0f}/s, {1e3 * peer_cpu / CARBONATE_SERIES:.2f} ms CPU each; "
          f"ours are {ours / theirs:.1f} times as many a second")
    stage.check(sender.failure is None, f"the sender: {sender.failure}")
    stage.check(verified.startswith(f"{SERIES} verified"), verified)
    stage.check(ours >= FASTER * theirs, f"{ours:.0f} series/s are less than {FASTER} times {theirs:.0f}")
    stage.check(busy_ms <= SLOWER * idle_ms, f"p99 {busy_ms:.1f} ms is more than {SLOWER} times {idle_ms:.1f} ms")


with Stage("moves") as stage:
    main(stage)
