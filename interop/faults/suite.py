"""The fault suite's command line: which cases, against whom, and the closing table."""
import argparse
import os
import sys
import time

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)), os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib")]
import calls  # noqa: E402
import crash  # noqa: E402
import damage  # noqa: E402
import disk  # noqa: E402
import limits  # noqa: E402
import power  # noqa: E402
import relay  # noqa: E402
from nodes import GoCarbon, Plumbago  # noqa: E402
from rig import Outcome, Rig  # noqa: E402

# What reference runs of the same faults gave, quoted where --peer measures nothing.
CASES = {
    "F1": (crash.kill_at_random_moments, "kill -9 at random moments", "nothing lost of what was read 50 ms before, or answered by our close; ready again within 5 s",
           "97 % of 200,000 points lost when killed as soon as they were read; 45 % two seconds later with 5,000 updates a second, and a file with a broken header"),
    "F2": (crash.orderly_stop, "SIGTERM", "nothing lost of what was read; ends with 0 within 5 s", "80 % of 200,000 points lost; ends at once, by the signal"),
    "F7": (disk.full, "disk full, then space", "lives, reads; nothing lost; each series writable within 10 s of space; no half-made file ever seen",
           "239 zero-byte files; 129 of 200 new series stay dead; 65 % of the points lost"),
    "F8": (disk.write_errors, "EIO from writes for 2 s", "nothing lost; written once the fault is over", "each batch that met the fault is gone, with about 1,300 lines of log"),
    "F9": (disk.sync_errors, "fdatasync fails", "never called again for the same file; written again elsewhere; alarm; nothing lost, even if killed then", "never syncs"),
    "F10": (disk.read_only, "file system turns read-only", "reads go on; nothing lost; goes on by itself when it is writable", ""),
    "F11": (disk.slow, "disk at 1 MiB/s", "reads of fresh points within 50 ms (99 %); memory bounded; nothing lost", ""),
    "F12": (damage.whisper_files, "damaged Whisper files", "lives; each read answered; damaged files set aside and made anew; other series whole",
            "an offset of 2^31 ends the process at the first read; empty and cut files are 404"),
    "F13": (damage.journal, "damaged journal", "starts; loses the damaged frames' points at most, and counts them; no wrong value", "has none"),
    "F20": (limits.few_descriptors, "64 file descriptors", "writes go on; no busy loop; accepts again when descriptors are free", ""),
    "F21": (limits.flood_of_names, "256 MiB and a flood of names", "stays under the cap; new names dropped and counted; existing series whole", ""),
    "F22": (crash.clock_jumps, "clock jumps a day ahead and back", "no point dropped for its age; writes and reads go on", ""),
    "F23": (power.power_loss, "power loss", "nothing lost of what was read 250 ms before; no wrong value", "never syncs"),
    "F25": (crash.aborts, "abort and segmentation fault", "the whole process ends; as F1", ""),
    "F26": (crash.second_process, "two processes on one folder", "the second does not start and names the holder; the first goes on", ""),
    "CALLS": (calls.flush_of_a_thousand_files, "none: the flush of 1,000 files", "no read of a data file on a warm node, at most one a series after a start",
              "10 reads and 1.6 writes a point"),
    "F3": (relay.killed_relay, "kill -9 of the relay with lines waiting for a dead node", "nothing lost that was answered by its close", ""),
    "F4": (relay.stopped_relay, "SIGTERM of the relay with lines waiting for a dead node", "nothing lost; ends with 0 within 5 s", ""),
    "F5": (relay.dead_node, "a node dead for the whole load, then up", "nothing lost; all there within 10 s; other nodes' lines within 100 ms (99 %)", ""),
    "F5K": (relay.killed_node, "kill -9 of a node under load", "nothing lost; other nodes' lines within 100 ms (99 %)", ""),
    "F5P": (relay.killed_node_of_plain_lines, "the same node fed with plain lines", "nothing lost; what its kernel held is sent again", ""),
    "F6": (relay.stopped_reader, "a node that stops reading", "nothing lost; other nodes' lines within 100 ms (99 %)", ""),
    "F6S": (relay.slow_node, "a node that takes a fifth of its plain lines", "nothing lost; senders not slowed; other nodes' lines within 100 ms (99 %)", ""),
    "F7R": (relay.log_disk_full, "the disk of the relay's log full, then space", "lives; nothing lost; other nodes' lines within 100 ms (99 %)", ""),
    "F13R": (relay.damaged_log, "log of the relay damaged", "starts; loses the damaged frames' lines at most, and counts them", "has no log"),
    "F14": (relay.partition, "partition between relay and node, both ways and one way", "nothing lost; both owners equal within 60 s of its end", ""),
    "F19": (relay.bad_reload, "SIGHUP with a faulty file", "old settings stay; told with place and hint, and counted; nothing lost", ""),
    "F20R": (relay.few_descriptors, "64 file descriptors for the relay", "no busy loop; accepts again when descriptors are free; nothing lost", ""),
    "F24": (relay.starved, "a fifth of a CPU for the relay, and the relay frozen", "no node taken for dead; nothing lost", ""),
    "WINDOWS": (relay.killed_with_windows, "kill -9 of a relay with an open window", "its results are those of all answered points", "no results of that window"),
    "HUP": (relay.nodes_come_and_go, "SIGHUP adds a node and removes it", "nothing lost; each point on two owners", ""),
}
OF_THE_PEER = ("F1", "F2", "F7", "F12")


def arguments():
    parser = argparse.ArgumentParser(prog="interop/faults/run", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {' '.join(CASES)}; without any, all")
    parser.add_argument("--quick", action="store_true", help="10 kills, 10 s of a full disk, a million names")
    parser.add_argument("--kills", type=int, help="kills of F1")
    parser.add_argument("--rate", type=int, default=50_000, help="points a second (default 50,000)")
    parser.add_argument("--seed", type=int, help="repeats the random choices of a run")
    parser.add_argument("--peer", action="store_true", help=f"run {' '.join(OF_THE_PEER)} against $GO_CARBON instead of our node")
    parser.add_argument("--markdown", action="store_true", help="print the closing table as docs/operate/faults.md has it, with the peer's column")
    chosen = parser.parse_args()
    unknown = [case for case in chosen.cases if case not in (OF_THE_PEER if chosen.peer else CASES)]
    if unknown:
        parser.error(f"no such case: {' '.join(unknown)}")
    chosen.cases = chosen.cases or list(OF_THE_PEER if chosen.peer else CASES)
    return chosen


def run_case(key, options):
    play, title, promise, _peer = CASES[key]
    print(f"== {key} {title}\n   promise: {promise}", flush=True)
    started = time.monotonic()
    with Rig(key, GoCarbon if options.peer else Plumbago, options) as rig:
        play(rig)
    took = time.monotonic() - started
    outcome = Outcome(rig.verdict(), rig.facts, rig.failures, took)
    for text in outcome.facts:
        print(f"   measured: {text}")
    for text in rig.books[-3:]:
        print(f"   ledger: {text}")
    for text in outcome.failures[:20]:
        print(f"   FAILED {key}: {text}")
    print(f"== {key}: {outcome.verdict} after {took:.0f} s", flush=True)
    return outcome


def closing_table(outcomes, with_peer):
    head = ["case", "fault", "promise", "measured", "result", *["go-carbon"] * with_peer]
    rows = [head, ["---"] * len(head)]
    for key, outcome in outcomes.items():
        _play, title, promise, peer = CASES[key]
        rows.append([key, title, promise, outcome.summary(), outcome.verdict, *[peer] * with_peer])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main():
    options = arguments()
    if options.seed is None:
        options.seed = int.from_bytes(os.urandom(3), "big")
    print(f"seed {options.seed}, {'quick' if options.quick else 'long'} run")
    outcomes = {key: run_case(key, options) for key in options.cases}
    print(closing_table(outcomes, options.markdown))
    failed = [key for key, outcome in outcomes.items() if outcome.verdict == "fail"]
    print(f"{len(outcomes) - len(failed)} passed, {len(failed)} failed{': ' if failed else ''}{' '.join(failed)}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
