"""A few power cuts on either file system; `make power-cut N=...` makes many."""
import os
import sys

import pytest

from ferrule import TOP

sys.path.insert(0, os.path.join(TOP, "tests", "power_cut"))
from power_cut import Disk, Failure, lose_power, log_entries  # noqa: E402


@pytest.mark.parametrize("kind", ["littlefs", "fat"])
def test_power_cuts(kind, tmp_path):
    """Five lives of one disk, each ended by the loss of power: what was acknowledged is there."""
    disk = Disk(kind, tmp_path, seed=1)
    for _ in range(5):
        disk.cut()
    assert disk.figures["cuts"] == 5
    assert disk.acknowledged and disk.figures["rows"] >= len(disk.acknowledged)


def test_a_lost_row_is_noticed(tmp_path):
    """The canary: a row that was acknowledged and is not there fails the check."""
    disk = Disk("littlefs", tmp_path, seed=2)
    while not disk.acknowledged:
        disk.cut()
    disk.acknowledged[max(disk.acknowledged) + 100] = b"never sent"
    with pytest.raises(Failure, match="was acknowledged and is not there"):
        disk.check()


def test_a_lost_write_is_noticed(tmp_path):
    """The canary of the loss model: without a single flush the disk is what it was before."""
    disk = Disk("littlefs", tmp_path, seed=3)
    base = disk.image + ".base"
    os.link(disk.image, base)
    disk.cut()
    log = os.path.join(disk.folder, "writes.log")
    entries = list(log_entries(log))
    assert any(flags & 1 for _, _, flags in entries) and any(data for _, data, _ in entries)

    class Never:
        """A source of chance that keeps nothing."""

        def choice(self, _):
            return 0

        def random(self):
            return 1

    with open(log, "r+b") as file:  # the same log without its flushes
        content = bytearray(file.read())
        at = 512
        while at + 512 <= len(content):
            sectors = int.from_bytes(content[at + 8 : at + 16], "little")
            content[at + 16] = 0
            at += 512 + sectors * 512
        file.seek(0)
        file.write(content)
    count, lost = lose_power(base, log, disk.image + ".none", Never())
    assert count == lost > 0
    with open(base, "rb") as before, open(disk.image + ".none", "rb") as after:
        assert before.read() == after.read()
