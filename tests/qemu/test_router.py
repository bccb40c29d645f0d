"""A Linux guest as router between the host and a Ferrule guest: packets that get lost, come twice,
late, in another order or damaged, VLANs, narrow paths, router advertisements, and a link that goes.

One router serves all tests of this file. Read router.py first; net_loads.py has the clients.
"""
import os
import random
import sys
import time

import pytest

import router as linux
from ferrule import TOP, Guest
from frames import ETHERTYPE_IPV4, ETHERTYPE_IPV6
from router import BEHIND, BEHIND6, STATIC_BEHIND, TAGGED
from test_net import download

sys.path.append(os.path.join(TOP, "tests", "torture"))
from net_loads import Clients  # noqa: E402
from net_torture import SERVICES, settle  # noqa: E402

NO_OFFLOADS = "csum=off,gso=off,guest_csum=off"
FILE = "large/1mb.bin"
MORE_FRAGMENTS = 0x20


@pytest.fixture(scope="module")
def router():
    if reason := linux.files()[1]:
        pytest.skip(reason)
    with linux.Router() as made:
        made.advertise()
        made.tag(100)
        yield made


def behind(router, site, words=STATIC_BEHIND, nic=""):
    return Guest(
        site.disk,
        backend=linux.BEHIND_BACKEND,
        namespace=router.network.name,
        words=f"{words} {SERVICES}",
        nic=nic,
    )


@pytest.mark.parametrize("nic", ["", NO_OFFLOADS], ids=["offloads", "plain"])
def test_disturbances(nic, router, large_site):
    """Each disturbance for a second on both legs, with clients at work: right bytes, nobody left
    waiting, and the memory free again.
    """
    kinds = ("loss 3%", "duplicate 20%", "delay 5ms reorder 70% 50%", "corrupt 2%", "delay 5ms 4ms")
    with behind(router, large_site, nic=nic) as guest:
        guest.wait_ready()
        with Clients(router.network, large_site, random.Random(1), address=BEHIND) as clients:
            for netem in kinds:
                before = clients.done
                for leg in ("eth0", "eth1"):
                    router.disturb(leg, netem)
                time.sleep(1)
                assert clients.done > before or not clients.errors, clients.errors
            for leg in ("eth0", "eth1"):
                router.disturb(leg, "")
        print(settle(router.network, guest, clients, address=BEHIND))


def test_link_goes(router, large_site):
    """The router's link goes down and comes back during transfers."""
    with behind(router, large_site) as guest:
        guest.wait_ready()
        with Clients(router.network, large_site, random.Random(2), address=BEHIND) as clients:
            for _ in range(3):
                time.sleep(0.3)
                router.run("ip link set eth1 down", "sleep 0.2", "ip link set eth1 up")
        print(settle(router.network, guest, clients, address=BEHIND))


@pytest.mark.parametrize("nic", ["", NO_OFFLOADS], ids=["offloads", "plain"])
def test_narrow_path(nic, router, large_site, tmp_path):
    """The host's leg takes smaller packets than the guest's. Over IPv4 the router makes fragments,
    which it may; over IPv6 it says so, and connections old and new adapt.
    """
    with behind(router, large_site, nic=nic) as guest:
        guest.wait_ready()
        guest.wait_for(f"(?i)eth0: {BEHIND6}")
        router.reach(BEHIND6)
        try:
            for mtu in (1400, 1280):
                router.run(f"ip link set eth0 mtu {mtu}")
                with router.network.capture("tap0") as frames:
                    download(router.network, large_site, FILE, tmp_path, address=BEHIND)
                    download(router.network, large_site, FILE, tmp_path, address=f"[{BEHIND6}]")
                assert any(f[12:14] == ETHERTYPE_IPV4 and f[20] & MORE_FRAGMENTS for f in frames)
                assert any(f[12:14] == ETHERTYPE_IPV6 and len(f) > 1000 for f in frames)
        finally:
            router.run("ip link set eth0 mtu 1500")
        guest.power_off()


def test_narrow_behind(router, large_site):
    """The guest's leg is the narrow one: the host learns it from the router, both ways."""
    with behind(router, large_site) as guest:
        guest.wait_ready()
        router.run("ip link set eth1 mtu 1300")
        try:
            with Clients(router.network, large_site, random.Random(3), address=BEHIND) as clients:
                time.sleep(1)
        finally:
            router.run("ip link set eth1 mtu 1500")
        print(settle(router.network, guest, clients, address=BEHIND))


@pytest.mark.parametrize("nic", ["", NO_OFFLOADS], ids=["offloads", "plain"])
def test_vlan(nic, router, large_site):
    """The router's far leg is a VLAN of Linux's own, with loads and losses."""
    words = (
        f"vlan=eth0:100 ip=:::::eth0:off ip={TAGGED}::{linux.TAGGED_FAR}:255.255.255.0::eth0.100"
    )
    with behind(router, large_site, words=words, nic=nic) as guest:
        guest.wait_for(rf"eth0\.100: {TAGGED}")
        guest.wait_ready()
        with Clients(router.network, large_site, random.Random(4), address=TAGGED) as clients:
            time.sleep(0.5)
            router.disturb("eth1", "loss 2% duplicate 5%")
            time.sleep(1)
            router.disturb("eth1", "")
        print(settle(router.network, guest, clients, address=TAGGED))
