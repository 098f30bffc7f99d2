"""A thousand requests a second of thirty measurements each, for a while, into a storage node and into a relay: each answered in time, all of it kept."""
import asyncio
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from plumbago import Carbon, Relay, metric, node_flags, write_rules  # noqa: E402
from stage import HOST, Failed, Stage, address, free_port, wait_for  # noqa: E402

RATE = 1000
POINTS = 30
SECONDS = float(os.environ.get("INTEROP_LOAD_SECONDS", "10"))
CONNECTIONS = 32
P95_MS_MAX = 20
# Other work on the machine can spoil one run; a server that is too slow spoils them all.
TRIES = 3


def request(number):
    """One request, as bytes: the measurements of one of a thousand hosts."""
    items = [{"name": f"load.metric_{item}", "value": number % 1000 + item / 8, "tags": {"host": f"h{number % 1000}"}} for item in range(POINTS)]
    body = json.dumps({"time": int(time.time()) // 10 * 10, "measurements": items}, separators=(",", ":")).encode()
    head = f"POST /v1/measurements HTTP/1.1\r\nHost: load\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Connection(asyncio.Protocol):
    """One request at a time; the time of each counts from the moment at which it was due."""

    def __init__(self, idle):
        self.idle, self.took, self.bad, self.buffer = idle, [], [], b""

    def connection_made(self, transport):
        self.transport = transport
        self.idle.put_nowait(self)

    def data_received(self, data):
        self.buffer += data
        if b"\r\n\r\n" not in self.buffer or not self.buffer.endswith(b"}\n"):
            return
        self.took.append(time.perf_counter() - self.due)
        if not self.buffer.startswith(b"HTTP/1.1 200") or b'"accepted":%d,' % POINTS not in self.buffer:
            self.bad.append(self.buffer[:200])
        self.buffer = b""
        self.idle.put_nowait(self)

    def send(self, data, due):
        self.due = due
        self.transport.write(data)


async def run(port, requests):
    """Sends at the rate, whatever the answers do; gives the times in ms, sorted, the bad answers, and how long it took."""
    loop, idle = asyncio.get_running_loop(), asyncio.Queue()
    made = [await loop.create_connection(lambda: Connection(idle), HOST, port) for _ in range(CONNECTIONS)]
    connections = [connection for _, connection in made]
    began = time.perf_counter()
    for number, data in enumerate(requests):
        due = began + number / RATE
        if due > time.perf_counter():
            await asyncio.sleep(due - time.perf_counter())
        connection = await idle.get()
        connection.send(data, due)
    for _ in connections:
        await idle.get()
    elapsed = time.perf_counter() - began
    for connection in connections:
        connection.transport.close()
    took = sorted(seconds * 1000 for connection in connections for seconds in connection.took)
    return took, [bad for connection in connections for bad in connection.bad], elapsed


def load(stage, label, port):
    """Runs the load until one run is in time; gives how many points were sent in all."""
    sent = 0
    for attempt in range(1, TRIES + 1):
        requests = [request(number) for number in range(int(RATE * SECONDS))]
        took, bad, elapsed = asyncio.run(run(port, requests))
        sent += len(requests) * POINTS
        p50, p95, p99 = (took[len(took) * share // 100] for share in (50, 95, 99))
        rate = len(took) / elapsed
        print(f"http_load: {label}: {rate:.0f} requests/s of {POINTS}; half within {p50:.1f} ms, 95 % {p95:.1f} ms, 99 % {p99:.1f} ms, "
              f"longest {took[-1]:.1f} ms", flush=True)
        stage.check(not bad, f"{label}: {len(bad)} answers such as {bad[:1]}")
        if p95 < P95_MS_MAX and rate >= RATE * 0.98:
            stage.check(True, "")
            return sent
    stage.check(False, f"{label}: in none of {TRIES} runs were 95 % within {P95_MS_MAX} ms at {RATE} requests/s")
    return sent


def main():
    with Stage("http_load") as stage:
        rules = write_rules(stage, "10s:1d")
        direct, behind = Carbon(stage, "direct", rules), Carbon(stage, "behind", rules)
        node_port, relay_port = free_port(), free_port()
        # Their own numbers would count as points too.
        quiet = ["--self-metrics-interval", "0s"]
        direct.start("--http", address(node_port), *quiet)
        behind.start(*quiet)
        relay = Relay(stage, [*node_flags([behind], 1), "--http", address(relay_port), *quiet])
        for label, node, port in (("storage node", direct, node_port), ("relay", behind, relay_port)):
            sent = load(stage, label, port)

            def received():
                return metric(node.admin, "plumbago_carbon_points_received_total") >= sent
            try:
                wait_for("the points at the storage node", received, 30)
            except Failed:
                pass
            kept = metric(node.admin, "plumbago_carbon_points_received_total")
            stage.check(kept == sent, f"{label}: {sent} points were answered, the storage node read {kept:g}")
            dropped = metric(node.admin, "plumbago_carbon_points_dropped_total")
            stage.check(dropped == 0, f"{label}: the storage node dropped {dropped:g} points")
        for process in (relay.process, direct.process, behind.process):
            stage.stop(process)


main()
