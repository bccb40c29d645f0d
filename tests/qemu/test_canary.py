"""The harness must be able to fail: each of these sees something go wrong, and would be the first
to miss it.
"""
import pytest

from ferrule import CRASH_EXIT, Guest, GuestError
from website import INDEX, check


def test_crash_gives_status():
    """A guest that panics ends QEMU with the crash status, and the console says so."""
    with Guest(words="crash=panic") as guest:
        assert guest.wait_exit() == CRASH_EXIT
        guest.require(r"panic: asked for by the user")


def test_missing_line_fails():
    """Waiting for a line that never comes fails in time, with the console's end in the message."""
    with Guest(words="crash=null") as guest:
        with pytest.raises(GuestError, match=r"(?s)no such line.*panic: page fault"):
            guest.wait_for("no such line")


def test_hang_fails(site):
    """A guest that does not end is noticed and killed."""
    with Guest(site.disk) as guest:
        guest.wait_ready()
        with pytest.raises(GuestError, match="has not ended"):
            guest.wait_exit(timeout_s=1)
    assert guest.process.returncode == -9


def test_wrong_byte_is_noticed(site, tmp_path):
    """One flipped byte of a file on the disk makes the comparison of downloads fail."""
    with open(site.disk, "rb") as file:
        image = bytearray(file.read())
    assert image.count(INDEX) == 1
    image[image.index(INDEX)] ^= 1
    damaged = tmp_path / "damaged.img"
    damaged.write_bytes(image)
    with Guest(str(damaged)) as guest:
        guest.wait_ready()
        check(guest, site, ["names/UPPER.TXT"])
        with pytest.raises(AssertionError, match="index.html"):
            check(guest, site, ["index.html"])
