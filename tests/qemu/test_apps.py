"""Applications other than the web server: how they end, the block layer under load, and the C
library on a real disk.

The applications are in apps/; each is an image of its own in the build folder.
"""
import os
import re
import struct
import subprocess

import pytest

from ferrule import BUILD, CRASH_EXIT, Guest

MASK = (1 << 64) - 1
SECTOR = 512
WORDS = SECTOR // 8


def app_guest(name, *arguments, disk=None, nic=None, **options):
    return Guest(
        disk,
        kernel=os.path.join(BUILD, f"{name}.elf"),
        words="-- " + " ".join(arguments),
        nic=nic,
        **options,
    )


def blank(path, size):
    with open(path, "wb") as file:
        file.truncate(size)
    return str(path)


@pytest.mark.parametrize(
    "way, status, expected",
    [
        ("return", 0, 0),
        ("return", 3, 7),
        ("exit", 0, 0),
        ("exit", 1, 3),
        ("exit", 100, 201),
        ("_exit", 5, 11),
        ("return", 127, 255),
        ("return", -1, 255),
        ("return", 256, 255),
    ],
)
def test_status(way, status, expected):
    """The application's status becomes QEMU's: 0 by power off, others as 2 n + 1, large ones as the
    largest.
    """
    with app_guest("exits", way, str(status)) as guest:
        assert guest.wait_exit() == expected
        guest.require(rf"ending with status {status}\b")
        assert bool(guest.find("goodbye")) == (way != "_exit")


@pytest.mark.parametrize(
    "way, pattern",
    [("abort", r"panic: abort\(\) called"), ("assert", r"(?s)assertion .* failed.*panic: abort")],
)
def test_abort(way, pattern):
    """abort() and a failed assert() are crashes with a backtrace."""
    with app_guest("exits", way) as guest:
        assert guest.wait_exit() == CRASH_EXIT
        guest.require(pattern, r"abort\+0x|app_main\+0x")


def test_arguments():
    """Words behind `--` are the application's; quotes keep blanks together."""
    with app_guest("exits", "return", "0", '"two words"', "--", "key=value") as guest:
        assert guest.wait_exit() == 0
        for line in (
            "argument 0: <.+>",
            "argument 1: <return>",
            "argument 3: <two words>",
            "argument 4: <-->",
            "argument 5: <key=value>",
        ):
            guest.require(line)


def test_without_status_device():
    """A status that nobody listens to still ends the machine."""
    with app_guest("exits", "return", "3", debug_exit=False) as guest:
        guest.wait_exit()
        guest.require(r"ending with status 3")


def test_wait_until_stopped():
    """An application in the event loop ends by the power button."""
    with app_guest("exits", "wait", "4") as guest:
        guest.wait_for("argument 2: <4>")
        guest.qmp("system_powerdown")
        assert guest.wait_exit() == 9
        guest.require("goodbye")


def pattern(sector, round_):
    base = (sector * 0x9E3779B97F4A7C15 + round_ * 0xD1B54A32D192ED03) & MASK
    return struct.pack(f"<{WORDS}Q", *(base ^ word for word in range(WORDS)))


# name: (requests at a time, properties of the disk, more of Guest's options)
LOADS = {
    "one-at-a-time": (1, "", {}),
    "sixteen": (16, "", {}),
    "sixty-four": (64, "", {}),
    "small-queue": (32, "queue-size=4", {}),
    "large-queue": (64, "queue-size=1024", {}),
    "no-indirect": (32, "indirect_desc=off", {}),
    "no-indirect-small-queue": (32, "indirect_desc=off,queue-size=16", {}),
    "no-event-index": (32, "event_idx=off", {}),
    "neither": (32, "indirect_desc=off,event_idx=off", {}),
    "line-interrupt": (32, "vectors=0", {}),
    "iothread": (64, "iothread=io0", dict(arguments_first=["-object", "iothread,id=io0"])),
    "4k-blocks": (16, "logical_block_size=4096,physical_block_size=4096", {}),
    "no-write-cache": (16, "write-cache=off,config-wce=off", {}),
    "pc": (16, "", dict(machine="pc")),
    "poll": (16, "", dict(poll=True)),
}


@pytest.mark.parametrize("name", LOADS)
def test_block_layer(name, tmp_path):
    """A whole disk is written and read in random order and pieces; the image has every sector of
    the last round.

    covers: BLK-OP-2 BLK-OP-4 BLK-OP-6 BLK-T-LIMITS-1 BLK-T-REQ-2 SPLIT-FRAME-1 SPLIT-DESC-1
    covers: SPLIT-IND-1 SPLIT-IND-3 SPLIT-KICK-4 SPLIT-KICK-6 SPLIT-T-WRAP-1 SPLIT-T-SLOT-1
    covers: SPLIT-T-RECHECK-1
    """
    depth, device, options = LOADS[name]
    options = dict(options)
    words = "irq=poll " if options.pop("poll", False) else ""
    size = 12 << 20
    rounds = 2
    disk = blank(tmp_path / "disk.img", size)
    with Guest(
        disk,
        kernel=os.path.join(BUILD, "blocks.elf"),
        words=f"{words}-- {rounds} {depth} 5",
        nic=None,
        disk_drive="cache=writeback",
        disk_device=device,
        **options,
    ) as guest:
        assert guest.wait_exit(60) == 0, guest.tail()
        guest.require(
            r"blocks: beyond the end: -22",
            r"blocks: 0 failures, 0 wrong words",
            rf" {rounds} flushes ",
        )
        assert guest.stderr() == ""
    with open(disk, "rb") as file:
        for sector in range(size // SECTOR):
            assert file.read(SECTOR) == pattern(sector, rounds), f"sector {sector}"


def mtools(*command):
    return subprocess.run(
        command,
        check=True,
        stdout=subprocess.PIPE,
        timeout=60,
        env=dict(os.environ, LC_ALL="C.UTF-8", MTOOLS_SKIP_CHECK="1"),
    ).stdout


def byte_at(number, offset):
    return (offset * 7 + (offset >> 8) * 13 + number * 31) & 255


FORMATS = {
    "fat16": ("12M", ["-F", "16", "-s", "4"]),
    "fat32": ("36M", ["-F", "32", "-s", "1"]),
    "fat12": ("4M", ["-F", "12"]),
}


@pytest.mark.parametrize("name", FORMATS)
def test_files(name, tmp_path):
    """The C library writes and reads files of all kinds; afterwards other tools find a sound file
    system with their content.

    covers: BLK-T-STABLE-1
    """
    size, options = FORMATS[name]
    disk = str(tmp_path / "disk.img")
    subprocess.run(["truncate", "-s", size, disk], check=True)
    subprocess.run(["/sbin/mkfs.fat", *options, disk], check=True, stdout=subprocess.DEVNULL)
    with app_guest("files", disk=disk, disk_drive="cache=writeback") as guest:
        assert guest.wait_exit(90) == 0, guest.tail()
        guest.require(r"files: \d+ checks, 0 failed", r"files: the year is 20\d\d")
    check = subprocess.run(
        ["/sbin/fsck.fat", "-n", disk],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert check.returncode == 0, check.stdout.decode()
    for number, length in enumerate((0, 1, 511, 512, 513, 4095, 4096, 4097, 65537, 1000000)):
        content = mtools("mtype", "-i", disk, f"::written/file {number} – ä.bin")
        assert content == bytes(byte_at(number, offset) for offset in range(length)), number
    text = mtools("mtype", "-i", disk, "::written/text.txt").decode()
    assert len(text.splitlines()) == 1001 and text.endswith("the end\n")
    names = mtools("mdir", "-b", "-i", disk, "::written/many").decode()
    assert len(re.findall(r"a name of some length \d+", names)) == 150


def test_files_on_read_only_disk(site):
    """On a disk that cannot be written to, writing fails and nothing else does."""
    with app_guest("files", disk=site.disk, disk_drive="readonly=on") as guest:
        assert guest.wait_exit(60) == 5
        guest.require(r"files: cannot write: Read-only file system")
