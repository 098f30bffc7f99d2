"""The whole pipeline, one process a part, with storage nodes that can be killed and brought back."""
from plumbago import ApiDaemon, Carbon, Relay, Zipper, lookup, metric, node_flags, wait_ready, write_cluster, write_rules
from stage import HOST, wait_for

BACKLOG_SECONDS = 15


class Pipeline:
    """Relay, storage nodes, zipper and api over one cluster file; `owners` says which nodes hold a name."""

    def __init__(self, stage, names, retentions, lag, nodes=4, replication=2):
        self.stage, self.lag = stage, lag
        rules = write_rules(stage, retentions)
        self.nodes = [Carbon(stage, f"node-{number}", rules) for number in range(1, nodes + 1)]
        self.flags = ["--cluster", write_cluster(stage, self.nodes, replication)]
        for node in self.nodes:
            self.start(node)
        self.relay = Relay(stage, self.flags)
        self.zipper = Zipper(stage, self.flags)
        self.api = ApiDaemon(stage, self.zipper.listen)
        flags = node_flags(self.nodes, replication)
        asked = [flag for flag in flags if flag.startswith(HOST)]
        owners = lookup(asked, names, flags[:2])
        self.owners = {name: [owner.partition("=")[2] for owner in owners[name]] for name in names}

    def parts(self):
        """Everything that runs, in the order in which it is stopped."""
        return [("relay", self.relay), ("api", self.api), ("zipper", self.zipper), *((node.name, node) for node in self.nodes)]

    def start(self, node):
        node.start(*self.flags, "--self", node.name, "--lag", self.lag)

    def restart(self, label, part):
        """SIGTERM and a clean exit, then the same program at the same addresses, until it is ready."""
        self.stage.stop(part.process)
        part.process = self.stage.spawn(label.replace(" ", "-"), part.process.args)
        wait_ready(self.stage, part.process, part.admin)

    def backlog(self):
        return metric(self.relay.admin, "plumbago_relay_backlog_lines")

    def wait_drained(self, seconds=BACKLOG_SECONDS):
        wait_for("an empty backlog", lambda: self.backlog() == 0, seconds)

    def stop(self):
        """SIGTERM to each part in turn, and a clean exit of each."""
        for _, part in self.parts():
            self.stage.stop(part.process)
