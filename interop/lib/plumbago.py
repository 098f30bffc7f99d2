"""Plumbago's own binaries, as an operator starts them by hand. $PLUMBAGO_BIN is their folder."""
import json
import os
import socket
import subprocess
import tomllib
import urllib.parse

from stage import HOST, address, close_in_order, free_port, http

FLUSH_SECONDS = 60


def binary(name):
    return os.path.join(os.environ["PLUMBAGO_BIN"], name)


def write_rules(stage, retentions, method="average", x_files_factor=0):
    """One schema and one aggregation rule for every name, as the flags that name their files."""
    schemas = stage.write("storage-schemas.conf", f"[all]\npattern = .*\nretentions = {retentions}\n")
    aggregation = stage.write(
        "storage-aggregation.conf",
        f"[all]\npattern = .*\nxFilesFactor = {x_files_factor}\naggregationMethod = {method}\n",
    )
    return ["--schemas", schemas, "--aggregation", aggregation]


class Api:
    """The Graphite API at one base address."""

    def __init__(self, base):
        self.base = base

    def get(self, path, *pairs):
        return json.loads(http(f"{self.base}{path}?{urllib.parse.urlencode(pairs)}"))

    def render(self, targets, start, until, *more):
        pairs = [("target", target) for target in targets]
        return self.get("/render", *pairs, ("from", start), ("until", until), ("format", "json"), *more)

    def names(self):
        return self.get("/metrics/index.json")


class Node:
    """A storage node that runs already: where its files are and how it is told to flush."""

    def __init__(self, name, whisper, read, admin):
        self.name, self.whisper, self.read, self.admin = name, whisper, read, admin

    def flush(self):
        http(f"http://{self.admin}/admin/flush", method="POST", seconds=FLUSH_SECONDS)

    def files(self):
        """Every Whisper file's path below the tree."""
        found = set()
        for folder, _, names in os.walk(self.whisper):
            found.update(os.path.relpath(os.path.join(folder, name), self.whisper) for name in names if name.endswith(".wsp"))
        return found


class Up:
    """`plumbago up`: the whole pipeline in one process."""

    def __init__(self, stage, retentions, nodes=4, replication=2):
        self.line, self.pickle, listen = free_port(), free_port(), free_port()
        data = stage.path("data")
        argv = [binary("plumbago"), "up", "--data", data, "--line", address(self.line), "--pickle", address(self.pickle),
                "--listen", address(listen), "--nodes", str(nodes), "--replication", str(replication)]
        self.process = stage.spawn("up", argv + write_rules(stage, retentions))
        self.api = Api(f"http://{address(listen)}")
        stage.wait_port(self.process, listen)
        stage.wait_port(self.process, self.line)
        self.cluster_file = os.path.join(data, "cluster.toml")
        with open(self.cluster_file, "rb") as file:
            self.cluster = tomllib.load(file)
        self.nodes = [Node(node["name"], os.path.join(data, f"node-{place}", "whisper"), node["read"], node["admin"])
                      for place, node in enumerate(self.cluster["node"], 1)]


class Carbon(Node):
    """One storage node on its own: it has its addresses from the first moment, and the process with start()."""

    def __init__(self, stage, name, rules):
        self.stage, self.line, read, admin = stage, free_port(), free_port(), free_port()
        data = stage.path(name)
        super().__init__(name, os.path.join(data, "whisper"), address(read), address(admin))
        self.argv = [binary("plumbago-carbon"), "--data", data, "--line", address(self.line), "--pickle", address(free_port()),
                     "--read", self.read, "--carbonlink", address(free_port()), "--admin", self.admin, *rules]

    def start(self, *flags):
        """Starts it, again if it ran before, and waits until it is ready."""
        self.process = self.stage.spawn(self.name, [*self.argv, *flags])
        wait_ready(self.stage, self.process, self.admin)
        self.stage.wait_port(self.process, self.line)
        return self


class Relay:
    """A relay; the flags name its storage nodes."""

    def __init__(self, stage, flags, name="relay"):
        self.line, self.pickle, self.admin = free_port(), free_port(), address(free_port())
        argv = [binary("plumbago-relay"), "--line", address(self.line), "--pickle", address(self.pickle), "--admin", self.admin,
                "--log", stage.path(f"{name}-log"), *flags]
        self.process = stage.spawn(name, argv)
        wait_ready(stage, self.process, self.admin)
        stage.wait_port(self.process, self.line)


class Zipper:
    """A zipper; the flags name its storage nodes."""

    def __init__(self, stage, flags):
        self.listen, self.admin = address(free_port()), address(free_port())
        self.process = stage.spawn("zipper", [binary("plumbago-zipper"), "--listen", self.listen, "--admin", self.admin, *flags])
        wait_ready(stage, self.process, self.admin)


class ApiDaemon(Api):
    """The api daemon in front of a zipper or one storage node."""

    def __init__(self, stage, backend, flags=()):
        listen, self.admin = address(free_port()), address(free_port())
        super().__init__(f"http://{listen}")
        self.process = stage.spawn("api", [binary("plumbago-api"), "--listen", listen, "--admin", self.admin, "--backend", f"http://{backend}", *flags])
        wait_ready(stage, self.process, self.admin)


def node_flags(nodes, replication):
    """Storage nodes in order, as the short form of a cluster file."""
    flags = ["--replication", str(replication)]
    for node in nodes:
        flags += ["--node", f"{HOST}:{node.line}={node.name}"]
    return flags


def write_cluster(stage, nodes, replication):
    """The cluster file of these nodes, each an instance of this host; gives its path."""
    text = f"[ring]\ncopies = {replication}\n"
    for node in nodes:
        text += f'\n[[node]]\nname = "{node.name}"\nhost = "{HOST}"\ninstance = "{node.name}"\n'
        text += f'line = "{address(node.line)}"\nread = "{node.read}"\nadmin = "{node.admin}"\n'
    return stage.write("cluster.toml", text)


def send_lines(port, text, seconds=30):
    """Sends carbon lines and waits for the receiver to close in its turn: from then on they are its business."""
    with socket.create_connection((HOST, port), timeout=seconds) as connection:
        connection.sendall(text.encode())
        close_in_order(connection)


def metric(admin, name):
    """A metric's value at /metrics, summed over its labels."""
    rows = http(f"http://{admin}/metrics").decode().splitlines()
    return sum(float(row.rsplit(" ", 1)[1]) for row in rows if row.startswith((name + " ", name + "{")))


def wait_ready(stage, process, admin):
    stage.wait_alive(process, f"http://{admin}/ready", lambda: http(f"http://{admin}/ready") is not None)


def lookup(nodes, names, flags):
    """`plumbago ring lookup`: each name's owners, primary first, as HOST:PORT[=INSTANCE]."""
    argv = [binary("plumbago"), "ring", "lookup", *flags]
    for node in nodes:
        argv += ["--node", node]
    done = subprocess.run(argv, input="\n".join(names) + "\n", capture_output=True, text=True, encoding="utf-8", check=True)
    rows = [line.rsplit("\t", 1) for line in done.stdout.splitlines()]
    return {name: owners.split(",") for name, owners in rows}
