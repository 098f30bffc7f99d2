"""Files that are not what they were: Whisper files and the journal."""
import os
import shutil
import struct

from nodes import check_ledger, plumbago_flags
from disk import store_some
from tracks import Sender, Track, verify

FILES_EACH = 20
REST = 100
HEADER_BYTES = 16
ARCHIVE_BYTES = 12


def overwrite(path, offset, data):
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(data)


def flip(path, offset, bit=0):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ (1 << bit)]))


# What is done to a file; archives of a new file lie behind a header of 16 bytes and 12 for each.
DAMAGES = {
    "empty": lambda path, rng: os.truncate(path, 0),
    "cut in the header": lambda path, rng: os.truncate(path, rng.randrange(1, HEADER_BYTES + 2 * ARCHIVE_BYTES)),
    "cut in the body": lambda path, rng: os.truncate(path, rng.randrange(HEADER_BYTES + 2 * ARCHIVE_BYTES, os.path.getsize(path))),
    "2^31 archives": lambda path, rng: overwrite(path, 12, struct.pack("!L", 1 << 31)),
    "archive at 2^31": lambda path, rng: overwrite(path, HEADER_BYTES, struct.pack("!L", 1 << 31)),
    "random bytes": lambda path, rng: overwrite(path, 0, rng.randbytes(4096)),
    "a flipped bit in the header": lambda path, rng: flip(path, rng.randrange(HEADER_BYTES + 2 * ARCHIVE_BYTES), rng.randrange(8)),
}


def whisper_files(rig):
    """Once in a running node that knows the files, once in one that was started on them."""
    node, track = rig.node(["--lag", "1s"]), Track("damage", FILES_EACH * len(DAMAGES) + REST)
    node.start()
    store_some(node, track)
    node.settle()
    for what, restart in (("while it runs", False), ("while it is down", True)):
        if restart:
            node.terminate()
        for number, damage in enumerate(DAMAGES.values()):
            for place in range(number * FILES_EACH, (number + 1) * FILES_EACH):
                damage(track.file_of(node.whisper, place), rig.rng)
        if restart:
            node.start()
        if not play_on(rig, node, track, what):
            return
    check_whole(rig, node, track)


def play_on(rig, node, track, what):
    memory = node.rss()
    unanswered = read_each(node, track)
    rig.check(node.alive(), f"{what}: a read ended the process")
    if not node.alive():
        rig.note(f"{what}: the process ended when damaged files were read")
        node.forget()
        return False
    rig.check(not unanswered, f"{what}: {sum(unanswered.values())} reads of damaged files were no answer: {unanswered}")
    grown = node.rss() - memory
    rig.check(grown < 64 << 20, f"{what}: memory grew by {grown >> 20} MiB")
    sender = Sender(node.line, track, 10 * track.series, 1)
    sender.start()
    sender.join(30)
    sender.finish()
    node.settle()
    rig.check(node.alive(), f"{what}: a write ended the process")
    first = sender.first // track.series
    dead = {}
    for number, damage in enumerate(DAMAGES):
        found = verify(track, node.whisper, range(number * FILES_EACH, (number + 1) * FILES_EACH), first)
        if found.lost or found.wrong:
            dead[damage] = str(found)
    kept = rescued(node, track, first)
    rig.check(not dead, f"{what}: new points not in the files: {dead}")
    rig.note(f"{what}: {FILES_EACH * len(DAMAGES)} files of {len(DAMAGES)} kinds, all read with {sum(unanswered.values())} errors and {max(0, grown) >> 10} KiB more memory; "
             f"new points missing for {len(dead)} kinds; {kept} older points kept of files cut in the body")
    check_ledger(rig, node, f" {what}")
    return True


def rescued(node, track, ticks):
    """How many of the older points are still in files that were cut in the body, of how many there were."""
    number = list(DAMAGES).index("cut in the body")
    present = verify(track, node.whisper, range(number * FILES_EACH, (number + 1) * FILES_EACH)).present
    new = (track.next // track.series - ticks) * FILES_EACH
    return f"{max(0, present - new)} of {ticks * FILES_EACH}"


def read_each(node, track):
    """Reads that were no answer at all, by kind; a series of which nothing is left may be missing from an answer."""
    failed = {}
    for number, damage in enumerate(DAMAGES):
        for place in range(number * FILES_EACH, (number + 1) * FILES_EACH):
            try:
                node.render([track.series_name(place)], track.base - 1, track.stamp(60))
            except OSError as error:
                # an answer, of a name that it does not know any more
                if ": 404 " not in str(error):
                    failed[damage] = failed.get(damage, 0) + 1
    return failed


def check_whole(rig, node, track):
    rest = verify(track, node.whisper, range(FILES_EACH * len(DAMAGES), track.series))
    rig.check(rest.lost == rest.wrong == 0, f"series that were not damaged: {rest}")
    aside = sum(len(names) for _, _, names in os.walk(os.path.join(node.data, "aside")))
    counted = node.metric("files_set_aside_total") if node.has_metrics else 0
    rig.note(f"{aside} files in aside/ ({counted:.0f} counted since the last start); {rest.present:,} points of the other {REST} series, {rest.lost} lost")


SEGMENT_HEADER_BYTES = 40
SEGMENT_BYTES = "256KiB"
FRAME_MARK = b"\xffJN\xfe"
FRAME_HEAD_BYTES = 24
POINTS_KINDS = (2, 3)
LINES_KIND = 1
KEY_BYTES = 8


def frames_of(path):
    """[(first byte, byte behind it, points)] of a segment, by docs/formats/journal.md and relay-log.md."""
    count = lines_in if path.endswith(".relay") else points_in
    with open(path, "rb") as file:
        data = file.read()
    frames, at = [], SEGMENT_HEADER_BYTES
    while data[at:at + 4] == FRAME_MARK:
        end = at + FRAME_HEAD_BYTES + struct.unpack_from("<I", data, at + 4)[0]
        frames.append((at, end, count(data[at + FRAME_HEAD_BYTES:end])))
        at = end
    return frames


def points_in(body):
    count = at = 0
    while at + 5 <= len(body):
        kind, length = body[at], struct.unpack_from("<I", body, at + 1)[0]
        if kind in POINTS_KINDS:
            count += struct.unpack_from("<I", body, at + 5)[0]
        at += 5 + length
    return count


def lines_in(body):
    count = at = 0
    while at + 5 <= len(body):
        kind, length = body[at], struct.unpack_from("<I", body, at + 1)[0]
        if kind == LINES_KIND:
            keys = body[at + 5]
            count += struct.unpack_from("<I", body, at + 6 + keys * KEY_BYTES)[0]
        at += 5 + length
    return count


def torn_tail(rng, segments):
    """Cut in the last frame of the last segment."""
    first, end, points = frames_of(segments[-1])[-1]
    os.truncate(segments[-1], rng.randrange(first + 1, end))
    return points


def zeroed_page(rng, segments):
    path = max(segments, key=os.path.getsize)
    page = rng.randrange(1, os.path.getsize(path) // 4096) * 4096
    overwrite(path, page, bytes(4096))
    return sum(points for first, end, points in frames_of_copy(path) if first < page + 4096 and end > page)


def flipped_bit(rng, segments):
    path = max(segments, key=os.path.getsize)
    at = rng.randrange(SEGMENT_HEADER_BYTES, os.path.getsize(path))
    flip(path, at, rng.randrange(8))
    return sum(points for first, end, points in frames_of_copy(path) if first <= at < end)


def flipped_segment_header(rng, segments):
    flip(segments[0], rng.randrange(SEGMENT_HEADER_BYTES), rng.randrange(8))
    return 0


def missing_segment(rng, segments):
    path = rng.choice(segments)
    points = sum(points for _, _, points in frames_of(path))
    os.remove(path)
    return points


def random_tail(rng, segments):
    """What a crash may leave: rubbish behind the last frame."""
    with open(segments[-1], "ab") as file:
        file.write(rng.randbytes(5000))
    return 0


def frames_of_copy(path):
    """The frames as they were before the damage."""
    return frames_of(path.replace(".damaged", ".sound"))


JOURNAL_DAMAGES = {"torn tail": torn_tail, "zeroed page": zeroed_page, "flipped bit": flipped_bit, "flipped bit in a segment's header": flipped_segment_header,
                   "missing segment": missing_segment, "rubbish at the end": random_tail}


def journal(rig):
    """A life that ends by kill -9 with everything in the journal; then each damage on a copy of the folder of its own."""
    node, track = rig.node(["--lag", "1h", *small_segments()]), Track("journal", 2000)
    node.start()
    sender = Sender(node.line, track, rig.options.rate, 4)
    sender.start()
    sender.join(60)
    sender.finish()
    node.kill()
    if not node.segments():
        rig.check(False, "there is no journal to damage")
        return
    sound = f"{node.data}.sound"
    os.rename(node.data, sound)
    rig.note(f"{len(os.listdir(os.path.join(sound, 'journal')))} segments with {track.next:,} points")
    for what, damage in JOURNAL_DAMAGES.items():
        for _ in range(1 if damage is random_tail else rig.long_or_quick(5, 1)):
            damage_and_start(rig, node, track, what, damage, sound)


def small_segments():
    return ["--journal-segment-bytes", SEGMENT_BYTES] if "--journal-segment-bytes" in plumbago_flags() else []


def damage_and_start(rig, node, track, what, damage, sound):
    damaged = sound.replace(".sound", ".damaged")
    shutil.copytree(sound, damaged)
    folder = os.path.join(damaged, "journal")
    segments = sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".journal"))
    allowed = damage(rig.rng, segments)
    os.rename(damaged, node.data)
    ready = node.start()
    node.settle()
    check_ledger(rig, node, f" after {what}")
    found = verify(track, node.whisper)
    counts = {name: value for name, value in node.metrics().items() if "journal" in name and any(word in name for word in ("damage", "torn", "aside", "corrupt", "skipped")) and value}
    rig.check(found.wrong == 0, f"{what}: {found}")
    rig.check(found.lost <= allowed, f"{what}: {found}, and the damaged frames had {allowed:,} points")
    rig.check(counts or what == "missing segment", f"{what}: no metric of the journal tells")
    rig.note(f"{what}: {found.lost:,} lost (its frames had {allowed:,}), ready in {ready:.2f} s")
    node.kill()
    shutil.rmtree(node.data)
