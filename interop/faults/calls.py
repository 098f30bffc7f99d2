"""What a flush asks of the disk, call by call, as strace sees it."""
import collections
import re

from disk import Injection, store_some
from nodes import check_ledger
from tracks import Track, verify

FILES = 1000
READS = "read,pread64,readv,preadv,preadv2"
WRITES = "write,pwrite64,writev,pwritev,pwritev2"
DATA_FILE_CALL = re.compile(r"\b([a-z0-9]+)\(\d+<([^>]*\.wsp)[^>]*>")


def flush_of_a_thousand_files(rig):
    """Once on a node that has written the files before, once on one that was stopped and started, once after a kill -9."""
    node, track = rig.node(), Track("calls", FILES)
    node.start()
    store_some(node, track)
    node.settle()
    flush(rig, node, track, "warm", 0)
    node.terminate()
    node.start()
    flush(rig, node, track, "after a restart", 1)
    node.kill()
    node.start()
    flush(rig, node, track, "after a kill -9", 1)
    check_ledger(rig, node)
    found = verify(track, node.whisper)
    rig.check(not (found.lost or found.wrong), str(found))


def flush(rig, node, track, what, reads_max):
    """More points for each file, and their flush under strace."""
    before = node.metric("points_written_total")
    store_some(node, track)
    with Injection(rig, node, [], f"{READS},{WRITES},io_uring_enter") as trace:
        node.settle()
    rows = trace.lines()
    calls = [match.groups() for match in map(DATA_FILE_CALL.search, rows) if match]
    reads = collections.Counter(path for call, path in calls if call in READS.split(","))
    writes = collections.Counter(path for call, path in calls if call in WRITES.split(","))
    points = node.metric("points_written_total") - before
    rig.check(len(writes) == FILES, f"{what}: {len(writes)} of {FILES} files written under strace")
    rig.check(max(reads.values(), default=0) <= reads_max, f"{what}: up to {max(reads.values(), default=0)} reads of a file")
    rig.check(not any("io_uring_enter" in row for row in rows), f"{what}: calls that strace cannot look into")
    rig.note(f"{what}: {points:,.0f} points into {FILES:,} files with {sum(writes.values()):,} writes and {sum(reads.values()):,} reads")
