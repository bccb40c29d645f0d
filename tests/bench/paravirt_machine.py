"""The machines of bench-paravirt: QEMU with one device under test, its back end where that is another process, and what
is counted around a load.

Counted are accesses to device registers (QEMU's trace of every memory region with functions behind it, with
ioeventfd=off so that notifications are among them), interrupts (what arrives at a local APIC from outside of it), guest
instructions, virtio notifications and bytes that the processor moves (count_instructions.c). Read next: paravirt, machine.py.
"""
import os
import re
import struct
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import load
import measure
from line import BLK_LOAD, DISCARD, CHARGEN, ECHO, TapLine, UserLine, netns
from machine import Failure, Machine
from turns import ferrule_guest

MEMORY_MIB = 256
DISK_MIB = 64
LIMIT_S = 120
SHARED = [*("-object", f"memory-backend-memfd,id=ram,size={MEMORY_MIB}M,share=on"), *("-numa", "node,memdev=ram")]
SERVICES = "services=echo,discard,chargen,blk"
EVENTS = ("memory_region_ops_read", "memory_region_ops_write", "apic_deliver_irq")
DPDK = ["dpdk-testpmd", "--no-huge", "-m", "256", "--no-pci", "--no-telemetry", "--log-level=lib.*:4"]
OWN_REGIONS = {"ide": r"ide|bmdma|piix-bmdma", "e1000": r"e1000", "blk": r"virtio-pci.*blk|virtio-pci$", "net": r"virtio-pci.*net|virtio-pci$"}


@dataclass(frozen=True)
class Disk:
    name: str
    device: str
    disk: str = "vdb"
    words: str = ""
    cpus: int = 1
    emulated: bool = False
    vhost_user: bool = False
    kind = "blk"


@dataclass(frozen=True)
class Nic:
    name: str
    device: str
    emulated: bool = False
    vhost_user: bool = False
    words: str = ""
    cpus: int = 1
    kind = "net"


def wait_for(path, process, what):
    deadline = time.monotonic() + LIMIT_S
    while not path.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise Failure(f"{what} did not start")
        time.sleep(0.05)


class BackEnd:
    """A process that serves vhost-user devices on a socket, one machine after the other; ends with the `with` statement.
    `start_process` is the subclass's."""

    def __init__(self, folder):
        self.socket, self.process = folder / f"{type(self).__name__}.socket", None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """True: it ran."""
        if not self.process:
            return False
        self.process.kill()
        self.process.wait()
        self.process = None
        return True

    def start(self, *arguments):
        """A new process for each machine, since what it serves ends with the connection's memory."""
        self.stop()
        self.socket.unlink(missing_ok=True)
        self.process = self.start_process(*arguments)
        wait_for(self.socket, self.process, type(self).__name__)
        return self.socket


class BlkDaemon(BackEnd):
    """qemu-storage-daemon with the disk image, for vhost-user-blk."""

    def start_process(self, image):
        command = ["qemu-storage-daemon", "--blockdev", f"driver=file,node-name=f,filename={image}"]
        command += ["--export", f"type=vhost-user-blk,id=e,addr.type=unix,addr.path={self.socket},node-name=f,writable=on"]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL)


class Switch(BackEnd):
    """DPDK's testpmd between a vhost-user port and a tap interface of its own in the namespace."""

    def __init__(self, folder, network):
        super().__init__(folder)
        self.log, self.network = folder / "testpmd.log", network

    def start_process(self):
        command = [*DPDK, "--file-prefix", f"paravirt{os.getpid()}", "--vdev", f"net_vhost0,iface={self.socket},queues=1"]
        command += ["--vdev", "net_tap0,iface=dtap0", "--", "--forward-mode=io", "--nb-cores=1", "--total-num-mbufs=8192"]
        command += ["--auto-start", "--stats-period=3600"]
        with open(self.log, "w", encoding="utf-8") as log:
            return self.network.start(*command, stdout=log, stderr=log)

    def start(self):
        """The host's address moves to its interface, and back with stop()."""
        super().start()
        self.network.run("ip", "address", "flush", "dev", "tap0")
        self.network.run("ip", "link", "set", "dtap0", "up")
        self.network.run("ip", "address", "replace", f"{netns.HOST}/24", "dev", "dtap0")
        return self.socket

    def stop(self):
        if super().stop():
            self.network.run("ip", "address", "replace", f"{netns.HOST}/24", "dev", "tap0")


class Bench:
    """What the machines have in common. `daemon`, `network` and `switch` are set while they are there."""

    def __init__(self, folder, plugin):
        self.folder, self.plugin = folder, plugin
        self.daemon = self.network = self.switch = None
        (folder / "www").mkdir()
        (folder / "www/index.html").write_text("<!DOCTYPE html><title>bench</title>\n")
        self.site = folder / "site.img"
        subprocess.run([measure.TOP / "tools/mkdisk", folder / "www", self.site], check=True, timeout=LIMIT_S)
        self.image = folder / "disk.img"
        self.image.write_bytes(os.urandom(1 << 20) * DISK_MIB)

    def machine(self, variant, counted=False):
        return BenchMachine(self, variant, counted)


def symbols(names):
    """[(address, end)] of functions of the kernel."""
    image = Path(os.environ.get("FERRULE_BUILD") or measure.TOP / "build") / "ferrule.debug.elf"
    text = subprocess.run(["nm", "-S", image], capture_output=True, text=True, check=True, timeout=30).stdout
    found = re.findall(rf"^(\w+) (\w+) [tT] (?:{'|'.join(names)})$", text, re.MULTILINE)
    return [(int(start, 16), int(start, 16) + int(size, 16)) for start, size in found]


class BenchMachine(Machine):
    def __init__(self, bench, variant, counted):
        self.variant = variant
        more = ["-smp", str(variant.cpus)]
        nic, line = "virtio-net-pci,netdev=net0", UserLine((BLK_LOAD,))
        words = f"{SERVICES} {variant.words}"
        if variant.kind == "blk":
            more += self.disk_arguments(bench, counted)
        else:
            line = TapLine(bench.network)
            words += f" {netns.STATIC}"
            nic = f"{variant.device},netdev=net0"
            if variant.vhost_user:
                line.netdev = "vhost-user,id=net0,chardev=vhost"
                more += [*SHARED, "-chardev", f"socket,id=vhost,path={bench.switch.start()}"]
            else:
                bench.switch.stop()
                if counted and not variant.emulated:
                    nic += ",ioeventfd=off"
        self.trace, self.out = bench.folder / "trace", bench.folder / "counters"
        if counted:
            copies = "".join(f",copy={low:#x}-{high:#x}" for low, high in symbols(["memcpy", "memmove"]))
            self.trace.write_bytes(b"")
            more += ["-plugin", f"{bench.plugin},low={measure.KERNEL_LOW:#x},high={measure.KERNEL_HIGH:#x},out={self.out},notifications=on{copies}"]
            more += [word for event in EVENTS for word in ("-trace", event)] + ["-D", str(self.trace)]
        super().__init__(ferrule_guest(words), bench.site, MEMORY_MIB, more=more, line=line, nic=nic, kind="pc")

    def disk_arguments(self, bench, counted):
        variant = self.variant
        if variant.vhost_user:
            socket = bench.daemon.start(bench.image)
            return [*SHARED, "-chardev", f"socket,id=vhost,path={socket}", "-device", f"{variant.device},chardev=vhost"]
        bench.daemon.stop()
        eventfd = ",ioeventfd=off" if counted and not variant.emulated else ""
        drive = f"if=none,id=d,format=raw,snapshot=on,file={bench.image}"
        return ["-drive", drive, "-device", f"{variant.device},drive=d{eventfd}"]

    def __enter__(self):
        super().__enter__()
        if not self.ready.wait(LIMIT_S) or self.qemu.poll() is not None:
            failure = self.failure("not ready")
            self.stop()
            raise failure
        return self

    def blk(self, words, count):
        """Requests a second."""
        text = load.ask(self, f"blk {words} {count} {self.variant.disk}")
        found = re.match(r"ok n=(\d+) usec=(\d+) ", text)
        if not found or int(found.group(1)) != count:
            raise self.failure(text.strip() or "no answer")
        return count / (int(found.group(2)) / 1e6)

    def counted(self, run):
        """What the guest did while run() ran."""
        start, before = self.trace.stat().st_size, self.counters()
        run()
        time.sleep(0.2)  # the trace is written by a thread of QEMU's
        after = self.counters()
        regions, interrupts = self.traced(start)
        kind = "ide" if self.variant.device.startswith("ide") else "e1000" if self.variant.device == "e1000" else self.variant.kind
        accesses = sum(count for name, count in regions.items() if re.match(OWN_REGIONS[kind], name))
        instructions, _, notifications, moved = (now - then for now, then in zip(after, before))
        if self.variant.vhost_user:
            accesses += notifications  # which go to the back end by an eventfd, past the trace
        if self.variant.emulated or "disable-modern" in self.variant.device:
            notifications = None  # which are of no kind of their own, or ports' and not memory's
        return {"accesses": accesses, "notifications": notifications, "interrupts": interrupts, "instructions": instructions, "moved": moved}

    def counters(self):
        return struct.unpack("=4Q", self.out.read_bytes())

    def traced(self, start):
        """({region: accesses}, interrupts) since the trace had that size."""
        regions, interrupts = {}, 0
        with open(self.trace, "rb") as file:
            file.seek(start)
            for line in file:
                name = re.search(rb"name '([^']*)'", line)
                if name:
                    regions[name.group(1).decode()] = regions.get(name.group(1).decode(), 0) + 1
                interrupts += b"apic_deliver_irq" in line
        return regions, interrupts
