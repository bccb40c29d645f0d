"""What is measured, and how: boot time, instructions, requests a second, image size, least memory.

Owns the methods, one function each, the same for every guest; docs/BENCHMARKS.md says why they are as they are. It
does not decide how often or in which order they run: that is the script `run`. Read next: machine.py.
"""

import random
import re
import subprocess
import sys
from pathlib import Path

from machine import Failure, Machine

TOP = Path(__file__).resolve().parents[2]
MEMORY_MIB = 256
SMALL, LARGE = "/one-kib.bin", "/one-mib.bin"
BOOT_LIMIT_S = 90
COUNTING_LIMIT_S = 180
# Kernels are loaded from 1 MiB on, and no firmware runs code there.
KERNEL_LOW, KERNEL_HIGH = 0x100000, 0x1000000
WARMING_REQUESTS, COUNTED_REQUESTS = 50, 500
LEAST_MEMORY_CEILING_MIB = MEMORY_MIB


class Content:
    """The files that every guest serves, on one disk image, and what the answers must hold."""

    def __init__(self, folder):
        generator = random.Random(1)
        self.files = {SMALL: generator.randbytes(1024), LARGE: generator.randbytes(1 << 20)}
        self.files["/index.html"] = b"<!DOCTYPE html><title>bench</title>\n"
        tree = folder / "www"
        tree.mkdir()
        for name, data in self.files.items():
            (tree / name[1:]).write_bytes(data)
        self.disk = folder / "disk.img"
        subprocess.run([TOP / "tools/mkdisk", tree, self.disk], check=True, timeout=120)


def boot_time(guest, content, firmware=None):
    """Seconds from QEMU's start to the first HTTP answer."""
    with Machine(guest, content.disk, MEMORY_MIB, firmware) as machine:
        return machine.first_answer(SMALL, content.files[SMALL], BOOT_LIMIT_S)


def wrk(machine, connections, seconds):
    """Requests a second over connections that are kept open."""
    # lwIP's httpd keeps a connection open for those who ask for it in so many words.
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-H", "Connection: keep-alive"]
    command.append(f"http://127.0.0.1:{machine.port}{SMALL}")
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30)
    except subprocess.TimeoutExpired:
        raise machine.failure("wrk did not end") from None
    rate = re.search(r"Requests/sec:\s*([\d.]+)", done.stdout)
    trouble = re.search(r"Socket errors:.*|Non-2xx.*", done.stdout)
    if done.returncode != 0 or not rate or trouble:
        raise machine.failure(f"wrk with {connections} connections: {trouble.group() if trouble else done.stderr}")
    return float(rate.group(1))


def request_rates(guest, content, connection_counts, seconds):
    """{connections: requests a second} of one boot."""
    with Machine(guest, content.disk, MEMORY_MIB) as machine:
        machine.first_answer(SMALL, content.files[SMALL], BOOT_LIMIT_S)
        return {count: wrk(machine, count, seconds) for count in connection_counts}


def build_plugin(folder, qemu_major):
    """Compiles the instruction counter. The interface's number is what QEMU checks when it loads a plugin."""
    plugin = folder / "count_instructions.so"
    source = Path(__file__).with_name("count_instructions.c")
    api = 1 if qemu_major < 9 else 2
    command = ["gcc", "-std=gnu11", "-O2", "-Wall", "-shared", "-fPIC", f"-DQEMU_PLUGIN_API={api}"]
    subprocess.run([*command, "-o", plugin, source], check=True, timeout=60)
    return plugin


def instructions(guest, content, plugin, folder):
    """Instructions the guest executed from its kernel's first one to the first HTTP answer, and for one more answer.

    With -icount the guest's clock is made of its instructions, so that a loop that waits for time to pass costs the
    same on any host. A halted guest executes none."""
    out = folder / "instructions"
    counting = ["-icount", "shift=0", "-plugin", f"{plugin},low={KERNEL_LOW:#x},high={KERNEL_HIGH:#x},out={out}"]

    def count():
        return int.from_bytes(out.read_bytes(), sys.byteorder)

    with Machine(guest, content.disk, MEMORY_MIB, more=counting) as machine:
        machine.first_answer(SMALL, content.files[SMALL], COUNTING_LIMIT_S)
        to_first = count()
        machine.get_many(SMALL, content.files[SMALL], WARMING_REQUESTS, COUNTING_LIMIT_S)
        before = count()
        machine.get_many(SMALL, content.files[SMALL], COUNTED_REQUESTS, COUNTING_LIMIT_S)
        return to_first, (count() - before) / COUNTED_REQUESTS


def image_bytes(guest):
    return sum(Path(file).stat().st_size for file in guest.image_files)


def serves_in(guest, content, memory_mib, limit_s):
    """Does a machine with this much memory boot and deliver the large file byte for byte?"""
    try:
        with Machine(guest, content.disk, memory_mib) as machine:
            machine.first_answer(LARGE, content.files[LARGE], limit_s)
            return True
    except Failure:
        return False


def least_memory_mib(guest, content, limit_s):
    """The smallest -m, in MiB, with which the guest serves; found by halving, so each step is a real boot."""
    too_little, enough = 0, LEAST_MEMORY_CEILING_MIB
    while enough - too_little > 1:
        middle = (too_little + enough) // 2
        if serves_in(guest, content, middle, limit_s):
            enough = middle
        else:
            too_little = middle
    if not serves_in(guest, content, enough, limit_s):
        raise Failure(f"{guest.name}: served with {enough} MiB once, but not again")
    return enough
