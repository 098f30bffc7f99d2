#!/usr/bin/env python3
"""Packs a folder of inputs into one committed file, and back: `corpus.py pack|unpack FILE FOLDER`.

The file is gzip around records: four bytes of length, most significant first, then the input.
"""
import gzip
import hashlib
import os
import sys


def pack(file, folder):
    inputs = sorted(open(os.path.join(folder, name), "rb").read() for name in os.listdir(folder))
    records = b"".join(len(data).to_bytes(4, "big") + data for data in inputs)
    with open(file, "wb") as out:
        # Without a time in it the same inputs are the same file.
        out.write(gzip.compress(records, 9, mtime=0))


def unpack(file, folder):
    os.makedirs(folder, exist_ok=True)
    records = gzip.open(file).read()
    at = 0
    while at < len(records):
        end = at + 4 + int.from_bytes(records[at:at + 4], "big")
        data = records[at + 4:end]
        with open(os.path.join(folder, hashlib.sha1(data).hexdigest()), "wb") as out:
            out.write(data)
        at = end


if __name__ == "__main__":
    {"pack": pack, "unpack": unpack}[sys.argv[1]](*sys.argv[2:])
