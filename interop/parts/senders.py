"""graphyte, nc, Python carbon-relay (pickle) and carbon-c-relay into our relay: the same series through each, all on both nodes."""
import os
import random
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import graphyte  # noqa: E402
import peers  # noqa: E402
from plumbago import Carbon, Relay, metric, node_flags, send_lines, write_rules  # noqa: E402
from series import describe, differences, file_of, read_file  # noqa: E402
from stage import HOST, Failed, Stage, wait_for  # noqa: E402

STEP = 60
POINTS = 5
PLAIN, TAGGED = 180, 20
REPLICATION = 2
ARRIVE_SECONDS = 60


def make_series():
    """{(name, tags): {timestamp: value}}, ending at the last full minute."""
    rng = random.Random(7)
    last = int(time.time()) // STEP * STEP
    stamps = [last - STEP * age for age in range(POINTS)]
    keys = [(f"host-{number}.cpu.idle", ()) for number in range(PLAIN)]
    keys += [(f"disk.used_{number}", (("dc", "eu"), ("host", f"h{number}"))) for number in range(TAGGED)]
    return {key: {stamp: rng.randrange(10**6) / 1000 for stamp in stamps} for key in keys}


def full_name(sender, key):
    name, tags = key
    return f"via.{sender}.{name}" + "".join(f";{tag}={value}" for tag, value in tags)


def lines(sender, series):
    return "".join(f"{full_name(sender, key)} {value} {stamp}\n" for key, points in series.items() for stamp, value in points.items())


def by_graphyte(stage, relay, series):
    sender = graphyte.Sender(HOST, port=relay.line, prefix="via.graphyte", interval=0.1, queue_size=100_000)
    for (name, tags), points in series.items():
        for stamp, value in points.items():
            sender.send(name, value, timestamp=stamp, tags=dict(tags))
    sender.stop()


def by_nc(stage, relay, series):
    path = stage.write("nc.txt", lines("nc", series))
    with open(path, "rb") as file:
        subprocess.run(["nc", "-q0", HOST, str(relay.line)], stdin=file, check=True, timeout=30)


def by_carbon_relay(stage, relay, series):
    send_lines(peers.carbon_relay(stage, relay.pickle), lines("carbon-relay", series))


def by_carbon_c_relay(stage, relay, series):
    send_lines(peers.carbon_c_relay(stage, relay.line), lines("carbon-c-relay", series))


SENDERS = {"graphyte": by_graphyte, "nc": by_nc, "carbon-relay": by_carbon_relay, "carbon-c-relay": by_carbon_c_relay}


def held(node, names, start, until):
    """What the node's files hold of these names, read by Python whisper."""
    node.flush()
    paths = {name: os.path.join(node.whisper, file_of(name)) for name in names}
    return {name: read_file(path, start, until) for name, path in paths.items() if os.path.exists(path)}


def wait_for_files(node, expected, window):
    """The last reading; it equals what is expected unless the time ran out."""
    found = {}

    def arrived():
        found.update(held(node, expected, *window))
        return found == expected
    try:
        wait_for("every point in the files", arrived, ARRIVE_SECONDS)
    except Failed:
        for text in differences(node.name, expected, found)[:3]:
            print(text)
    return found


def main():
    series = make_series()
    stamps = [stamp for points in series.values() for stamp in points]
    window = min(stamps) - STEP, max(stamps)
    expected = {full_name(sender, key): points for sender in SENDERS for key, points in series.items()}
    with Stage("senders") as stage:
        rules = write_rules(stage, "60s:1d")
        nodes = [Carbon(stage, name, rules).start() for name in ("a", "b")]
        relay = Relay(stage, node_flags(nodes, REPLICATION))
        for send in SENDERS.values():
            send(stage, relay, series)
        for node in nodes:
            found = wait_for_files(node, expected, window)
            for name, points in expected.items():
                stage.check(found.get(name) == points, f"node {node.name}: {name}: {describe(points, found.get(name))}")
        sent = sum(len(points) for points in expected.values())
        received = metric(relay.admin, "plumbago_relay_lines_received_total")
        stage.check(received == sent, f"the relay counts {received:g} lines, {sent} were sent")
        dropped = metric(relay.admin, "plumbago_relay_lines_dropped_total")
        stage.check(dropped == 0, f"the relay dropped {dropped:g} lines")
        for process in [relay.process] + [node.process for node in nodes]:
            stage.stop(process)
        print(f"senders: compared {len(expected)} series through {len(SENDERS)} senders, {sent} points, on {len(nodes)} nodes each", flush=True)


main()
