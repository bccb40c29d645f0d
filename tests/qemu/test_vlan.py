"""VLANs: interfaces that tag what they send and take only what carries their tag, with the host's
own TCP/IP behind the tag, in bulk and with offloads on and off.

Read vlan.py first. The services of the guest are those of test_services.py.
"""
import os
import random
import socket
import struct

import pytest

from ferrule import BUILD, Guest
from netns import GUEST, STATIC, Network, why_not
from vlan import Vlan

TAP = "tap,id=net0,ifname=tap0,script=no,downscript=no,vhost=off"
HOST100, GUEST100 = "10.78.0.1", "10.78.0.2"
GUEST100_6 = "fe80::5054:ff:fe12:3456%vlan100"
WORDS = (
    f"{STATIC} vlan=eth0:100,eth0:200"
    f" ip={GUEST100}:::255.255.255.0::eth0.100 ip=:::::eth0.200:off"
)
BULK = 4 << 20
TIMEOUT_S = 60
NO_OFFLOADS = "csum=off,gso=off,guest_csum=off"


@pytest.fixture(params=["", NO_OFFLOADS], ids=["offloads", "plain"])
def network_and_vlan(request):
    reason = why_not()
    if reason:
        pytest.skip(reason)
    with Network() as network, Vlan(network, 100, f"{HOST100}/24") as vlan:
        with Guest(
            kernel=os.path.join(BUILD, "services.elf"),
            backend=TAP,
            namespace=network.name,
            words=WORDS,
            nic=request.param,
        ) as guest:
            guest.wait_for(r"eth0\.100: VLAN 100 of eth0")
            guest.wait_for(r"eth0\.100: " + GUEST100)
            guest.wait_for("ready: services")
            guest.wait_for(r"(?i)eth0\.100: fe80::5054:ff:fe12:3456/64")
            yield network, vlan, request.param == ""
            guest.power_off()


def echo(network, address, data):
    """Sends and receives at once, as long as both sides move."""
    with network.connect(7, address, TIMEOUT_S) as client:
        got = b""
        for at in range(0, len(data), 32768):
            part = data[at : at + 32768]
            client.sendall(part)
            want = len(got) + len(part)
            while len(got) < want:
                piece = client.recv(want - len(got))
                assert piece, "closed early"
                got += piece
        return got


def test_vlan(network_and_vlan):
    """Echo and bulk reach the guest through the tag, over IPv4 and IPv6; the untagged side goes on
    beside it; frames of a VLAN without addresses, of one that the guest is not in, and torn ones
    are not answered.
    """
    network, vlan, offloads = network_and_vlan
    network.ping(GUEST100)
    network.ping(GUEST100, "-s", "1472", "-M", "do")
    network.ping(GUEST)
    network.ping(GUEST100_6, "-6")
    data = random.Random(5).randbytes(BULK)
    assert echo(network, GUEST100, data) == data
    short = data[:300000]
    assert network.inside(lambda: echo_ipv6(short)) == short
    assert (vlan.counts["large in"] > 10) == offloads, vlan.counts

    before = vlan.counts["in"]
    wire = network.packet_socket("tap0")
    for tag in (100, 101, 200):
        wire.send(arp_request(GUEST, tag))
    for length in range(14, 46):
        wire.send(arp_request(GUEST100, 100)[:length])
    wire.send(arp_request(GUEST100, 101))
    network.ping(GUEST)
    assert vlan.counts["in"] == before
    wire.send(arp_request(GUEST100, 100))
    network.ping(GUEST100, count=1)
    assert vlan.counts["in"] >= before + 2
    wire.close()


def echo_ipv6(data):
    with socket.create_connection((GUEST100_6, 7), TIMEOUT_S) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        parts = []
        while part := client.recv(65536):
            parts.append(part)
        return b"".join(parts)


def arp_request(address, tag):
    sender = bytes.fromhex("020000000099")
    return (
        b"\xff" * 6
        + sender
        + struct.pack(">HHH", 0x8100, tag, 0x0806)
        + struct.pack(">HHBBH", 1, 0x0800, 6, 4, 1)
        + sender
        + socket.inet_aton("10.78.0.9")
        + bytes(6)
        + socket.inet_aton(address)
    )
