"""Power loss: every change that a node asks of its disk is recorded, and its folder made anew as a disk may have it at some moment.

What was synced is there. Of the rest each page of 4 KiB is there, is not, or is torn, by lot, and so many of the changes of names as a journalling
file system had got to; a file that was synced has its name.
"""
import dataclasses
import os
import re
import shutil
import time

from crash import Watch
from damage import small_segments
from nodes import check_ledger
from rig import read_text
from stage import wait_for
from tracks import Sender, Track, verify

PROMISED_AFTER_SECONDS = 0.25
SERIES = 500
TMPFS = "512m"
PAGE_BYTES = 4096
SYNCS = ("fsync", "fdatasync", "syncfs")
CHANGES = ("openat", "write", "pwrite64", "ftruncate", "rename", "renameat2", "link", "unlink")
# Anything that could change a file in another way would make the record incomplete, and the comparison at its end fail.
CALL = re.compile(r"(?P<thread>\d+) +(?P<moment>\d+\.\d+) (?:<\.\.\. \w+ resumed>)?(?P<text>.*)")
HEX = r"(?:\\x[0-9a-f]{2})*"
WHOLE_CALL = re.compile(r"(?P<name>\w+)\((?P<arguments>.*)\) += (?P<result>-?\d+)(?:<(?P<opened>%s)>)?.*<(?P<seconds>[\d.]+)>$" % HEX)


@dataclasses.dataclass
class Call:
    """A call that succeeded."""

    start: float
    end: float
    name: str
    arguments: str
    opened: str

    @property
    def strings(self):
        return [plain(text) for text in re.findall(f'"({HEX})"', self.arguments)]

    @property
    def path(self):
        """Of the descriptor that is the first argument."""
        return os.fsdecode(plain(re.match(rf"\d+<({HEX})", self.arguments)[1]))

    @property
    def last_number(self):
        return int(self.arguments.rsplit(", ", 1)[1])


def plain(text):
    return bytes.fromhex(text.replace("\\x", ""))


def calls_of(path):
    """The calls of a record by strace, and its first and last moment."""
    begun, calls = {}, []
    with open(path, encoding="ascii") as record:
        for row in record:
            match = CALL.match(row)
            thread, moment, text = match["thread"], float(match["moment"]), match["text"]
            if text.endswith("<unfinished ...>"):
                begun[thread] = moment, text.removesuffix(" <unfinished ...>")
                continue
            is_rest = "resumed>" in row
            start, head = begun.pop(thread) if is_rest else (moment, "")
            whole = WHOLE_CALL.match(head + text)
            if whole and int(whole["result"]) >= 0:
                end = moment if is_rest else moment + float(whole["seconds"])
                calls.append(Call(start, end, whole["name"], whole["arguments"], os.fsdecode(plain(whole["opened"] or ""))))
    return calls


class File:
    """Content as the node sees it, and as the disk has it for certain."""

    def __init__(self):
        self.seen, self.safe = bytearray(), b""

    def write(self, at, data):
        self.seen.extend(bytes(max(0, at - len(self.seen))))
        self.seen[at:at + len(data)] = data

    def after_power_loss(self, rng):
        """What is not safe is there, is not, or is torn, page by page."""
        if self.seen == self.safe:
            return self.safe
        size = rng.choice((len(self.seen), len(self.safe)))
        found = bytearray(self.safe[:size].ljust(size, b"\0"))
        for page in range(0, size, PAGE_BYTES):
            new = self.seen[page:min(page + PAGE_BYTES, size)]
            kept = rng.choice((0, rng.randrange(PAGE_BYTES), PAGE_BYTES))
            found[page:page + min(kept, len(new))] = new[:kept]
        return bytes(found)


class Disk:
    """A folder's files, as calls change them: first for whom asks, and for certain once they are synced."""

    def __init__(self, folder, calls):
        self.folder = folder + os.sep
        self.seen, self.safe, self.renamings, self.places = {}, {}, [], {}
        begins = [(call.start, False, call) for call in calls if call.name in SYNCS]
        self.to_come = sorted([(call.end, True, call) for call in calls] + begins, key=lambda one: one[:2], reverse=True)
        self.covered = {}

    def play(self, until):
        """Does what was done up to that moment: a change when it ended, a sync for what was there when it began."""
        while self.to_come and self.to_come[-1][0] <= until:
            _moment, ends, call = self.to_come.pop()
            if call.name not in SYNCS:
                getattr(self, f"do_{call.name}")(call)
            elif ends:
                self.sync(*self.covered.pop(id(call)))
            else:
                self.covered[id(call)] = self.covered_by(call)

    def do_openat(self, call):
        if not call.opened.startswith(self.folder) or "O_CREAT" not in call.arguments:
            return
        if call.opened not in self.seen:
            self.name(call.opened, File())
        if "O_TRUNC" in call.arguments:
            self.seen[call.opened].seen.clear()
        self.places[call.opened] = 0

    def do_write(self, call):
        if call.path in self.seen:
            data = call.strings[0]
            self.seen[call.path].write(self.places[call.path], data)
            self.places[call.path] += len(data)

    def do_pwrite64(self, call):
        if call.path in self.seen:
            self.seen[call.path].write(call.last_number, call.strings[0])

    def do_ftruncate(self, call):
        if call.path in self.seen:
            file, size = self.seen[call.path], call.last_number
            file.write(size, b"")
            del file.seen[size:]

    def do_rename(self, call):
        self.move(*map(os.fsdecode, call.strings), keep=False)

    do_renameat2 = do_rename

    def do_link(self, call):
        self.move(*map(os.fsdecode, call.strings), keep=True)

    def do_unlink(self, call):
        self.name(os.fsdecode(call.strings[0]), None)

    def move(self, old, new, keep):
        file = self.seen.get(old)
        if file:
            self.name(new, file)
            self.places[new] = self.places.get(old, 0)
            if not keep:
                self.name(old, None)

    def name(self, path, file):
        if path.startswith(self.folder):
            change_name(self.seen, path, file)
            self.renamings.append((path, file))

    def covered_by(self, call):
        """(contents, changes of names) that a sync which begins now makes safe."""
        if call.name == "syncfs":
            return [(file, bytes(file.seen)) for file in self.seen.values() if file.seen != file.safe], list(self.renamings)
        if call.path in self.seen:
            file = self.seen[call.path]
            return [(file, bytes(file.seen))], [one for one in self.renamings if one[1] is file]
        return [], [one for one in self.renamings if os.path.dirname(one[0]) == call.path]

    def sync(self, contents, renamings):
        for file, content in contents:
            file.safe = content
        for one in renamings:
            if one in self.renamings:
                change_name(self.safe, *one)
                self.renamings.remove(one)

    def after_power_loss(self, rng):
        """{path: content} that may be found when the power is back."""
        found = dict(self.safe)
        for one in self.renamings[:rng.randint(0, len(self.renamings))]:
            change_name(found, *one)
        return {path: file.after_power_loss(rng) for path, file in found.items()}


def change_name(names, path, file):
    if file is None:
        names.pop(path, None)
    else:
        names[path] = file


def power_loss(rig):
    node, track = rig.node(["--lag", "1s", *small_segments()]), Track("power", SERIES)
    rig.tmpfs(node.data, TMPFS)
    calls, watch = recorded_life(rig, node, track)
    disk, at_the_end = Disk(node.data, calls), content_of(node.data)
    first, last = watch.notes[0][0] + 0.5, watch.notes[-1][0]
    cuts = sorted(rig.rng.uniform(first, last) for _ in range(rig.long_or_quick(40, 6)))
    lost = promised = present = 0
    for cut in cuts:
        disk.play(cut)
        make_folder(node.data, disk.after_power_loss(rig.rng))
        read = watch.read_before(cut - PROMISED_AFTER_SECONDS)
        track.must = [(0, read - read % SERIES)]
        found = found_after_start(rig, node, track, f"a cut {cut - watch.notes[0][0]:.2f} s into the load")
        promised += track.must[0][1]
        lost, present = lost + found.lost, present + found.present
    disk.play(float("inf"))
    recorded = {path: file.seen for path, file in disk.seen.items()}
    differing = sorted(path for path in {**recorded, **at_the_end} if recorded.get(path) != at_the_end.get(path))
    rig.check(not differing, f"the record does not lead to what was in the folder: {differing[:3]}")
    rig.note(f"{len(cuts)} moments of a life under {rig.options.rate:,} points/s, with all that was not synced there, gone or torn by lot, page by page: "
             f"{lost:,} lost of {promised:,} read {PROMISED_AFTER_SECONDS * 1000:.0f} ms before; {present:,} points in files, none with a wrong value")


def recorded_life(rig, node, track):
    """A load and an orderly stop; returns the calls that changed files, and what the node had said of points read."""
    record, plainly = rig.path("power.log"), node.argv
    node.argv = ["strace", "-D", "-f", "--seccomp-bpf", "-y", "-q", "-ttt", "-T", "-xx", "-s", "1000000", "-o", record, "-e", f"trace={','.join(CHANGES + SYNCS)}", *plainly]
    node.start()
    sender = Sender(node.line, track, rig.options.rate)
    watch = Watch(node, sender, None, node.received(sender), time.time)
    sender.start()
    watch.start()
    time.sleep(rig.long_or_quick(12, 5))  # so long is the life
    watch.over.set()
    watch.join(30)
    sender.abandon()
    process = node.process.pid
    node.terminate()
    wait_for("the end of the record", lambda: re.search(rf"^{process} .*\+\+\+ exited", read_text(record), re.MULTILINE), 20)
    node.argv = plainly
    return calls_of(record), watch


def found_after_start(rig, node, track, what):
    node.start()
    node.settle()
    check_ledger(rig, node, f" after {what}")
    found, everything = verify_promised(track, node.whisper), verify(track, node.whisper)
    found.present = everything.present
    rig.check(found.lost == everything.wrong == 0, f"{what}: {found}; younger ones: {everything}")
    node.kill()
    return found


def verify_promised(track, whisper_folder):
    """As if the sender had sent no more than what was promised."""
    sent, track.next = track.next, track.must[-1][1]
    try:
        return verify(track, whisper_folder)
    finally:
        track.next = sent


def content_of(folder):
    paths = [os.path.join(place, name) for place, _, names in os.walk(folder) for name in names]
    return {path: open(path, "rb").read() for path in paths}


def make_folder(folder, content):
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)
    for path, data in content.items():
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
