"""A stage for one part: temporary folder, processes, ports, waiting with a deadline, and the part's closing line.

Processes stay in the part's own process group, so that whoever ends the group (`timeout`, `interop/run`) ends them all.
"""
import ctypes
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.error
import urllib.request

HOST = "127.0.0.1"
PORTS_BELOW_EPHEMERAL = range(12_000, 30_000)
STOP_SECONDS = 20
END_SECONDS = 3
PR_SET_CHILD_SUBREAPER = 36
given_ports = set()


class Failed(Exception):
    """The part cannot go on; the text says why."""


def free_port():
    """A port nobody listens on or was given before, by TCP or UDP, and that no outgoing connection will be given meanwhile."""
    for _ in range(1000):
        port = random.choice(PORTS_BELOW_EPHEMERAL)
        if port in given_ports:
            continue
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            try:
                tcp.bind((HOST, port))
                udp.bind((HOST, port))
                given_ports.add(port)
                return port
            except OSError:
                continue
    raise Failed("no free port found")


def address(port):
    return f"{HOST}:{port}"


def wait_for(what, condition, seconds=20.0):
    """Polls until the condition is true and returns its value; an OSError counts as 'not yet'."""
    deadline = time.monotonic() + seconds
    last = None
    while time.monotonic() < deadline:
        try:
            last = condition()
            if last:
                return last
        except OSError as error:
            last = error
        time.sleep(0.05)
    raise Failed(f"waited {seconds:g} s for {what}: {last!r}")


def close_in_order(connection):
    """Ends what is sent, and waits for the receiver to close in its turn: from then on it is the receiver's business."""
    connection.shutdown(socket.SHUT_WR)
    while connection.recv(4096):
        pass
    connection.close()


def http(url, method="GET", data=None, seconds=30.0):
    """The body of a 200 answer; anything else raises OSError with the answer's text."""
    request = urllib.request.Request(url, method=method, data=data)
    try:
        with urllib.request.urlopen(request, timeout=seconds) as answer:
            return answer.read()
    except urllib.error.HTTPError as error:
        raise OSError(f"{url}: {error.code} {error.read()[:300]!r}") from error


class Stage:
    """Use as a context: `with Stage("name") as stage`. On leaving, every process is stopped and the folder removed."""

    def __init__(self, name):
        self.name = name
        self.folder = tempfile.mkdtemp(prefix=f"plumbago-interop-{name}-")
        self.processes = []
        self.passed = 0
        self.failures = []

    def __enter__(self):
        # What a program leaves behind, as browsers do with their helpers, becomes ours to wait for.
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: sys.exit(124))
        return self

    def __exit__(self, kind, error, _trace):
        if kind is not None:
            self.failures.append(f"{kind.__name__}: {error}")
            if kind not in (Failed, SystemExit):
                traceback.print_exception(error)
        for label, process in self.processes:
            died_early = process.poll() is not None and process.returncode != 0
            if self.failures or died_early:
                self.print_log_end(label)
        end(process for _, process in self.processes)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.close()
        sys.exit(1 if self.failures else 0)

    def path(self, *parts):
        path = os.path.join(self.folder, *parts)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def write(self, name, text):
        path = self.path(name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def spawn(self, label, argv, **options):
        """Starts a program whose output goes to LABEL.log; it is stopped with the stage."""
        with open(self.path(f"{label}.log"), "ab") as log:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, **options)
        self.processes.append((label, process))
        return process

    def wait_alive(self, process, what, condition, seconds=20.0):
        """Like wait_for, but gives up at once when the process that should bring it about has ended."""
        def check():
            if process.poll() is not None:
                raise Failed(f"{process.args[0]} ended with {process.returncode} while waiting for {what}")
            return condition()
        return wait_for(what, check, seconds)

    def wait_port(self, process, port, seconds=20.0):
        def connects():
            with socket.create_connection((HOST, port), timeout=1):
                return True
        self.wait_alive(process, f"port {port}", connects, seconds)

    def stop(self, process, seconds=STOP_SECONDS):
        """SIGTERM and a clean exit, or a failure of the part."""
        process.terminate()
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failed(f"{process.args[0]} still runs {seconds} s after SIGTERM") from None
        self.check(code == 0, f"{os.path.basename(process.args[0])} ends with 0 after SIGTERM, not {code}")

    def kill(self, process):
        """SIGKILL, as the kernel does when memory is short; returns when the process is gone."""
        process.kill()
        process.wait()
        self.processes = [(label, other) for label, other in self.processes if other is not process]

    def check(self, holds, what):
        """One comparison; a failed one is remembered and the part goes on."""
        if holds:
            self.passed += 1
        else:
            self.failures.append(what)

    def print_log_end(self, label):
        with open(self.path(f"{label}.log"), encoding="utf-8", errors="replace") as log:
            tail = log.read()[-2000:]
        print(f"--- last lines of {label} ---\n{tail}", flush=True)

    def close(self):
        for text in self.failures[:10]:
            print(f"FAILED {self.name}: {text}")
        if len(self.failures) > 10:
            print(f"FAILED {self.name}: and {len(self.failures) - 10} more")
        print(f"{self.passed} passed, {len(self.failures)} failed", flush=True)


def end(processes):
    """Ends them for good: all politely first, then who is left not."""
    alive = [process for process in processes if process.poll() is None]
    for process in alive:
        process.terminate()
    deadline = time.monotonic() + END_SECONDS
    for process in alive:
        try:
            process.wait(max(0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    reap_orphans(time.monotonic() + END_SECONDS)


def reap_orphans(deadline):
    """Waits for the processes that ours left behind; who lives longer is for `interop/run` to find."""
    while time.monotonic() < deadline:
        try:
            number, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if number == 0:
            time.sleep(0.05)
