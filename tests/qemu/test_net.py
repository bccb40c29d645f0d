"""The network as a peer on the wire sees it: a tap interface in a namespace of its own, with the
host's own TCP/IP as peer.

Unlike user networking this offers checksum offload, fragments, IPv6, any MTU, and frames that no
decent peer would send.
"""
import os
import random
import re
import socket
import threading
import time

import pytest

from ferrule import BUILD, Guest, text_of
from frames import (
    ETHERTYPE_ARP,
    ETHERTYPE_IPV4,
    GUEST_LINK_LOCAL as LINK_LOCAL,
    GUEST_MAC,
    NOBODY_MAC,
    TCP,
    arp_request,
    ipv4,
    is_tcp_answer,
    nonsense,
    tcp_checksum_good,
    tcp_syn,
    to_guest,
)
from netns import GUEST, HOST, STATIC, BadCable, Network, why_not
from website import sha256

TAP = "tap,id=net0,ifname=tap0,script=no,downscript=no,vhost=off"


@pytest.fixture(scope="module", autouse=True)
def possible():
    reason = why_not()
    if reason:
        pytest.skip(reason)


def tap_guest(network, disk=None, words=STATIC, **options):
    return Guest(disk, backend=TAP, namespace=network.name, words=words, **options)


def download(network, site, path, folder, address=GUEST):
    """One file by curl from inside the namespace, compared by SHA-256."""
    output = os.path.join(folder, "download")
    child = network.curl(path, output, address=address)
    assert child.wait() == 0, f"curl ended with {child.returncode}"
    with open(output, "rb") as file:
        assert sha256(file.read()) == site.files[path][1], path


def test_static_address(site, tmp_path):
    """ip= gives address, mask and gateway; the guest answers pings of every size, also in
    fragments, and serves.
    """
    with Network() as network, tap_guest(network, site.disk) as guest:
        guest.wait_ready()
        guest.wait_for(rf"eth0: {re.escape(GUEST)}/24 via {re.escape(HOST)}.*\(fixed\)")
        for size in (0, 1, 56, 1471, 1472, 1473, 8000):
            network.ping(GUEST, "-s", str(size), count=2)
        download(network, site, "sizes/65537.bin", tmp_path)
        guest.power_off()


def test_ipv6_link_local(site, tmp_path):
    """IPv6 by the link-local address: pings of every size, and the web server."""
    with Network() as network, tap_guest(network, site.disk) as guest:
        guest.wait_ready()
        guest.wait_for(rf"(?i)eth0: {LINK_LOCAL}/64 \(link-local\)")
        for size in (0, 56, 1452, 1453, 4000):
            network.ping(f"{LINK_LOCAL}%tap0", "-s", str(size), count=2)
        download(network, site, "sizes/65537.bin", tmp_path, address=f"[{LINK_LOCAL}%tap0]")
        guest.power_off()


def test_ipv6_off(site):
    """ip6=off: no IPv6 address, and no answer."""
    with Network() as network, tap_guest(network, site.disk, words=STATIC + " ip6=off") as guest:
        guest.wait_ready()
        network.ping(GUEST)
        with pytest.raises(AssertionError):
            network.run("ping", "-n", "-c", "1", "-W", "2", f"{LINK_LOCAL}%tap0")
        assert not guest.find(r"(?i)fe80::")


def test_ipv6_fixed_address(site, tmp_path):
    """ip6=ADDRESS/LENGTH sets a fixed one beside the link-local one."""
    with Network() as network, tap_guest(
        network, site.disk, words=STATIC + " ip6=fd00:77::2/64"
    ) as guest:
        network.run("ip", "address", "add", "fd00:77::1/64", "dev", "tap0", "nodad")
        guest.wait_ready()
        guest.wait_for(r"(?i)eth0: fd00:77::2/64")
        download(network, site, "sizes/4097.bin", tmp_path, address="[fd00:77::2]")
        guest.power_off()


def dhcp_server(network, folder, *options, dns="10.77.0.53", dns_port=0):
    leases = os.path.join(folder, "leases")
    child = network.start(
        "/usr/sbin/dnsmasq",
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        f"--port={dns_port}",
        "--user=root",
        "--pid-file=",
        f"--interface={network.interface}",
        "--bind-interfaces",
        "--no-ping",
        "--dhcp-authoritative",
        "--dhcp-range=10.77.0.100,10.77.0.150,255.255.255.0,1h",
        f"--dhcp-option=option:dns-server,{dns}",
        f"--dhcp-leasefile={leases}",
        "--log-facility=/dev/null",
        *options,
    )
    return child, leases


@pytest.mark.skipif(not os.path.exists("/usr/sbin/dnsmasq"), reason="needs dnsmasq-base")
def test_dhcp(site, tmp_path):
    """A real DHCP server: the lease is in the log with gateway and DNS server, and the server knows
    the host name.
    """
    with Network() as network:
        _, leases = dhcp_server(network, tmp_path)
        with tap_guest(network, site.disk, words="hostname=anvil") as guest:
            guest.wait_ready()
            line = guest.wait_for(
                r"eth0: (10\.77\.0\.1\d\d)/24 via 10\.77\.0\.1, dns 10\.77\.0\.53 \(DHCP"
            )
            address = text_of(line)
            download(network, site, "sizes/4097.bin", tmp_path, address=address)
            with open(leases, encoding="ascii") as file:
                assert re.search(rf"52:54:00:12:34:56 {re.escape(address)} anvil", file.read())
            guest.power_off()


@pytest.mark.skipif(not os.path.exists("/usr/sbin/dnsmasq"), reason="needs dnsmasq-base")
def test_late_dhcp(site, tmp_path):
    """A DHCP server that comes up after the guest: the log says what is missing, then the address
    arrives all the same.
    """
    with Network() as network, tap_guest(network, site.disk, words="") as guest:
        guest.wait_for(r"eth0: no answer from a DHCP server so far", timeout_s=30)
        dhcp_server(network, tmp_path)
        guest.wait_for(r"eth0: 10\.77\.0\.1\d\d/24", timeout_s=60)
        guest.wait_ready()


@pytest.mark.skipif(not os.path.exists("/usr/sbin/dnsmasq"), reason="needs dnsmasq-base")
def test_names_are_resolved(site, tmp_path):
    """An application resolves names by the server that DHCP named: one that is there, one that is
    not, and an address.
    """
    with Network() as network:
        dhcp_server(
            network,
            tmp_path,
            "--no-resolv",
            "--no-hosts",
            "--local=/test/",
            "--address=/forge.test/10.77.0.99",
            dns="10.77.0.1",
            dns_port=53,
        )
        with tap_guest(
            network,
            site.disk,
            words="-- forge.test anvil.test 10.1.2.3",
            kernel=os.path.join(BUILD, "resolve.elf"),
        ) as guest:
            guest.wait_for(r"resolve: 10\.1\.2\.3 is 10\.1\.2\.3")
            guest.wait_for(r"resolve: forge\.test is 10\.77\.0\.99")
            guest.wait_for(r"resolve: anvil\.test is unknown")
            assert guest.wait_exit() == 0


@pytest.mark.parametrize("mtu, ping_size", [(1400, 1372), (9000, 8972)])
def test_mtu(mtu, ping_size, site, tmp_path):
    """host_mtu= sets the interface's MTU; the largest unfragmented ping passes and files arrive.

    covers: NET-CFG-7 NET-CFG-8 NET-CFG-9 NET-RX-2 NET-RX-3
    """
    with Network(mtu=mtu) as network, tap_guest(network, site.disk, nic=f"host_mtu={mtu}") as guest:
        guest.wait_ready()
        guest.require(rf"eth0: .* mtu {mtu},")
        network.ping(GUEST, "-M", "do", "-s", str(ping_size))
        download(network, site, "sizes/65537.bin", tmp_path)
        guest.power_off()


@pytest.mark.parametrize(
    "nic",
    [
        "mrg_rxbuf=off",
        "mrg_rxbuf=off,host_mtu=9000",
        "csum=off",
        "guest_csum=off",
        "csum=off,guest_csum=off",
        "gso=off,guest_tso4=off,guest_tso6=off,guest_ufo=off",
    ],
)
def test_offers_of_tap(nic, large_site, tmp_path):
    """A tap offers checksums and more; without each of them the same bytes arrive.

    covers: NET-TX-3 NET-TX-4 NET-RXPROC-6 NET-FEATDEP-1 NET-RX-2
    """
    mtu = 9000 if "9000" in nic else 1500
    with Network(mtu=mtu) as network, tap_guest(network, large_site.disk, nic=nic) as guest:
        guest.wait_ready()
        guest.require("checksum by " + ("software" if re.match("csum=off", nic) else "device"))
        download(network, large_site, "large/1mb.bin", tmp_path)
        network.ping(GUEST, "-s", "8000")
        guest.power_off()


def test_link_off_and_on(large_site, tmp_path):
    """The cable is pulled and put back during a download: two log lines, and every byte arrives.

    covers: NET-CFG-6 CORE-T-CFGINT-1
    """
    with Network() as network, tap_guest(network, large_site.disk) as guest:
        guest.wait_ready()
        output = tmp_path / "file"
        child = network.curl("large/20mb.bin", output, "--limit-rate", "10M")
        time.sleep(0.5)
        guest.qmp("set_link", name="net0", up=False)
        guest.wait_for(r"eth0: link down")
        time.sleep(0.5)
        guest.qmp("set_link", name="net0", up=True)
        guest.wait_for(r"eth0: link up", new=True)
        assert child.wait() == 0
        assert sha256(output.read_bytes()) == large_site.files["large/20mb.bin"][1]
        assert len(re.findall(r"eth0: link down", guest.log())) == 1
        guest.power_off()


def test_link_down_at_start(site, tmp_path):
    """A guest that starts with the cable out says so, and takes its address when it is put in."""
    with Network() as network, tap_guest(network, site.disk, arguments=["-S"]) as guest:
        guest.qmp("set_link", name="net0", up=False)
        guest.qmp("cont")
        guest.wait_started()
        guest.require(r"eth0: .*link down")
        guest.qmp("set_link", name="net0", up=True)
        guest.wait_for(r"eth0: link up")
        download(network, site, "sizes/513.bin", tmp_path)
        guest.power_off()


@pytest.mark.parametrize("address", [GUEST, f"[{LINK_LOCAL}%veth0]"])
@pytest.mark.parametrize("nic", ["", "csum=off"])
def test_checksums_on_the_wire(nic, address, site, tmp_path):
    """Behind a bridge that completes what was left to the device, every TCP checksum is right, by
    device or by software.

    covers: NET-TX-19 NET-TX-20 NET-TX-21 NET-TX-22 NET-TX-2
    """
    with Network(bridge=True) as network, tap_guest(network, site.disk, nic=nic) as guest:
        guest.wait_ready()
        if address != GUEST:
            guest.wait_for(rf"(?i)eth0: {LINK_LOCAL}")
        frames, stop = [], threading.Event()
        with network.packet_socket("veth0") as wire:
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
            wire.settimeout(0.2)

            def listen():
                while not stop.is_set():
                    try:
                        frames.append(wire.recv(65536))
                    except TimeoutError:
                        pass

            listener = threading.Thread(target=listen)
            listener.start()
            try:
                download(network, site, "sizes/65537.bin", tmp_path, address)
                download(network, site, "sizes/1.bin", tmp_path, address)
            finally:
                stop.set()
                listener.join()
        results = [tcp_checksum_good(frame) for frame in frames if frame[6:12] == GUEST_MAC]
        assert results.count(True) > 20
        assert results.count(False) == 0
        guest.power_off()


def test_receive_checksums(site, tmp_path):
    """A segment with a wrong checksum is not answered, though a tap vouches for the host's own; a
    right one is.

    covers: NET-RXPROC-3 NET-RXPROC-6
    """
    with Network() as network, tap_guest(network, site.disk) as guest:
        guest.wait_ready()
        network.ping(GUEST)
        with network.packet_socket("tap0") as wire:
            for good, port in ((False, 40000), (True, 40001)):
                wire.send(
                    to_guest(
                        ETHERTYPE_IPV4, ipv4(HOST, GUEST, TCP, tcp_syn(HOST, GUEST, port, 1, good))
                    )
                )
            while not is_tcp_answer(frame := wire.recv(2000), 40001):
                assert not is_tcp_answer(frame, 40000)
        download(network, site, "sizes/513.bin", tmp_path)
        guest.power_off()


@pytest.mark.parametrize("nic", ["", "mrg_rxbuf=off", "guest_csum=off,csum=off"])
def test_garbage_frames(nic, large_site, tmp_path):
    """Twenty thousand malformed frames during a download: every byte arrives, and the guest is as
    well as before.

    covers: NET-RXPROC-1 NET-RXPROC-5 NET-T-CTRL-2
    """
    source = random.Random(7)
    with Network() as network, tap_guest(network, large_site.disk, nic=nic) as guest:
        guest.wait_ready()
        output = tmp_path / "file"
        child = network.curl("large/20mb.bin", output, "--limit-rate", "8M")
        with network.packet_socket("tap0") as wire:
            for _ in range(20000):
                try:
                    wire.send(nonsense(source))
                except OSError:
                    time.sleep(0.001)
        assert child.wait() == 0, guest.tail()
        assert sha256(output.read_bytes()) == large_site.files["large/20mb.bin"][1]
        network.ping(GUEST)
        download(network, large_site, "sizes/65537.bin", tmp_path)
        assert not guest.find(r"panic|broken"), guest.tail()
        guest.power_off()


def test_frames_of_any_length(site):
    """Broadcast frames of all lengths from the least to the largest, runts among them, do no harm."""
    with Network() as network, tap_guest(network, site.disk) as guest:
        guest.wait_ready()
        with network.packet_socket("tap0") as wire:
            for length in range(14, 1515):
                wire.send((b"\xff" * 6 + b"\x02" * 6 + b"\x08\x00" + b"\x45" * 1500)[:length])
        network.ping(GUEST)
        guest.power_off()


def test_cut_arp(site, tmp_path):
    """ARP frames that end early change nothing: not even with the rest of an earlier, good one."""
    with Network() as network, tap_guest(network, site.disk) as guest:
        guest.wait_ready()
        network.ping(GUEST)
        link = network.run("ip", "link", "show", "tap0")
        mac = bytes.fromhex(re.search(r"link/ether ([0-9a-f:]+)", link).group(1).replace(":", ""))
        good = to_guest(ETHERTYPE_ARP, arp_request(mac, HOST, GUEST), mac)
        wrong = to_guest(ETHERTYPE_ARP, arp_request(NOBODY_MAC, HOST, GUEST))
        with network.packet_socket("tap0") as wire:
            for length in range(14, len(good)):
                # Two rounds over all receive buffers: good frames, then the beginnings of wrong ones.
                for frame in [good] * 256 + [wrong[:length]] * 256:
                    wire.send(frame)
                network.ping(GUEST, "-W", "1", count=1)
        download(network, site, "sizes/513.bin", tmp_path)
        guest.power_off()


CABLES = {
    "losing": dict(lose=0.01),
    "repeating": dict(repeat=0.1),
    "reordering": dict(delay=0.1),
    "damaging": dict(damage=0.01),
    "everything": dict(lose=0.01, repeat=0.05, delay=0.05, damage=0.01),
}


@pytest.mark.parametrize("name", CABLES)
def test_bad_cable(name, large_site, tmp_path):
    """A cable that loses, repeats, reorders or damages frames makes a download slow, but never
    wrong.
    """
    with Network() as network, BadCable(network, 9, **CABLES[name]) as cable:
        with Guest(
            large_site.disk, backend=cable.backend, words=STATIC, pass_fds=[cable.fileno()]
        ) as guest:
            guest.wait_ready()
            download(network, large_site, "large/1mb.bin", tmp_path)
            download(network, large_site, "sizes/65537.bin", tmp_path)
            print(cable.counts)
            assert cable.counts["passed"] > 500
            guest.power_off()
