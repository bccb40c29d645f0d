"""Cards that are plugged in and pulled out of PCI Express slots while the guest is under load.

QEMU plays the operator: device_add plugs a card in, device_del presses the slot's button, and a
slot whose power is switched off from outside (over the qtest socket) loses its card without a word.
The guest runs without ACPI hot plug, so that the slots are its own.
"""
import contextlib
import hashlib
import http.client
import os
import re
import socket
import struct
import threading
import time

import pytest

from ferrule import HTTP_TIMEOUT_S, Guest, drive
from website import check

NATIVE = ["-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off"]
ECAM = 0xB0000000
SLOT_CONTROL = 0x18
POWER_AND_INDICATOR_OFF = 0x0700
NOTIFY_CFG = 2
REMOVAL_TIMEOUT_S = 40
CHUNK = 1 << 16


def slots(count, kind="pcie-root-port"):
    arguments = list(NATIVE)
    for n in range(1, count + 1):
        arguments += ["-device", f"{kind},id=slot{n},slot={n},chassis={n},addr={n + 8:#x}"]
    return arguments


def plug(guest, kind, name, slot, **properties):
    guest.qmp("device_add", driver=kind, id=name, bus=f"slot{slot}", **properties)


def wait_deleted(guest, name, timeout_s=REMOVAL_TIMEOUT_S):
    """Waits until QEMU says that the guest has let go of the card."""

    def is_it(message):
        return (
            message.get("event") == "DEVICE_DELETED" and message["data"].get("device") == name
        )

    found = next((event for event in guest._events if is_it(event)), None)
    found = found or guest._qmp_read(f"the end of {name}", is_it, timeout_s)
    guest._events.remove(found)


def unplug(guest, name):
    """Presses the slot's button and waits for the end of it."""
    guest.qmp("device_del", id=name)
    wait_deleted(guest, name)


class Qtest:
    """QEMU's qtest socket: memory and registers of the running guest, from outside."""

    def __init__(self, folder):
        self.path = os.path.join(str(folder), "qtest")
        self.arguments = ["-qtest", f"unix:{self.path},server=on,wait=off", "-qtest-log", "/dev/null"]

    def connect(self):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(10)
        self._socket.connect(self.path)
        self._file = self._socket.makefile("rw")
        return self

    def command(self, line):
        self._file.write(line + "\n")
        self._file.flush()
        answer = self._file.readline()
        assert answer.startswith("OK"), (line, answer)
        return answer.split()[1:]

    def read(self, address, length):
        return bytes.fromhex(self.command(f"read {address:#x} {length:#x}")[0][2:])

    def write(self, address, data):
        self.command(f"write {address:#x} {len(data):#x} 0x{data.hex()}")

    def number(self, address, length):
        return int.from_bytes(self.read(address, length), "little")

    def capabilities(self, config, identity):
        """Addresses of a function's capabilities of one kind."""
        at = self.number(config + 0x34, 1)
        while at:
            if self.number(config + at, 1) == identity:
                yield config + at
            at = self.number(config + at + 1, 1)

    def power_off(self, slot):
        """What the guest does last of all in a polite removal: QEMU takes the card away at once."""
        express = next(self.capabilities(ECAM + ((slot + 8) << 15), 0x10))
        value = self.number(express + SLOT_CONTROL, 2) | POWER_AND_INDICATOR_OFF
        self.command(f"writew {express + SLOT_CONTROL:#x} {value:#x}")

    def notify(self, device, queue):
        """The available buffer notification of a virtio device on bus 0, as if from the guest."""
        config = ECAM + (device << 15)
        vendor = self.capabilities(config, 0x09)
        at = next(at for at in vendor if self.number(at + 3, 1) == NOTIFY_CFG)
        bar = config + 0x10 + 4 * self.number(at + 4, 1)
        address = (self.number(bar, 8) & ~0xF) + self.number(at + 8, 4)
        self.command(f"writew {address + queue * self.number(at + 16, 4):#x} {queue:#x}")


class Download(threading.Thread):
    """A large file, fetched again and again; `errors` says what went wrong."""

    def __init__(self, guest, site, path):
        super().__init__(daemon=True)
        self._guest, self._site, self._path = guest, site, path
        self._end = False
        self.rounds, self.errors, self.received = 0, [], 0

    def _fetch(self):
        """One transfer; `received` is how much of it has come."""
        size, wanted = self._site.files[self._path]
        found = hashlib.sha256()
        connection = http.client.HTTPConnection("127.0.0.1", self._guest.port, timeout=HTTP_TIMEOUT_S)
        with contextlib.closing(connection):
            connection.request("GET", "/" + self._path)
            answer = connection.getresponse()
            while data := answer.read1(CHUNK):
                found.update(data)
                self.received += len(data)
        assert (answer.status, self.received, found.hexdigest()) == (200, size, wanted)

    def run(self):
        while not self._end and not self.errors:
            self.received = 0
            try:
                self._fetch()
                self.rounds += 1
            except (http.client.HTTPException, AssertionError, OSError) as error:
                self.errors.append(f"{error!r} after {self.received} bytes")

    def wait_moving(self):
        """Waits until a transfer has begun and is far from its end."""
        size, _ = self._site.files[self._path]
        deadline = time.monotonic() + HTTP_TIMEOUT_S
        while not 0 < self.received < size // 2:
            assert time.monotonic() < deadline and not self.errors, self.errors
            time.sleep(0.01)

    def finish(self):
        """Lets the transfer under way end; all of them must have been right."""
        before = self.rounds
        self._end = True
        self.join(120)
        assert not self.is_alive() and not self.errors, self.errors
        assert self.rounds > before or before > 0


@pytest.mark.parametrize("irq", ["msix", "intx", "poll"])
def test_nic_comes_and_goes(irq, large_site):
    """A second NIC is plugged in, gets an address by DHCP, leaves by its button, and another one
    comes in its place, while a download over the first NIC goes on.
    """
    with Guest(large_site.disk, words=f"irq={irq}", arguments=slots(2)) as guest:
        guest.wait_ready()
        guest.qmp("netdev_add", type="user", id="net1", net="10.9.0.0/24")
        download = Download(guest, large_site, "large/1mb.bin")
        download.start()
        for _ in range(2 if irq == "msix" else 1):
            plug(guest, "virtio-net-pci", "card", 1, netdev="net1", romfile="")
            guest.wait_for(r"eth1: 10\.9\.0\.15/24 .*DHCP", 30, new=True)
            unplug(guest, "card")
            guest.wait_for(r"eth1: removed", new=True)
        download.finish()
        guest.require(
            r"slot 1: a card was plugged in",
            r"slot 1: the button was pressed: the card is removed in 5 s",
            r"slot 1: the card is removed",
            r"pci \S+ 1af4:1041 .*driven by virtio-net",
        )
        guest.power_off()


def test_disk_leaves_under_load_and_comes_back(large_site):
    """The disk of the web server leaves during a download, which breaks off; the server answers,
    and once the disk is back it serves the same files.
    """
    arguments = slots(2) + drive(large_site.disk, device="bus=slot1,id=disk")
    with Guest(arguments=arguments) as guest:
        guest.wait_ready()
        check(guest, large_site, ["large/1mb.bin"])
        with guest.connect(60) as connection:
            connection.sendall(b"GET /large/20mb.bin HTTP/1.1\r\nHost: x\r\n\r\n")
            # Reads slowly, so that it is under way when the disk goes.
            received = len(connection.recv(CHUNK))
            unplug(guest, "disk")
            try:
                while data := connection.recv(CHUNK):
                    received += len(data)
            except ConnectionError:
                pass
            assert received < 20 << 20
        guest.wait_for(r"error: .*large/20mb\.bin: cannot be read")
        assert guest.get("/large/1mb.bin").status != 200
        guest.qmp("human-monitor-command", **{"command-line":
            f"drive_add 0 if=none,id=again,format=raw,snapshot=on,file={large_site.disk}"})
        plug(guest, "virtio-blk-pci", "disk2", 2, drive="again")
        guest.wait_for(r"pci \S+ 1af4:1042 .*driven by virtio-blk", new=True)
        check(guest, large_site, ["large/1mb.bin", "large/20mb.bin"])
        guest.power_off()


@pytest.mark.parametrize("kind", ["disk", "nic"])
def test_surprise_removal(kind, large_site, tmp_path):
    """A card vanishes without a word, under load: its registers read as all ones. Nothing hangs,
    its transfers end, and another card in the same slot works.
    """
    qtest = Qtest(tmp_path)
    arguments = slots(2) + qtest.arguments
    arguments += drive(large_site.disk, device="bus=slot1,id=disk")
    with Guest(arguments=arguments) as guest:
        guest.wait_ready()
        qtest.connect()
        if kind == "nic":
            guest.qmp("netdev_add", type="user", id="net1", net="10.9.0.0/24")
            plug(guest, "virtio-net-pci", "card", 2, netdev="net1", romfile="")
            guest.wait_for(r"eth1: 10\.9\.0\.15/24 .*DHCP", 30, new=True)
            qtest.power_off(2)
            wait_deleted(guest, "card")
            guest.wait_for(r"slot 2: the card was pulled out without warning")
            guest.wait_for(r"eth1: removed", new=True)
            check(guest, large_site, ["large/1mb.bin"])
            plug(guest, "virtio-net-pci", "card", 2, netdev="net1", romfile="")
            guest.wait_for(r"eth1: 10\.9\.0\.15/24 .*DHCP", 30, new=True)
        else:
            with guest.connect(60) as connection:
                connection.sendall(b"GET /large/20mb.bin HTTP/1.1\r\nHost: x\r\n\r\n")
                connection.recv(CHUNK)
                qtest.power_off(1)
                wait_deleted(guest, "disk")
                guest.wait_for(r"slot 1: the card was pulled out without warning")
                try:
                    while connection.recv(CHUNK):
                        pass
                except ConnectionError:
                    pass
            assert guest.get("/large/1mb.bin").status != 200
            guest.qmp("human-monitor-command", **{"command-line":
                f"drive_add 0 if=none,id=again,format=raw,snapshot=on,file={large_site.disk}"})
            plug(guest, "virtio-blk-pci", "disk2", 1, drive="again")
            guest.wait_for(r"pci \S+ 1af4:1042 .*driven by virtio-blk", 30, new=True)
        check(guest, large_site, ["large/1mb.bin"])
        guest.power_off()


# name: the kind of card, its properties, and who drives it
KINDS = {
    "scsi": ("virtio-scsi-pci", {}, "virtio-scsi"),
    "console": ("virtio-serial-pci", {}, "virtio-console"),
    "rng": ("virtio-rng-pci", {"rng": "rng0"}, "virtio-rng"),
    "balloon": ("virtio-balloon-pci", {}, "virtio-balloon"),
    "keyboard": ("virtio-keyboard-pci", {}, "virtio-input"),
    "share": ("virtio-9p-pci", {"fsdev": "fs0", "mount_tag": "share"}, "virtio-9p"),
}


def test_every_kind_of_card_comes_and_goes(large_site, tmp_path):
    """A card of each other kind is plugged in, leaves by its button, comes again and is pulled out,
    all at once and during a download.
    """
    qtest = Qtest(tmp_path)
    folder = tmp_path / "folder"
    folder.mkdir()
    more = ["-object", "rng-random,id=rng0,filename=/dev/urandom"]
    more += ["-fsdev", f"local,id=fs0,path={folder},security_model=none"]
    with Guest(large_site.disk, arguments=slots(len(KINDS)) + more + qtest.arguments) as guest:
        guest.wait_ready()
        qtest.connect()
        download = Download(guest, large_site, "large/1mb.bin")
        download.start()
        for polite in (True, False):
            for slot, (name, (kind, properties, _)) in enumerate(KINDS.items(), 1):
                plug(guest, kind, name, slot, **properties)
            for slot, (_, _, driver) in enumerate(KINDS.values(), 1):
                line = rf"pci {slot:02x}:00\.0 .*driven by {driver}\r"
                guest.wait_for(line if polite else rf"(?s:{line}.*{line})", 30)
            for slot, name in enumerate(KINDS, 1):
                if polite:
                    guest.qmp("device_del", id=name)
                else:
                    qtest.power_off(slot)
            for name in KINDS:
                wait_deleted(guest, name)
        download.finish()
        guest.require(*(rf"slot {n}: the card is removed" for n in range(1, len(KINDS) + 1)))
        guest.require(*(rf"slot {n}: the card was pulled out" for n in range(1, len(KINDS) + 1)))
        assert len(re.findall("a card was plugged in", guest.log())) == 2 * len(KINDS)
        check(guest, large_site, ["large/1mb.bin"])
        guest.power_off()
