"""A network device that lies at run time, with clients at work: frames whose headers cannot be, frames shorter than their
headers, and queues that break. What is good goes on being answered right.

Read lying_nic.py for the lies; the model device tells the same ones in tests/unit/test_virtio_net_receive.c.
"""
import os
import random
import sys
import time

import pytest

from ferrule import TOP, Guest
from lying_nic import LyingNic
from netns import GUEST, STATIC
from virtiofs import shared_memory

sys.path.append(os.path.join(TOP, "tests", "torture"))
from net_loads import Clients  # noqa: E402
from net_torture import SERVICES, settle  # noqa: E402

ROUNDS = 20
RECOVERY_TIMEOUT_S = 30


@pytest.fixture
def nic(own_network):
    with LyingNic(own_network, random.Random(13)) as made:
        yield made


def guest_of(nic, site):
    """QEMU 7.2 cannot start such a device with MSI-X and without KVM; it has no vectors, then."""
    machine, memory = shared_memory("q35")
    return Guest(
        site.disk,
        machine=machine,
        backend="vhost-user,id=net0,chardev=liar",
        nic="vectors=0",
        words=f"{STATIC} {SERVICES}",
        arguments_first=[*memory, "-chardev", f"socket,id=liar,path={nic.path}"],
    )


def dropped(guest):
    text = guest.command_output("net", r"time-outs \d+")
    return int(text.split("dropped ")[1].split()[0])


def test_frames_that_lie(nic, own_network, large_site):
    """Such frames are dropped, all of them and no others, and the device goes on as it is."""
    with guest_of(nic, large_site) as guest:
        guest.wait_ready()
        own_network.ping(GUEST)
        told = large = 0
        with Clients(own_network, large_site, random.Random(1)) as clients:
            for _ in range(ROUNDS):
                told += nic.tell_dropped() + nic.tell_short()
                nic.tell_unused()
                nic.tell_cut()
                large += nic.tell_large()
                time.sleep(0.05)
        assert told > ROUNDS and large > ROUNDS / 2
        own_network.ping(GUEST)
        assert dropped(guest) == told
        assert not guest.find("queue broken|resetting")
        print(told, large, nic.lost, settle(own_network, guest, clients, quiet=False))


def test_queues_that_lie(nic, own_network, large_site):
    """Each lie breaks a queue, which is mended, and clients that are at work meanwhile are served."""
    with guest_of(nic, large_site) as guest:
        guest.wait_ready()
        own_network.ping(GUEST)
        with Clients(own_network, large_site, random.Random(2)) as clients:
            for number, (name, tell) in enumerate(nic.breaking().items(), 1):
                done = clients.done
                tell()
                guest.wait_for(r"queue broken: ", RECOVERY_TIMEOUT_S, new=True)
                guest.wait_for(rf"running again \(recovery {number}\)", RECOVERY_TIMEOUT_S, new=True)
                deadline = time.monotonic() + RECOVERY_TIMEOUT_S
                while clients.done == done and not clients.errors:
                    assert time.monotonic() < deadline, f"no answer after {name}\n{guest.tail()}"
                    time.sleep(0.02)
        print(settle(own_network, guest, clients, quiet=False))
