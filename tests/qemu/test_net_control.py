"""The control queue of a network device in QEMU: what the guest wants to receive, as QEMU's monitor
shows it, and announcements on demand, as the wire shows them.

Read netns.py and test_offload.py first.
"""
import os
import re
import socket
import time

import pytest

from ferrule import BUILD, Guest
from frames import ETHERTYPE_ARP, ETHERTYPE_IPV6, GUEST_LINK_LOCAL, GUEST_MAC
from netns import GUEST, STATIC, Network, why_not

TAP = "tap,id=net0,ifname=tap0,script=no,downscript=no,vhost=off"
FILTER_TIMEOUT_S = 15


@pytest.fixture(scope="module", autouse=True)
def possible():
    reason = why_not()
    if reason:
        pytest.skip(reason)


def guest_on(network, nic="", words=STATIC):
    kernel = os.path.join(BUILD, "bulk.elf")
    return Guest(None, backend=TAP, namespace=network.name, words=words, nic=nic, kernel=kernel)


def receive_filter(guest):
    (answer,) = guest.qmp("query-rx-filter")
    return answer


@pytest.mark.parametrize("nic", ["", "disable-modern=on", "packed=on"])
def test_receive_filter(nic):
    """The device is asked for the groups that the stack has joined and for nothing else.

    covers: NET-CTRLMAC-3 NET-T-CTRL-1 LEG-NET-MAC-1
    """
    with Network() as network, guest_on(network, nic) as guest:
        guest.wait_for(rf"(?i)eth0: {GUEST_LINK_LOCAL}/64")
        wanted = {"33:33:00:00:00:01", "33:33:ff:12:34:56", "01:00:5e:00:00:01"}
        deadline = time.monotonic() + FILTER_TIMEOUT_S
        while not wanted <= set((found := receive_filter(guest))["multicast-table"]):
            assert time.monotonic() < deadline, found
            time.sleep(0.1)
        assert found["promiscuous"] is False
        assert found["multicast"] == "normal"
        assert found["unicast-table"] == []
        assert found["vlan-table"] == [0]
        network.ping(GUEST)
        network.ping(f"{GUEST_LINK_LOCAL}%tap0")
        guest.power_off()


def wait_for_vlans(guest, vlans):
    deadline = time.monotonic() + FILTER_TIMEOUT_S
    while sorted((found := receive_filter(guest))["vlan-table"]) != vlans:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def received(guest):
    """Frames that the device let through."""
    text = guest.command_output("net", r"lwip: tcp received")
    return int(re.search(r"eth0: received (\d+) frames", text)[1])


@pytest.mark.parametrize("nic", ["", "disable-modern=on"])
def test_filter_of_vlans_and_broadcasts(nic):
    """The device is asked for the VLANs that there are; for broadcasts as long as there is IPv4.

    covers: NET-CTRLRX-2 LEG-NET-VLAN-1
    """
    words = "ip=off vlan=eth0:100,eth0:4094 ip=:::::eth0.100:off ip=:::::eth0.4094:off"
    with Network() as network, guest_on(network, nic, words) as guest:
        guest.wait_for(rf"(?i)eth0: {GUEST_LINK_LOCAL}/64")
        wait_for_vlans(guest, [0, 100, 4094])
        network.ping(f"{GUEST_LINK_LOCAL}%tap0")
        before = received(guest)
        wire = network.packet_socket("tap0")
        for _ in range(100):
            wire.send(b"\xff" * 6 + bytes(6) + ETHERTYPE_ARP + bytes(46))
            wire.send(GUEST_MAC + bytes(6) + b"\x81\x00\x00\x65" + ETHERTYPE_ARP + bytes(46))
        wire.close()
        network.ping(f"{GUEST_LINK_LOCAL}%tap0")
        assert received(guest) - before < 50
        guest.power_off()


OTHER_MAC = "02:00:00:00:00:99"
OTHER_LINK_LOCAL = "fe80::ff:fe00:99"


def test_another_address():
    """The word mac= gives the NIC another address: it is known by it, and by no other.

    covers: NET-CTRLMAC-2
    """
    with Network() as network, guest_on(network, words=f"{STATIC} mac=eth0:{OTHER_MAC}") as guest:
        guest.wait_for(rf"(?i)eth0: {OTHER_LINK_LOCAL}/64")
        assert receive_filter(guest)["main-mac"] == OTHER_MAC
        network.ping(GUEST)
        network.ping(f"{OTHER_LINK_LOCAL}%tap0")
        assert OTHER_MAC in network.run("ip", "neigh", "show", GUEST)
        guest.power_off()


def is_gratuitous_arp(frame):
    address = socket.inet_aton(GUEST)
    return (
        frame[6:12] == GUEST_MAC
        and frame[12:14] == ETHERTYPE_ARP
        and frame[28:32] == address
        and frame[38:42] == address
    )


def is_advertisement(frame):
    """A neighbor advertisement to all nodes."""
    return (
        frame[:12] == bytes.fromhex("333300000001") + GUEST_MAC
        and frame[12:14] == ETHERTYPE_IPV6
        and frame[54] == 136
        and frame[62:78] == socket.inet_pton(socket.AF_INET6, GUEST_LINK_LOCAL)
    )


def test_announcement():
    """QMP's announce-self makes the guest tell the network where its addresses are, every time.

    covers: NET-ANNOUNCE-1 NET-ANNOUNCE-2
    """
    with Network() as network, guest_on(network) as guest:
        guest.wait_for(rf"(?i)eth0: {GUEST_LINK_LOCAL}/64")
        for _ in range(2):
            with network.capture("tap0") as frames:
                guest.qmp("announce-self", initial=50, max=100, rounds=1, step=10)
                guest.wait_for(r"eth0: announcing its addresses", new=True)
                time.sleep(0.5)
            assert any(is_gratuitous_arp(frame) for frame in frames)
            assert any(is_advertisement(frame) for frame in frames)
            guest.type("net")
            guest.wait_for(r"lwip: tcp received", new=True)
        network.ping(GUEST)
        guest.power_off()
