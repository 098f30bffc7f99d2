"""What every case works with: a stage that also undoes mounts and cgroups, and gathers what was measured."""
import dataclasses
import os
import random
import shutil
import subprocess
import tempfile
import traceback

from stage import Stage, end

CGROUPS = "/sys/fs/cgroup"


@dataclasses.dataclass
class Outcome:
    """What became of a case."""

    verdict: str
    facts: list
    failures: list
    seconds: float

    def summary(self):
        return "; ".join([*self.facts, *(text.replace("|", "/") for text in self.failures[:3])]) or "-"


class Rig(Stage):
    """A stage whose end is an outcome and not the end of the program."""

    def __init__(self, name, node_kind, options):
        super().__init__(name)
        self.node_kind, self.options = node_kind, options
        self.rng = random.Random(f"{options.seed} {name}")
        self.facts, self.books = [], []
        self.elsewhere = False
        self.undo = []

    def __exit__(self, kind, error, _trace):
        if kind is not None:
            self.failures.append(f"{kind.__name__}: {error}")
            if kind.__name__ != "Failed":
                traceback.print_exception(error)
        if self.failures:
            for label in sorted({label for label, process in self.processes if os.path.exists(self.path(f"{label}.log"))}):
                self.print_log_end(label)
        end(process for _, process in self.processes)
        self.check_logs()
        for step in reversed(self.undo):
            step()
        shutil.rmtree(self.folder, ignore_errors=True)
        return kind is None or issubclass(kind, Exception)

    def check_logs(self):
        """A panic is a failure, whatever else came out."""
        for name in os.listdir(self.folder):
            if name.endswith(".log"):
                panics = [row for row in read_text(os.path.join(self.folder, name)).splitlines() if "panic" in row]
                self.check(not panics, f"{name}: {panics[:1]}")

    def verdict(self):
        if self.failures:
            return "fail"
        return "tested elsewhere" if self.elsewhere else "pass"

    def note(self, text):
        self.facts.append(text)

    def node(self, flags=(), wrap=(), **options):
        return self.node_kind(self, flags, wrap, **options)

    def long_or_quick(self, long, quick):
        return quick if self.options.quick else long

    def tmpfs(self, path, size):
        """A small memory file system at `path`; it is gone with the case."""
        os.makedirs(path, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "fault", path], check=True)
        self.undo.append(lambda: subprocess.run(["umount", "--lazy", path], check=False))

    def cgroup(self, controller, **limits):
        """A new cgroup (v1) with these limits; None where the kernel has no such controller."""
        root = os.path.join(CGROUPS, controller)
        if not os.path.isdir(root):
            return None
        path = os.path.join(root, os.path.basename(tempfile.gettempdir()))
        os.makedirs(path, exist_ok=True)
        self.undo.append(lambda: os.path.isdir(path) and os.rmdir(path))
        for name, value in limits.items():
            write_text(os.path.join(path, f"{controller}.{name}"), value)
        return path


def into_cgroup(path):
    """A command prefix: the program runs in this cgroup from its first moment."""
    return ["sh", "-c", f'echo $$ > {path}/tasks && exec "$@"', "sh"]


def write_text(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(str(text))


def read_text(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()
