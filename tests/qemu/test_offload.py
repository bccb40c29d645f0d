"""Segments made and merged by the device, seen from the wire: bulk transfers in both directions,
byte by byte, over taps that offer everything, something and nothing.

The guest runs apps/bulk.c, whose bytes follow from their place in the stream. Read netns.py and
test_net.py first.
"""
import contextlib
import fcntl
import os
import re
import socket
import struct
import termios
import time

import pytest

from ferrule import BUILD, Guest
from frames import ETHERTYPE_IPV4, GUEST_LINK_LOCAL, GUEST_MAC, TCP, tcp_checksum_good
from netns import GUEST, HOST, STATIC, Network, why_not

TAP = "tap,id=net0,ifname=tap0,script=no,downscript=no,vhost=off"
PERIOD = 65521
PATTERN = bytes(i % 251 for i in range(PERIOD))
SINK, SINK_COMPARING, KEEPER, SOURCE, SOURCE_COPYING = 5009, 5010, 5011, 5019, 5020
ROW, ECHO = 5021, 7
UDP_SEGMENT, SO_RCVBUFFORCE = 103, 33
TRANSFER_TIMEOUT_S = 60


@pytest.fixture(scope="module", autouse=True)
def possible():
    reason = why_not()
    if reason:
        pytest.skip(reason)


def bytes_of(count):
    return (PATTERN * (count // PERIOD + 1))[:count]


def bulk_guest(network, nic="", backend=TAP, words="", **options):
    guest = Guest(
        None,
        backend=backend,
        namespace=network.name,
        words=f"{STATIC} {words}",
        nic=nic,
        kernel=os.path.join(BUILD, "bulk.elf"),
        **options,
    )
    return guest


def ready(guest):
    guest.wait_for(r"bulk: ready")
    guest.wait_for(rf"(?i)eth0: {GUEST_LINK_LOCAL}/64")


def from_guest(network, count, port=SOURCE, address=GUEST, small_buffer=False):
    with network.connect(port, address, TRANSFER_TIMEOUT_S) as stream:
        if small_buffer:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        stream.sendall(b"%d\n" % count)
        received = bytearray()
        while part := stream.recv(1 << 20):
            received += part
    assert len(received) == count
    assert bytes(received) == bytes_of(count)


def to_guest(network, count, address=GUEST):
    with network.connect(SINK_COMPARING, address, TRANSFER_TIMEOUT_S) as stream:
        stream.sendall(bytes_of(count))
        stream.shutdown(socket.SHUT_WR)
        assert stream.recv(100) == b"ok %d\n" % count


def counters(guest):
    """What the console's `net` command says: large frames received, sent, and cut by the stack."""
    text = guest.command_output("net", r"lwip: tcp received")
    received = re.search(r"eth0: received \d+ frames \((\d+) large\)", text)
    sent = re.search(r"eth0: sent \d+ frames \((\d+) large, (\d+) cut here\)", text)
    return int(received[1]), int(sent[1]), int(sent[2])


@pytest.mark.parametrize(
    "nic, large_in, large_out",
    [
        ("", True, True),
        ("host_tso4=off,host_tso6=off", True, False),
        ("csum=off,guest_csum=off", False, False),
        ("mrg_rxbuf=off,indirect_desc=off", False, True),
        ("packed=on", True, True),
        ("host_tso4=off,host_tso6=off,tx_queue_size=256,indirect_desc=off", True, False),
    ],
)
def test_bulk_both_ways(nic, large_in, large_out):
    """Megabytes both ways over IPv4 and IPv6, with a copy and without: the same bytes arrive,
    whoever makes segments of them.

    covers: NET-TX-5 NET-TX-6 NET-TX-24 NET-TX-26 NET-RX-1 NET-RXPROC-4
    """
    with Network() as network, bulk_guest(network, nic) as guest:
        ready(guest)
        for address in (GUEST, f"{GUEST_LINK_LOCAL}%tap0"):
            from_guest(network, 3_000_001, SOURCE, address)
            from_guest(network, 1_000_001, SOURCE_COPYING, address)
            to_guest(network, 3_000_001, address)
        received, sent, cut = counters(guest)
        assert (received > 0) == large_in
        assert (sent > 0) == large_out
        assert (cut > 0) != large_out
        guest.power_off()


def test_large_receive_off_and_on():
    """The console has the device deliver large frames, or none, while it runs.

    covers: NET-OFFLOADS-1
    """
    with Network() as network, bulk_guest(network, "") as guest:
        ready(guest)
        grown, last = [], 0
        for state in ("off", "on"):
            guest.type(f"net large eth0 {state}")
            guest.wait_for(r"frames (may be large|are no larger)", new=True)
            to_guest(network, 2_000_001)
            large = counters(guest)[0]
            grown.append(large - last)
            last = large
        assert grown[0] == 0 and grown[1] > 10, grown
        guest.type("net large eth7 off")
        guest.wait_for("no such NIC", new=True)
        guest.power_off()


def fill(streams, until):
    """Sends on all connections, as far as they take it."""
    data, deadline = bytes_of(1 << 20), time.monotonic() + TRANSFER_TIMEOUT_S
    while not until():
        assert time.monotonic() < deadline
        for stream in streams:
            with contextlib.suppress(BlockingIOError):
                stream.send(data)
        time.sleep(0.05)


def test_large_receive_stops_while_memory_is_short():
    """Peers fill the guest's memory with what nobody reads: large frames, which need large pieces of
    it, are not asked for until they have gone.

    covers: NET-OFFLOADS-1
    """
    with Network() as network, bulk_guest(network, memory="32M") as guest:
        ready(guest)
        streams = [network.connect(KEEPER) for _ in range(30)]
        for stream in streams:
            stream.setblocking(False)
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        fill(streams, lambda: "large receive stops, memory is short" in guest.log())
        network.ping(GUEST)
        for stream in streams:
            stream.close()
        guest.wait_for("large receive is back", timeout_s=TRANSFER_TIMEOUT_S)
        before = counters(guest)[0]
        to_guest(network, 1_000_001)
        assert counters(guest)[0] > before
        guest.power_off()


def udp_client(network, address):
    """A socket inside the network that is connected to the guest."""
    host, port = address

    def make():
        family, _, _, _, found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        client = socket.socket(family, socket.SOCK_DGRAM)
        client.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        client.settimeout(TRANSFER_TIMEOUT_S)
        client.connect(found)
        return client

    return network.inside(make)


@pytest.mark.parametrize("nic", ["", "host_ufo=off", "packed=on,guest_ufo=off"])
def test_large_datagrams(nic):
    """A datagram beyond the MTU comes back whole, whoever makes fragments of the answer.

    covers: NET-TX-7 NET-TX-23 NET-TX-24
    """
    with Network() as network, bulk_guest(network, nic) as guest:
        ready(guest)
        for address in (GUEST, f"{GUEST_LINK_LOCAL}%tap0"):
            with udp_client(network, (address, ECHO)) as client:
                for length in (1472, 1473, 1481, 8000, 20001):
                    client.send(bytes_of(length))
                    assert client.recv(65536) == bytes_of(length)
        assert (counters(guest)[1] > 0) == ("host_ufo=off" not in nic)
        guest.power_off()


def test_rows_of_datagrams():
    """Datagrams that the guest sends in a row arrive one by one, and those that the host sends in a
    row are answered one by one; in one frame where QEMU has USO (version 10).

    covers: NET-TX-8 NET-TX-24
    """
    with Network() as network, bulk_guest(network, "") as guest:
        ready(guest)
        for address in (GUEST, f"{GUEST_LINK_LOCAL}%tap0"):
            with udp_client(network, (address, ROW)) as client:
                for count, size in ((60001, 1400), (60000, 1000), (20000, 200), (3000, 1473)):
                    before = counters(guest)[1]
                    client.send(b"%d %d" % (count, size))
                    expected = bytes_of(count)
                    for at in range(0, count, size):
                        assert client.recv(65536) == expected[at : at + size]
                    in_one = count <= 64 * size and size < 1473 and "HOST_USO" in guest.log()
                    if size < 1473:
                        assert counters(guest)[1] - before == int(in_one)
            with udp_client(network, (address, ECHO)) as client:
                client.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 1000)
                client.send(bytes_of(30007))
                for at in range(0, 30007, 1000):
                    assert client.recv(65536) == bytes_of(30007)[at : at + 1000]
        assert (counters(guest)[0] > 0) == ("GUEST_USO4" in guest.log())
        guest.power_off()


def payloads(frames):
    """Payload lengths of the TCP/IPv4 segments that the guest sent."""
    lengths = []
    for frame in frames:
        if frame[6:12] != GUEST_MAC or frame[12:14] != ETHERTYPE_IPV4 or frame[23] != TCP:
            continue
        tcp = 14 + (frame[14] & 15) * 4
        lengths.append(14 + struct.unpack("!H", frame[16:18])[0] - tcp - (frame[tcp + 12] >> 4) * 4)
    return lengths


@pytest.mark.parametrize("nic", ["", "host_tso4=off,host_tso6=off", "csum=off"])
@pytest.mark.parametrize("mss", [1460, 600])
def test_segments_on_the_wire(nic, mss):
    """Behind a bridge, whoever has cut them: no segment is larger than the peer's MSS, nearly all
    are as large, and every checksum is right.

    covers: NET-TX-19 NET-TX-20 NET-TX-21 NET-TX-24 NET-TX-25
    """
    count = 400_000
    with Network(bridge=True) as network, bulk_guest(network, nic) as guest:
        network.run(
            "ip", "route", "change", "10.77.0.0/24", "dev", "veth0", "src", HOST, "advmss", str(mss)
        )
        ready(guest)
        with network.capture("veth0") as frames:
            from_guest(network, count)
        results = [tcp_checksum_good(frame) for frame in frames if frame[6:12] == GUEST_MAC]
        assert results.count(False) == 0
        lengths = payloads(frames)
        assert max(lengths) == mss
        assert sum(lengths) >= count
        assert lengths.count(mss) > 0.8 * count / mss
        guest.power_off()


@pytest.mark.parametrize("nic", ["", "packed=on", "disable-modern=on", "rss=on,hash=on"])
def test_queue_pairs(nic):
    """Several queue pairs on a tap with as many: flows spread over the transmit queues, and whatever
    queue the tap chooses is received from. With RSS it is the one that the flow's hash says.

    covers: NET-MQ-1 NET-MQ-3 NET-RX-5 NET-RX-4 NET-RSS-2 LEG-NET-MQ-1
    """
    options = ",".join(filter(None, (nic, "mq=on,vectors=8")))
    with Network(queues=3) as network, bulk_guest(
        network, options, f"{TAP},queues=3", "queues=3"
    ) as guest:
        ready(guest)
        for address in (GUEST, f"{GUEST_LINK_LOCAL}%tap0"):
            for _ in range(10):
                from_guest(network, 200_001, SOURCE, address)
                to_guest(network, 200_001, address)
        report = guest.command_output("virtio", r"loop-report")
        used = dict(re.findall(r"virtio-queue: .* name=(net_[rt]x\d?) .* used=(\d+) ", report))
        assert len(used) == 6, report
        for name in ("net_tx", "net_tx1", "net_tx2"):
            assert int(used[name]) > 0, report
        assert sum(int(used[name]) > 0 for name in ("net_rx", "net_rx1", "net_rx2")) > 1, report
        text = guest.command_output("net", r"lwip: tcp received")
        assert "eth0: 3 queue pairs, by another one than their hash says 0 frames" in text, text
        if "rss=on" in nic:
            guest.require(r"virtio-net accepts .*HASH_REPORT RSS")
        # QEMU 7.2 says that it steers by itself, since the host's kernel does not.
        guest.power_off(quiet="rss=on" not in nic)


def test_large_frames_reach_the_tap():
    """A bulk transfer costs the device few frames: each stands for many segments."""
    count = 3_000_000
    with Network() as network, bulk_guest(network) as guest:
        ready(guest)
        with network.capture("tap0") as frames:
            from_guest(network, count)
        lengths = payloads(frames)
        assert sum(lengths) >= count
        assert max(lengths) > 40_000
        guest.power_off()


@pytest.mark.parametrize("nic", ["", "host_tso4=off,host_tso6=off"])
def test_small_receive_window(nic):
    """A peer whose window is smaller than a large packet gets its bytes all the same, in time."""
    with Network() as network, bulk_guest(network, nic) as guest:
        ready(guest)
        from_guest(network, 300_000, SOURCE, small_buffer=True)
        from_guest(network, 300_000, SOURCE_COPYING, small_buffer=True)
        guest.power_off()


@pytest.mark.parametrize("nic", ["", "host_tso4=off,host_tso6=off"])
def test_loss(nic):
    """Lost segments, which a large packet turns into lost parts of it: every byte arrives."""
    with Network() as network, bulk_guest(network, nic) as guest:
        ready(guest)
        lose = "-p tcp -m statistic --mode random --probability 0.02 -j DROP"
        network.run("iptables", "-A", "INPUT", *lose.split())
        from_guest(network, 500_000)
        to_guest(network, 500_000)
        guest.power_off()


def test_large_frames_are_acknowledged_at_once():
    """Two segments in one frame do not wait for a delayed acknowledgement, which would take 250 ms
    each time.
    """
    rounds, delayed_s = 40, 0.25
    with Network() as network, bulk_guest(network) as guest:
        ready(guest)
        with network.connect(SINK, timeout_s=TRANSFER_TIMEOUT_S) as stream:
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            start = time.monotonic()
            for _ in range(rounds):
                stream.sendall(bytes(2500))
                while struct.unpack("i", fcntl.ioctl(stream, termios.TIOCOUTQ, bytes(4)))[0]:
                    time.sleep(0.001)
            assert time.monotonic() - start < rounds * delayed_s * 0.8
        guest.power_off()


def test_little_memory():
    """A guest with 4 MiB has small windows, and transfers megabytes."""
    with Network() as network, bulk_guest(network, memory="4M") as guest:
        guest.wait_for(r"bulk: ready")
        from_guest(network, 2_000_000)
        to_guest(network, 2_000_000)
        assert not re.search(r"no memory [1-9]", guest.log())
        guest.power_off()
