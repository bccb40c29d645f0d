"""Power cuts: a guest that stores rows is killed at a random moment, its disk loses what was not
flushed, and everything that was acknowledged must still be there.

Owns the loss model, the load and the verdict. QEMU's blklogwrites notes every write and flush in
order. Of the writes behind the last flush any sectors may be on the disk and the others not: that
is what a disk with a volatile write cache promises. The next cut goes on from the image that this
one left. Read run next, for many cuts, or tests/qemu/test_power_cut.py, for a few.
"""
import http.client
import json
import os
import random
import re
import shutil
import sqlite3
import struct
import subprocess
import sys
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests", "qemu"))
from ferrule import BUILD, Guest  # noqa: E402

LITTLEFS_IMAGE = os.path.join(BUILD, "host", "littlefs-image")
DISK_SIZE = 24 << 20
CLIENTS = 4
SECTOR = 512
LOG_MAGIC = 0x6A736677736872
FLUSH, FUA, DISCARD = 1, 2, 4

# What fsck.fat may say of a volume whose power was cut; anything else is a failure.
FAT_ALLOWED = [
    r"Dirty bit is set|dirty bit",
    r"Free cluster summary wrong",
    r"Reclaimed \d+ unused cluster",
    r"[Ff]irst FAT.*|FATs differ.*|Using (first|second) FAT|\d\) (Use|Swap).*",
    r"Leaving filesystem unchanged|fsck\.fat .*|.*\d+ files, \d+/\d+ clusters",
    r"^/(?i:store\.db(-wal)?)$|cluster chain length is > \d+ bytes|Truncating file to \d+ bytes",
    r"Contains a free cluster \(\d+\)\. Assuming EOF",  # right behind the file's end
    r"Automatically .*|\s*Auto-correcting\.|Correcting .*",
]


class Failure(Exception):
    """Something acknowledged was lost, or a volume is damaged."""


def log_entries(path):
    """(sector, data, flags) of each entry of a log of blklogwrites, in order."""
    with open(path, "rb") as file:
        log = file.read()
    if not any(log[:SECTOR]):
        return  # the cut came before the first write was noted
    magic, version, count, size = struct.unpack_from("<QQQI", log)
    if magic != LOG_MAGIC or version != 1 or size != SECTOR:
        raise Failure("the log of writes cannot be read")
    at = SECTOR
    for _ in range(count):
        if at + SECTOR > len(log):
            return
        sector, sectors, flags, _ = struct.unpack_from("<QQQQ", log, at)
        at += SECTOR
        length = 0 if flags & DISCARD else sectors * SECTOR
        if at + length > len(log):
            return
        yield sector, log[at : at + length], flags
        at += length


def lose_power(base, log, image, source):
    """Makes the image that a cut leaves of the base: all that was flushed, and of the rest any
    sectors. Returns how many sectors were written last, and how many of them were lost.
    """
    with open(base, "rb") as file:
        content = bytearray(file.read())
    pending = []

    def settle(keep):
        lost = 0
        for sector, data in pending:
            for offset in range(0, len(data), SECTOR):
                if keep < 1 and source.random() >= keep:
                    lost += 1
                    continue
                at = sector * SECTOR + offset
                content[at : at + SECTOR] = data[offset : offset + SECTOR]
        count = sum(len(data) for _, data in pending) // SECTOR
        pending.clear()
        return count, lost

    for sector, data, flags in log_entries(log):
        if flags & FLUSH:
            settle(1)
        if data:
            pending.append((sector, data))
        if flags & FUA:
            settle(1)
    result = settle(source.choice((0, 0.5, 0.9, 1)))
    with open(image, "wb") as file:
        file.write(content)
    return result


def logged_disk(image, log):
    """QEMU arguments for a disk whose writes and flushes are noted."""
    blockdevs = [
        {"driver": "file", "node-name": "image", "filename": image},
        {"driver": "file", "node-name": "log", "filename": log},
        {
            "driver": "blklogwrites",
            "node-name": "disk0",
            "file": "image",
            "log": "log",
            "log-sector-size": SECTOR,
            "log-super-update-interval": 1,
        },
    ]
    arguments = []
    for blockdev in blockdevs:
        arguments += ["-blockdev", json.dumps(blockdev)]
    return arguments + ["-device", "virtio-blk-pci,drive=disk0"]


class Disk:
    """A disk that lives through many cuts, and what must be on it."""

    def __init__(self, kind, folder, seed):
        self.kind = kind
        self.folder = str(folder)
        self.source = random.Random(f"{kind} {seed}")
        self.image = os.path.join(self.folder, f"{kind}.img")
        self.acknowledged = {}
        self.sent = set()
        self.lock = threading.Lock()
        self.refused = None
        self.figures = {"cuts": 0, "rows": 0, "sectors": 0, "lost": 0, "fsck": {}}
        with open(self.image, "wb") as file:
            file.truncate(DISK_SIZE)
        if kind == "fat":
            subprocess.run(
                ["/sbin/mkfs.fat", self.image], check=True, stdout=subprocess.DEVNULL, timeout=60
            )

    def cut(self):
        """One life of the guest, and its end."""
        work = os.path.join(self.folder, "work.img")
        log = os.path.join(self.folder, "writes.log")
        shutil.copyfile(self.image, work)
        with open(log, "wb"):
            pass
        with Guest(
            kernel=os.path.join(BUILD, "store.elf"),
            words="format=vda:littlefs" if self.kind == "littlefs" else "",
            arguments=logged_disk(work, log),
        ) as guest:
            # Now and then before it serves: while it makes the volume, or recovers the last one.
            early = self.source.random() < 0.15
            if early:
                guest.wait_for(r"vda: \d+ MiB", 60)
                time.sleep(self.source.uniform(0, 0.15))
            else:
                guest.wait_for(r"ready: http://", 60)
                guest.wait_for(r"eth0: 10\.0\.2\.15/24", 60)
                self._load(guest, self.source.uniform(0.05, 0.8))
            guest.process.kill()
            guest.process.wait()
        sectors, lost = lose_power(self.image, log, self.image + ".cut", self.source)
        os.replace(self.image + ".cut", self.image)
        self.figures["cuts"] += 1
        self.figures["sectors"] += sectors
        self.figures["lost"] += lost
        self.check()

    def _load(self, guest, seconds):
        stop = threading.Event()

        def client(number):
            source = random.Random(number)
            connection = http.client.HTTPConnection("127.0.0.1", guest.port, timeout=20)
            while not stop.is_set():
                body = source.randbytes(source.choice((16, 500, 3000, 20000)))
                with self.lock:
                    self.sent.add(body)
                try:
                    connection.request("POST", "/rows", body)
                    answer = connection.getresponse()
                    text = answer.read()
                except (OSError, http.client.HTTPException):
                    return  # the power is gone
                if answer.status != 200:
                    self.refused = f"a row was refused with {answer.status}: {text}"
                    return
                with self.lock:
                    self.acknowledged[int(text)] = body

        numbers = [self.source.random() for _ in range(CLIENTS)]
        threads = [threading.Thread(target=client, args=(n,)) for n in numbers]
        for thread in threads:
            thread.start()
        time.sleep(seconds)
        guest.process.kill()
        stop.set()
        for thread in threads:
            thread.join()

    # --- the verdict ---

    def check(self):
        """Fails unless the volume is sound and the database has every acknowledged row."""
        if self.refused:
            raise Failure(self.refused)
        names = self._littlefs_files() if self.kind == "littlefs" else self._fat_files()
        if "store.db" not in names:
            if self.acknowledged:
                raise Failure("the database is gone")
            return
        path = os.path.join(self.folder, "store.db")
        with sqlite3.connect(path) as database:
            verdict = database.execute("PRAGMA integrity_check").fetchall()
            if verdict != [("ok",)]:
                raise Failure(f"integrity_check: {verdict}")
            tables = database.execute("SELECT name FROM sqlite_master").fetchall()
            rows = dict(database.execute("SELECT id, body FROM rows")) if tables else {}
        database.close()
        for number, body in self.acknowledged.items():
            if rows.get(number) != body:
                raise Failure(f"row {number} was acknowledged and is not there")
        if not all(body in self.sent for body in rows.values()):
            raise Failure("there is a row that nobody sent")
        self.figures["rows"] = len(rows)

    def _keep(self, name, content):
        path = os.path.join(self.folder, name)
        if os.path.exists(path):
            os.remove(path)
        if content is not None:
            with open(path, "wb") as file:
                file.write(content)

    def _littlefs_files(self):
        listed = subprocess.run(
            [LITTLEFS_IMAGE, self.image], check=False, timeout=120, capture_output=True
        )
        if listed.returncode:
            if not self.acknowledged and b"not a littlefs image" in listed.stderr:
                return []  # the cut came while it was made
            raise Failure(f"littlefs: {listed.stderr.decode(errors='replace')}")
        names = re.findall(r"^/(\S+) ", listed.stdout.decode(), re.M)
        for name in ("store.db", "store.db-wal"):
            content = None
            if name in names:
                content = subprocess.run(
                    [LITTLEFS_IMAGE, self.image, f"/{name}"],
                    check=True,
                    timeout=120,
                    stdout=subprocess.PIPE,
                ).stdout
            self._keep(name, content)
        return names

    def _fat_files(self):
        judged = subprocess.run(
            ["/sbin/fsck.fat", "-n", self.image],
            check=False,
            timeout=120,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ).stdout.decode(errors="replace")
        for line in filter(None, judged.splitlines()):
            known = next((p for p in FAT_ALLOWED if re.search(p, line)), None)
            if not known:
                raise Failure(f"fsck.fat: {judged}")
            if re.search(r"unused cluster|summary wrong|FATs differ|chain length", line):
                kind = re.sub(r"\d+", "N", line.strip())
                self.figures["fsck"][kind] = self.figures["fsck"].get(kind, 0) + 1
        names = []
        for name in ("store.db", "store.db-wal"):
            copied = subprocess.run(
                ["mtype", "-i", self.image, f"::{name}"],
                check=False,
                timeout=120,
                capture_output=True,
            )
            found = not copied.returncode
            self._keep(name, copied.stdout if found else None)
            names += [name] * found
        return names
