"""Console, entropy and balloon devices: bytes through every kind of port, random numbers, memory that comes and goes.

Owns the sockets at the far ends of console ports. apps/frontends.c is the application at the near ends.
"""
import os
import re
import socket
import threading
import time

import pytest

from ferrule import BUILD, CRASH_EXIT, Guest, GuestError
from website import check

MIB = 1 << 20
TIMEOUT_S = 15


class Far:
    """The far end of a console port: a socket that QEMU has the other half of."""

    def __init__(self, folder, name):
        self.path = os.path.join(str(folder), name)
        self.arguments = ["-chardev", f"socket,id={name},path={self.path},server=on,wait=off"]
        self.received = b""
        self.ended = False
        self._socket = None
        self._changed = threading.Condition()

    def connect(self):
        self.received = b""
        self.ended = False
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            self._socket = socket.socket(socket.AF_UNIX)
            try:
                self._socket.connect(self.path)
                break
            except OSError:
                self._socket.close()
                assert time.monotonic() < deadline, f"nobody listens at {self.path}"
                time.sleep(0.02)
        threading.Thread(target=self._read, args=(self._socket,), daemon=True).start()
        return self

    def _read(self, end):
        data = b"x"
        while data:
            try:
                data = end.recv(65536)
            except OSError:
                data = b""
            with self._changed:
                if end is not self._socket:
                    return  # connected anew meanwhile
                self.received += data
                self.ended = not data
                self._changed.notify_all()

    def close(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def send(self, data):
        self._socket.sendall(data)

    def wait(self, found, what):
        with self._changed:
            self._changed.wait_for(lambda: found() or self.ended, TIMEOUT_S)
            assert found(), f"{what} did not come:\n" + self.received[-3000:].decode(errors="replace")

    def wait_for(self, pattern):
        self.wait(lambda: re.search(pattern, self.received), pattern)

    def wait_bytes(self, count):
        self.wait(lambda: len(self.received) >= count, f"{count} bytes, only {len(self.received)},")


def app(*words, arguments=(), kernel_words="", **options):
    return Guest(kernel=os.path.join(BUILD, "frontends.elf"), words=f"{kernel_words} -- " + " ".join(words), nic=None,
                 arguments=list(arguments), **options)


SERIAL = ["-device", "virtio-serial-pci,id=vs"]


def console(name):
    return ["-device", f"virtconsole,chardev={name}"]


def port(device_id, name):
    return ["-device", f"virtserialport,chardev={device_id},id={device_id}-dev,name={name}"]


# --- console ---


@pytest.mark.parametrize("mode", ["msix", "intx", "poll"])
def test_only_console(mode, tmp_path, site):
    """Without a UART a virtio console shows the whole log and takes commands.

    covers: CONSOLE-MP-1 CONSOLE-MP-2 CONSOLE-MP-3 CONSOLE-MP-4 CONSOLE-T-INIT-2 CONSOLE-OP-1 CONSOLE-OP-2
    """
    far = Far(tmp_path, "con")
    with Guest(site.disk, serial=False, words=f"irq={mode}", arguments=far.arguments + SERIAL + console("con")) as guest:
        far.connect()
        far.wait_for(rb"booted by multiboot1(?s:.*)port 0 is a console(?s:.*)ready: http://")
        assert b"\r\r\n" not in far.received
        far.send(b"mem\r")
        far.wait_for(rb"KiB of memory, \d+ KiB free")
        check(guest, site, ["index.html"])
        far.send(b"poweroff\r")
        assert guest.wait_exit() == 0
        far.wait_for(rb"ending with status 0\r\n")


def test_single_port(tmp_path):
    """A device without MULTIPORT is one console."""
    far = Far(tmp_path, "con")
    device = ["-device", "virtio-serial-pci,max_ports=1"]
    with Guest(nic=None, serial=False, arguments=far.arguments + device + console("con")) as guest:
        far.connect()
        far.wait_for(rb"ready in \d+ us")
        assert b"MULTIPORT" not in far.received
        far.send(b"poweroff\r")
        assert guest.wait_exit() == 0


def test_beside_the_uart(tmp_path):
    """Both consoles show the same, and both take commands."""
    far = Far(tmp_path, "con")
    with Guest(nic=None, arguments=far.arguments + SERIAL + console("con")) as guest:
        far.connect()
        guest.wait_for(r"port 0 is a console")
        guest.command_output("mem", r"KiB free")
        far.wait_for(rb"KiB of memory, \d+ KiB free")
        far.send(b"ports\r")
        guest.wait_for(r"port 0: console, open here, open there", new=True)
        guest.power_off()
        far.wait_for(rb"ending with status 0")
        lines = [line for line in guest.log().splitlines() if re.match(r"\[ +\d", line)]
        shown = far.received.decode().replace("\r\n", "\n")
        assert len(lines) > 10 and all(line in shown for line in lines)


@pytest.mark.parametrize("emergency", ["on", "off"])
def test_panic(emergency, tmp_path):
    """The last words reach the only console, with the emergency register and without.

    covers: CONSOLE-T-INIT-1
    """
    far = Far(tmp_path, "con")
    device = ["-device", f"virtio-serial-pci,emergency-write={emergency}"]
    with Guest(nic=None, serial=False, arguments=far.arguments + device + console("con")) as guest:
        far.connect()
        far.wait_for(rb"ready in \d+ us")
        far.send(b"crash null\r")
        assert guest.wait_exit() == CRASH_EXIT
        far.wait_for(rb"panic: page fault: write at 0x8(?s:.*)rip [0-9a-f]+(?s:.*)crash_on_purpose(?s:.*)kernel_main\+0x\w+\r\n")


def test_flood(tmp_path):
    """A program that prints more than any buffer holds, and never runs the event loop, loses nothing."""
    shown = tmp_path / "shown"
    file = ["-chardev", f"file,id=con,path={shown}"]
    with app("flood", "3000", serial=False, arguments=file + SERIAL + console("con")) as guest:
        assert guest.wait_exit() == 0
    text = shown.read_bytes()
    assert b"booted by" in text and b"ending with status 0" in text
    assert [int(n) for n in re.findall(rb"^line (\d+) of 3000", text, re.M)] == list(range(3000))


def test_console_that_is_not_read(tmp_path):
    """A console nobody reads from does not stop the guest: what does not fit is dropped and counted."""
    far = Far(tmp_path, "con")
    with app("flood", "20000", arguments=far.arguments + SERIAL + console("con")) as guest:
        stalled = socket.socket(socket.AF_UNIX)
        stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        while True:
            try:
                stalled.connect(far.path)
                break
            except OSError:
                time.sleep(0.02)
        assert guest.wait_exit(30) == 0
        assert len(re.findall(r"line \d+ of 20000", guest.log())) == 20000
        stalled.close()


def test_ports_both_ways(tmp_path):
    """Several named ports at once carry bytes of any value in both directions, and end in order."""
    ends = [Far(tmp_path, f"p{i}") for i in range(3)]
    arguments = SERIAL + sum((end.arguments + port(f"p{i}", f"org.ferrule.{i}") for i, end in enumerate(ends)), [])
    data = [os.urandom(200000 + 7 * i) for i in range(3)]
    with app("echo", *(f"org.ferrule.{i}" for i in range(3)), arguments=arguments) as guest:
        for i in range(3):
            guest.wait_for(rf"org\.ferrule\.{i}: found: open")
        for end in ends:
            end.connect()
        for i in range(3):
            guest.wait_for(rf"org\.ferrule\.{i}: connected")
        for end, bytes_sent in zip(ends, data):
            threading.Thread(target=end.send, args=(bytes_sent,), daemon=True).start()
        for end, bytes_sent in zip(ends, data):
            end.wait_bytes(len(bytes_sent))
            assert end.received == bytes_sent
        ends[1].close()
        guest.wait_for(r"org\.ferrule\.1: disconnected")
        ends[1].connect().send(b"again")
        ends[1].wait_bytes(5)
        guest.command_output("ports", r"port 3 \"org\.ferrule\.2\": port, open here, open there, 200014 bytes received, 200014 sent")
        guest.power_off()


def plug(guest, **properties):
    """Adds a port. QEMU lets go of the chardev of an unplugged one a little later."""
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        try:
            return guest.qmp("device_add", driver="virtserialport", bus="vs.0", **properties)
        except GuestError as error:
            if "in use" not in str(error).splitlines()[0] or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def test_port_comes_and_goes(tmp_path):
    """Ports are plugged and unplugged while the guest runs; the application hears of it and uses the new one."""
    end = Far(tmp_path, "p1")
    with app("echo", "late", arguments=SERIAL + end.arguments) as guest:
        guest.wait_for(r"echo: ready")
        for turn in range(3):
            plug(guest, id="late", name="late", chardev="p1", nr=4)
            guest.wait_for(r"late: found: open", new=True)
            end.connect()
            guest.wait_for(r"late: connected", new=True)
            end.send(b"hello %d" % turn)
            end.wait_bytes(7)
            assert end.received == b"hello %d" % turn
            end.close()
            guest.wait_for(r"late: disconnected", new=True)
            guest.qmp("device_del", id="late")
            guest.wait_for(r"late: gone", new=True)
        guest.power_off()


def test_port_that_is_not_read(tmp_path):
    """An application that echoes into a port nobody reads is stopped by the port's limits, the rest of the guest is not."""
    end = Far(tmp_path, "p1")
    with app("echo", "one", arguments=SERIAL + end.arguments + port("p1", "one")) as guest:
        stalled = socket.socket(socket.AF_UNIX)
        guest.wait_for(r"one: found: open")
        stalled.connect(end.path)
        guest.wait_for(r"one: connected")
        stalled.setblocking(False)
        sent = 0
        quiet_since = time.monotonic()
        while time.monotonic() - quiet_since < 0.5:
            try:
                sent += stalled.send(b"x" * 65536)
                quiet_since = time.monotonic()
            except BlockingIOError:
                time.sleep(0.02)
        guest.command_output("mem", r"KiB free")
        received = 0
        stalled.settimeout(TIMEOUT_S)
        while received < sent:
            received += len(stalled.recv(65536))
        guest.power_off()
        stalled.close()


def test_more_ports_than_used(tmp_path):
    """A port beyond those the driver uses is refused in order, and said so; the others work."""
    end, beyond = Far(tmp_path, "p1"), Far(tmp_path, "p2")
    far_port = ["-device", "virtserialport,chardev=p2,name=far,nr=20"]
    with app("echo", "near", "far", arguments=SERIAL + end.arguments + beyond.arguments + port("p1", "near") + far_port) as guest:
        guest.wait_for(r"port 20 is not used")
        guest.wait_for(r"near: found: open")
        end.connect().send(b"works")
        end.wait_bytes(5)
        guest.power_off(quiet=False)


# --- entropy ---


@pytest.mark.parametrize("backend", ["rng-random,filename=/dev/urandom", "rng-builtin"])
def test_entropy_device(backend):
    """A CPU without a generator is seeded by the entropy device, and two runs have nothing in common.

    covers: RNG-OP-1 RNG-OP-2
    """
    device = ["-object", f"{backend},id=rng0", "-device", "virtio-rng-pci,rng=rng0"]
    seen = set()
    for _ in range(2):
        with app("random", cpu="Nehalem", arguments=device) as guest:
            assert guest.wait_exit() == 0
            assert not guest.find("random numbers can be guessed")
            lines = re.findall(r"^random: (.*)$", guest.log(), re.M)
            assert len(lines) == 4
            seen.update(lines)
    assert len(seen) == 8


def test_entropy_report():
    """`random` at the console says where random numbers come from; a CPU without RDRAND and no device is a warning."""
    with Guest(nic=None, arguments=["-device", "virtio-rng-pci"]) as guest:
        guest.wait_started()
        guest.command_output("random", r"entropy device: 64 bytes in 1 answers")
        guest.require(r"random numbers: seeded; the CPU has a generator")
        guest.power_off()
    with Guest(nic=None, cpu="Nehalem") as guest:
        guest.wait_started()
        guest.require(r"warning: neither RDRAND nor an entropy device")
        guest.power_off()


def test_slow_entropy():
    """A device that is allowed a byte a minute holds bring-up for its limit and no longer.

    covers: RNG-T-SHORT-1
    """
    device = ["-device", "virtio-rng-pci,max-bytes=1,period=60000"]
    with Guest(nic=None, cpu="Nehalem", arguments=device) as guest:
        guest.wait_started()
        guest.command_output("random", r"entropy device: \d bytes")
        guest.power_off()


# --- balloon ---


def wait_balloon(guest, mib, timeout_s=TIMEOUT_S):
    deadline = time.monotonic() + timeout_s
    while guest.qmp("query-balloon")["actual"] != mib * MIB:
        if time.monotonic() > deadline:
            raise GuestError(f"the balloon is at {guest.qmp('query-balloon')['actual'] / MIB} MiB, not {mib}\n" + guest.tail())
        time.sleep(0.05)


def free_kib(guest):
    return int(re.search(r"(\d+) KiB free", guest.command_output("mem", r"KiB free")).group(1))


@pytest.mark.parametrize("mode", ["msix", "poll"])
def test_balloon_follows(mode, site):
    """The balloon goes where QMP wants it, again and again, while files are served.

    covers: BALLOON-OP-1 BALLOON-OP-2 BALLOON-OP-5 BALLOON-OP-10 BALLOON-T-PFN-1
    """
    with Guest(site.disk, memory="256M", words=f"irq={mode}", arguments=["-device", "virtio-balloon-pci"]) as guest:
        guest.wait_ready()
        before = free_kib(guest)
        for mib in (200, 100, 150, 60, 256):
            guest.qmp("balloon", value=mib * MIB)
            check(guest, site, list(site.files)[:10])
            wait_balloon(guest, mib)
            assert abs(before - free_kib(guest) - (256 - mib) * 1024) < 512
        check(guest, site)
        guest.power_off()


def test_balloon_leaves_enough(site):
    """Asked for everything, the guest keeps what it needs to go on, and says so."""
    with Guest(site.disk, arguments=["-device", "virtio-balloon-pci"]) as guest:
        guest.wait_ready()
        guest.qmp("balloon", value=MIB)
        guest.wait_for(r"balloon: memory is short: \d+ of 127 MiB given away")
        check(guest, site)
        guest.qmp("balloon", value=128 * MIB)
        wait_balloon(guest, 128)
        guest.power_off()


def test_balloon_statistics():
    """The statistics QEMU asks for are the guest's own numbers.

    covers: BALLOON-STATS-1 BALLOON-STATS-2 BALLOON-STATS-3 BALLOON-STATS-4 BALLOON-STATS-5 BALLOON-STATS-6
    """
    with Guest(nic=None, arguments=["-device", "virtio-balloon-pci,id=bal"]) as guest:
        guest.wait_started()
        guest.qmp("qom-set", path="/machine/peripheral/bal", property="guest-stats-polling-interval", value=1)
        deadline = time.monotonic() + TIMEOUT_S
        while not guest.qmp("qom-get", path="/machine/peripheral/bal", property="guest-stats")["last-update"]:
            assert time.monotonic() < deadline, guest.tail()
            time.sleep(0.1)
        stats = guest.qmp("qom-get", path="/machine/peripheral/bal", property="guest-stats")["stats"]
        total, free = stats["stat-total-memory"], stats["stat-free-memory"]
        assert 120 * MIB < free < total <= 128 * MIB
        assert stats["stat-available-memory"] == free
        assert abs(free // 1024 - free_kib(guest)) < 64
        guest.qmp("balloon", value=64 * MIB)
        wait_balloon(guest, 64)
        first = guest.qmp("qom-get", path="/machine/peripheral/bal", property="guest-stats")["last-update"]
        while guest.qmp("qom-get", path="/machine/peripheral/bal", property="guest-stats")["last-update"] < first + 2:
            assert time.monotonic() < deadline + TIMEOUT_S, guest.tail()
            time.sleep(0.1)
        stats = guest.qmp("qom-get", path="/machine/peripheral/bal", property="guest-stats")["stats"]
        assert stats["stat-total-memory"] < 65 * MIB
        guest.power_off()


@pytest.mark.parametrize("oom", ["on", "off"])
def test_balloon_under_pressure(oom):
    """With DEFLATE_ON_OOM an allocation that would fail gets its pages from the balloon; without it, it fails.

    covers: BALLOON-OP-3 BALLOON-OP-4
    """
    device = ["-device", f"virtio-balloon-pci,deflate-on-oom={oom}"]
    with app("hungry", "30", "60", arguments=device) as guest:
        guest.qmp("balloon", value=24 * MIB)
        assert guest.wait_exit() == 0
        guest.require(r"hungry: fed" if oom == "on" else r"hungry: starved")
        assert bool(guest.find(r"memory is short: taking pages back")) == (oom == "on")


@pytest.mark.parametrize("hint", ["off", "on"])
def test_free_page_reporting(hint, site):
    """Free memory is reported once, and serving goes on; also where the queue has another number.

    covers: BALLOON-REPORT-1 BALLOON-REPORT-3 BALLOON-REPORT-4 BALLOON-FEAT-2 BALLOON-FEAT-3
    """
    device = ["-object", "iothread,id=io", "-device", "virtio-balloon-pci,free-page-reporting=on"]
    if hint == "on":
        device[-1] += ",free-page-hint=on,iothread=io"
    with Guest(site.disk, memory="256M", arguments=device) as guest:
        guest.wait_ready()
        guest.require(r"virtio-balloon accepts .*PAGE_REPORTING", r"refuses .*PAGE_POISON")
        guest.command_output("mem", r"MiB reported as free")
        time.sleep(2.5)
        first = int(re.findall(r"(\d+) MiB reported as free", guest.command_output("mem", r"MiB reported as free"))[-1])
        assert 200 <= first <= 256
        check(guest, site)
        time.sleep(2.5)
        second = int(re.findall(r"(\d+) MiB reported as free", guest.command_output("mem", r"MiB reported as free"))[-1])
        assert first <= second <= first + 16
        guest.power_off()
