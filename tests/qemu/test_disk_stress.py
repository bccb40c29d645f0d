"""A disk that fails, crawls, shrinks and grows under load: clear errors, no hang, and the next load is
right again. The load is the service's on port 7000.
"""
import json

import pytest

from test_blk_load import MIB, ask_until, blank, endless_load, loaded  # noqa: F401 (blank is a fixture)


def failing(path, rules, **more):
    """Guest's options for a disk of which blkdebug makes requests fail, and QEMU goes on."""
    blockdev = {
        "driver": "raw",
        "node-name": "disk0",
        "file": {
            "driver": "blkdebug",
            "inject-error": rules,
            "image": {"driver": "file", "filename": path},
            **more,
        },
    }
    device = "virtio-blk-pci,drive=disk0,rerror=report,werror=report"
    return ["-blockdev", json.dumps(blockdev), "-device", device]


def error_at(sector, iotype, errno=5, once=False):
    return {"event": "none", "iotype": iotype, "errno": errno, "sector": sector, "once": once}


@pytest.mark.parametrize("errno", [5, 28])
def test_write_errors(blank, errno):
    """One bad place: loads that meet it end there with an error, others do not notice."""
    arguments = failing(blank, [error_at(8000, "write", errno)])
    with loaded(None, arguments=arguments) as (guest, ask):
        text = ask("blk fill 4k 8 4096")
        assert text.endswith(" of vda: -5 (input or output error)")
        assert text.startswith("error: fill at sector 8000 ")
        assert ask("blk fill 4k 8 1000").startswith("ok n=1000 ")
        assert ask("blk verify 4k 8 1000").startswith("ok n=1000 ")
        assert ask("blk flush 0 1 1").startswith("ok ")
        guest.power_off()


def test_flush_errors(blank):
    """A flush that fails once is an error for whoever asked for it, and no more than that."""
    rule = {"event": "none", "iotype": "flush", "errno": 5, "once": True}
    with loaded(None, arguments=failing(blank, [rule])) as (guest, ask):
        assert ask("blk fill 4k 8 100").startswith("ok ")
        assert "-5 (input or output error)" in ask("blk flush 0 1 1")
        assert ask("blk flush 0 1 1").startswith("ok ")
        guest.power_off()


def test_all_requests_fail(blank):
    rules = [{"event": "none", "errno": 5}]
    with loaded(None, arguments=failing(blank, rules)) as (guest, ask):
        for op in ("read", "randwrite", "flush"):
            assert ask(f"blk {op} 4k 32 1000").startswith(f"error: {op} at sector ")
        guest.power_off()


def test_a_throttled_disk(blank):
    """Slow is not broken: thousands of requests wait their turn."""
    drive = "cache=writeback,throttling.iops-total=400"
    with loaded(blank, disk_drive=drive) as (guest, ask):
        assert ask("blk randwrite 4k 64 500").startswith("ok n=500 ")
        assert guest.find("took longer") is None
        guest.power_off()


def test_shrink_and_grow_under_load(blank):
    """Requests beyond the end of a disk that shrank are errors; then the disk is smaller, and larger."""

    def resize(guest, size):
        guest.qmp("block_resize", device="disk0", size=size)

    with loaded(blank) as (guest, ask):
        with endless_load(ask, "blk randwrite 4k 16 100000000") as other:
            resize(guest, 4 * MIB)
            line = other.makefile("r").readline()
            assert line.startswith("error: randwrite at sector ")
            assert "-22 (beyond the end" in line or "-5 (input" in line
        guest.wait_for(r"vda: capacity changed from 32768 to 8192 sectors")
        # The other load may still be ending.
        ask_until(ask, "blk fill 4k 16 1024", "ok n=1024 ")
        assert ask("blk verify 4k 16 1024").startswith("ok n=1024 ")
        resize(guest, 8 * MIB)
        guest.wait_for(r"vda: capacity changed from 8192 to 16384 sectors")
        assert ask("blk fill 4k 16 2048").startswith("ok n=2048 ")
        assert ask("blk verify 4k 16 2048").startswith("ok n=2048 ")
        guest.power_off()


def test_power_button_under_load(blank):
    """In the middle of a load the end is an orderly one."""
    with loaded(blank) as (guest, ask):
        with endless_load(ask, "blk randwrite 4k 32 100000000"):
            guest.power_off()
