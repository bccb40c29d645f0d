"""What is measured, and how: boot time, instructions, requests a second, image size, least memory.

Owns the methods, one function each, the same for every guest; docs/BENCHMARKS.md says why they are as they are. It
does not decide how often or in which order they run: that is the script `run`. Read next: machine.py.
"""

import random
import re
import struct
import subprocess
from pathlib import Path
from typing import NamedTuple

from line import HTTP, UserLine
from machine import Failure, Machine

TOP = Path(__file__).resolve().parents[2]
MEMORY_MIB = 256
SMALL, MIDDLE, LARGE = "/one-kib.bin", "/hundred-kib.bin", "/one-mib.bin"
BOOT_LIMIT_S = 90
COUNTING_LIMIT_S = 180
# Kernels are loaded from 1 MiB on, and no firmware runs code there.
KERNEL_LOW, KERNEL_HIGH = 0x100000, 0x1000000
WARMING_REQUESTS, COUNTED_REQUESTS = 50, 500
LEAST_MEMORY_CEILING_MIB = MEMORY_MIB
MEMORY_STEPS = 2  # in a MiB
AGAIN = 4


class Content:
    """The files that every guest serves, on one disk image, and what the answers must hold."""

    def __init__(self, folder):
        generator = random.Random(1)
        self.files = {SMALL: generator.randbytes(1024), LARGE: generator.randbytes(1 << 20)}
        self.files[MIDDLE] = generator.randbytes(100 << 10)
        self.files["/index.html"] = b"<!DOCTYPE html><title>bench</title>\n"
        tree = folder / "www"
        tree.mkdir()
        for name, data in self.files.items():
            (tree / name[1:]).write_bytes(data)
        self.disk = folder / "disk.img"
        subprocess.run([TOP / "tools/mkdisk", tree, self.disk], check=True, timeout=120)


def boot_time(guest, content, firmware=None, line=None):
    """Seconds from QEMU's start to the first HTTP answer."""
    with Machine(guest, content.disk, MEMORY_MIB, firmware, line=line) as machine:
        return machine.first_answer(SMALL, content.files[SMALL], BOOT_LIMIT_S)


def wrk(machine, connections, seconds, path=SMALL):
    """(answers, answers a second) over connections that are kept open."""
    # lwIP's httpd keeps a connection open for those who ask for it in so many words.
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-H", "Connection: keep-alive"]
    host, port = machine.line.address(HTTP)
    command = [*machine.line.command, *command, f"http://{host}:{port}{path}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30)
    except subprocess.TimeoutExpired:
        raise machine.failure("wrk did not end") from None
    rate = re.search(r"Requests/sec:\s*([\d.]+)", done.stdout)
    answers = re.search(r"(\d+) requests in", done.stdout)
    trouble = re.search(r"Socket errors:.*|Non-2xx.*", done.stdout)
    if done.returncode != 0 or not rate or not answers or trouble:
        raise machine.failure(f"wrk with {connections} connections: {trouble.group() if trouble else done.stderr}")
    return int(answers.group(1)), float(rate.group(1))


def request_rates(guest, content, connection_counts, seconds):
    """{connections: requests a second} of one boot."""
    with Machine(guest, content.disk, MEMORY_MIB) as machine:
        machine.first_answer(SMALL, content.files[SMALL], BOOT_LIMIT_S)
        return {count: wrk(machine, count, seconds)[1] for count in connection_counts}


def build_plugin(folder, qemu_major):
    """Compiles the instruction counter. The interface's number is what QEMU checks when it loads a plugin."""
    plugin = folder / "count_instructions.so"
    source = Path(__file__).with_name("count_instructions.c")
    api = 1 if qemu_major < 9 else 2
    command = ["gcc", "-std=gnu11", "-O2", "-Wall", "-shared", "-fPIC", f"-DQEMU_PLUGIN_API={api}"]
    subprocess.run([*command, "-o", plugin, source], check=True, timeout=60)
    return plugin


class Counts(NamedTuple):
    instructions: int
    halts: int  # the CPU waits for an interrupt
    notifications: int  # of virtio devices, over PCI
    interrupts: int  # that virtio devices asked for


class Counters:
    """What a guest does, counted from outside by the plugin and QEMU's trace, for one machine after the other."""

    def __init__(self, plugin, folder, notifications=False, profile=None):
        self.out, self.trace = folder / "counters", folder / "trace"
        plugin_arguments = f"{plugin},low={KERNEL_LOW:#x},high={KERNEL_HIGH:#x},out={self.out}"
        if profile:
            plugin_arguments += profile.arguments
        self.arguments = ["-plugin", plugin_arguments + (",notifications=on" if notifications else "")]
        if notifications:
            # A disk that is served beside QEMU's main loop interrupts by the second.
            self.arguments += ["-trace", "virtio_notify", "-trace", "virtio_notify_irqfd", "-D", str(self.trace)]

    def read(self):
        interrupts = self.trace.read_bytes().count(b"virtio_notify") if self.trace.exists() else 0
        return Counts(*struct.unpack("=4Q", self.out.read_bytes())[:3], interrupts)


def instructions(guest, content, plugin, folder):
    """Instructions the guest executed from its kernel's first one to the first HTTP answer, and for one more answer.

    With -icount the guest's clock is made of its instructions, so that a loop that waits for time to pass costs the
    same on any host. A halted guest executes none."""
    counters = Counters(plugin, folder)

    def count():
        return counters.read().instructions

    with Machine(guest, content.disk, MEMORY_MIB, more=["-icount", "shift=0", *counters.arguments]) as machine:
        machine.first_answer(SMALL, content.files[SMALL], COUNTING_LIMIT_S)
        to_first = count()
        machine.get_many(SMALL, content.files[SMALL], WARMING_REQUESTS, COUNTING_LIMIT_S)
        before = count()
        machine.get_many(SMALL, content.files[SMALL], COUNTED_REQUESTS, COUNTING_LIMIT_S)
        return to_first, (count() - before) / COUNTED_REQUESTS


def image_bytes(guest):
    return sum(Path(file).stat().st_size for file in guest.image_files)


def serves_in(guest, content, memory_mib, limit_s, line=None):
    """Does a machine with this much memory boot and deliver the large file byte for byte?"""
    try:
        with Machine(guest, content.disk, memory_mib, line=line) as machine:
            machine.first_answer(LARGE, content.files[LARGE], limit_s)
            return True
    except Failure:
        return False


def least_memory_mib(guest, content, limit_s, make_line=UserLine):
    """The smallest -m, in half MiB, with which the guest serves; found by halving, so each step is a real boot."""

    def serves(steps):
        return serves_in(guest, content, steps / MEMORY_STEPS, limit_s, make_line())

    too_little, enough = 0, LEAST_MEMORY_CEILING_MIB * MEMORY_STEPS
    while enough - too_little > 1:
        middle = (too_little + enough) // 2
        if serves(middle):
            enough = middle
        else:
            too_little = middle
    # What served once must do so again; a guest just at its limit may not.
    for steps in range(enough, enough + AGAIN):
        if serves(steps):
            return steps / MEMORY_STEPS
    raise Failure(f"{guest.name}: served with {enough / MEMORY_STEPS} MiB once, but not again")
