"""Placement: Python carbon's router and `carbon-c-relay -t` against `plumbago ring lookup`, on fresh random names and clusters."""
import os
import random
import string
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from carbon.routers import ConsistentHashingRouter  # noqa: E402
from plumbago import lookup  # noqa: E402
from stage import Failed, Stage  # noqa: E402

NAMES = 50_000
CLUSTERS = 10
WORDS = ["cpu", "idle", "disk", "sda1", "net", "eth0", "rx_bytes", "p99", "Requests", "eu-west-1a", "größe", "サーバ", "a:b", "x#1", "%"]


class RouterSettings:
    """What ConsistentHashingRouter reads of carbon.conf."""
    DIVERSE_REPLICAS = False

    def __init__(self, ring, replication):
        self.ROUTER_HASH_TYPE = ring
        self.REPLICATION_FACTOR = replication


def random_name(rng):
    parts = [rng.choice(WORDS) if rng.random() < 0.6 else "".join(rng.choices(string.ascii_lowercase + string.digits, k=rng.randint(1, 12)))
             for _ in range(rng.randint(1, 9))]
    name = ".".join(parts)
    if rng.random() < 0.1:
        name += f";dc={rng.choice(WORDS)};host=h{rng.randrange(1000)}"
    return name


def random_names(rng):
    names = set()
    while len(names) < NAMES:
        names.add(random_name(rng))
    return sorted(names)


def random_cluster(rng):
    """Nodes as (host, port, instance): single hosts, several instances a host, or a mixture; ports tell them apart in every answer."""
    hosts = [f"10.{rng.randrange(256)}.{rng.randrange(256)}.{rng.randrange(1, 255)}" for _ in range(rng.randint(2, 20))]
    nodes, style = [], rng.choice(["plain", "instances", "mixed"])
    for host in dict.fromkeys(hosts):
        copies = 1 if style == "plain" else rng.randint(1, 4)
        for copy in range(copies):
            named = style == "instances" or (style == "mixed" and copy > 0)
            nodes.append((host, 2003 + len(nodes), rng.choice("abxyz") + str(copy) if named else None))
    rng.shuffle(nodes)
    return nodes


def with_own_instances(nodes):
    """No instance twice: carbon-c-relay's fnv1a_ch knows nodes by their instance alone, and never ends when it counts too few."""
    return [(host, port, f"{instance}{port}" if instance else None) for host, port, instance in nodes]


def flag(node):
    host, port, instance = node
    return f"{host}:{port}" + (f"={instance}" if instance else "")


def by_python(_stage, ring, nodes, names, replication):
    router = ConsistentHashingRouter(RouterSettings(ring, replication))
    for node in nodes:
        router.addDestination(node)
    return {name: [flag(node) for node in router.getDestinations(name)] for name in names}


def by_carbon_c_relay(stage, ring, nodes, names, replication):
    """Its test mode prints, a name: `* -> NAME`, `RING(c)`, then one HOST:PORT a line."""
    conf = stage.write("c-relay.conf", f"cluster c {ring} replication {replication}\n" + "\n".join(flag(node) for node in nodes)
                       + ";\nmatch * send to c stop;\n")
    done = subprocess.run(["carbon-c-relay", "-t", "-s", "-f", conf], input="\n".join(names) + "\n", capture_output=True,
                          text=True, encoding="utf-8", check=True, timeout=120)
    flag_of = {f"{host}:{port}": flag((host, port, instance)) for host, port, instance in nodes}
    placed, owners = {}, None
    for line in done.stdout.splitlines():
        word = line.strip()
        if word.startswith("* -> "):
            owners = placed[word.removeprefix("* -> ")] = []
        elif owners is not None and word in flag_of:
            owners.append(flag_of[word])
    return placed


# ring, does it need instances of their own, the program, and its dialect here
COMPARISONS = [
    ("carbon_ch", False, by_python, "bump"),
    ("carbon_ch", False, by_carbon_c_relay, "first"),
    ("fnv1a_ch", True, by_python, "bump"),
    ("fnv1a_ch", True, by_carbon_c_relay, "first"),
    ("jump_fnv1a_ch", True, by_carbon_c_relay, "first"),
]


def compare(stage, label, peer, ours, names):
    if len(peer) != len(names):
        raise Failed(f"{label}: the peer placed {len(peer)} of {len(names)} names")
    wrong = [name for name in names if peer[name] != ours.get(name)]
    first = f", first {wrong[0]}: {peer[wrong[0]]} there, {ours.get(wrong[0])} here" if wrong else ""
    stage.check(not wrong, f"{label}: {len(wrong)} of {len(names)} names differ{first}")


def main():
    seed = int(os.environ.get("INTEROP_SEED") or random.SystemRandom().randrange(2**32))
    print(f"ring: random seed {seed} (INTEROP_SEED repeats it)", flush=True)
    rng = random.Random(seed)
    names = random_names(rng)
    with Stage("ring") as stage:
        for number in range(1, CLUSTERS + 1):
            cluster = random_cluster(rng)
            replication = rng.randint(1, min(3, len(cluster)))
            for ring, own_instances, place, dialect in COMPARISONS:
                nodes = with_own_instances(cluster) if own_instances else cluster
                label = f"cluster {number} ({len(nodes)} nodes, {replication} copies), {ring}, {place.__name__}"
                ours = lookup([flag(node) for node in nodes], names, ["--ring", ring, "--collision", dialect, "--replicas", "ring",
                                                                      "--replication", str(replication)])
                compare(stage, label, place(stage, ring, nodes, names, replication), ours, names)
        print(f"ring: compared {len(names)} names on {CLUSTERS} clusters, {len(COMPARISONS)} times each", flush=True)


main()
