"""The machine's name by mDNS, name and time servers by stateless DHCPv6, and the wall clock by SNTP,
with dnsmasq, an NTP server of the test's own and questions to the group.

Read netns.py first.
"""
import os
import socket
import struct
import threading

import pytest

from ferrule import BUILD, Guest
from netns import GUEST, HOST, STATIC, Network, why_not

TAP = "tap,id=net0,ifname=tap0,script=no,downscript=no,vhost=off"
SERVICES = os.path.join(BUILD, "services.elf")
MDNS = ("224.0.0.251", 5353)
NTP_EPOCH = 2208988800
# 2031-05-06 07:08:09 UTC, which no clock here shows.
NOON = 1935817689
TYPE_A, CLASS_IN, UNICAST_WANTED = 1, 1, 0x8000


@pytest.fixture(scope="module", autouse=True)
def possible():
    reason = why_not()
    if reason:
        pytest.skip(reason)


class TimeServer:
    """Answers NTP requests on both families with the time NOON, and first with one lie each: an
    answer that repeats something else, one that is cut, and one with a zero time.
    """

    def __init__(self, network):
        def bind():
            made = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            made.bind(("::", 123))
            made.settimeout(0.2)
            return made

        self.clients = []
        self._socket = network.inside(bind)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        self._socket.close()

    @staticmethod
    def _answer(request, seconds):
        now = struct.pack(">II", (seconds + NTP_EPOCH) % 2**32, 0)
        return bytes([0x24, 1, 6, 0xEC]) + bytes(8) + b"LOCL" + now + request[40:48] + now + now

    def _serve(self):
        while not self._stop.is_set():
            try:
                request, client = self._socket.recvfrom(1000)
            except TimeoutError:
                continue
            if len(request) != 48 or request[0] & 7 != 3:
                continue
            self.clients.append(client[0])
            good = self._answer(request, NOON)
            if len(self.clients) == 1:
                self._socket.sendto(self._answer(bytes(48), 5), client)
                self._socket.sendto(good[:20], client)
            else:
                self._socket.sendto(good, client)


def mdns_question(name):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return (
        struct.pack(">HHHHHH", 0x4242, 0, 1, 0, 0, 0)
        + labels
        + struct.pack(">BHH", 0, TYPE_A, CLASS_IN)
    )


def ask(network, name, timeout_s, attempts=1):
    """Asks the group from another port than 5353, which is answered to the asker itself."""

    def make():
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(HOST))
        made.bind((HOST, 0))
        return made

    asker = network.inside(make)
    asker.settimeout(timeout_s)
    with asker:
        for _ in range(attempts):
            asker.sendto(mdns_question(name), MDNS)
            try:
                return asker.recvfrom(2000)
            except TimeoutError:
                pass
    return None


def test_name_by_mdns():
    """The name is probed for and then answered for, in any case of letters; other names are not,
    and questions that are cut or damaged leave the responder well.
    """
    with Network() as network, Guest(
        backend=TAP, namespace=network.name, words=f"{STATIC} hostname=anvil.example"
    ) as guest:
        guest.wait_for(r"eth0: answers to mDNS for anvil\.local", timeout_s=30)
        answer, sender = ask(network, "anvil.local", 5, attempts=4)
        assert sender == (GUEST, 5353)
        assert socket.inet_aton(GUEST) in answer and answer[:2] == b"\x42\x42"
        assert ask(network, "Anvil.LOCAL", 5, attempts=4)
        assert ask(network, "hammer.local", 1) is None
        question = mdns_question("anvil.local")

        def damage():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.setsockopt(
                    socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(HOST)
                )
                for length in range(len(question)):
                    sender.sendto(question[:length], MDNS)
                loop = question[:12] + b"\xc0\x0c" + question[-4:]
                for text in (loop, question[:6] + b"\xff" * 6 + question[12:], b"\xff" * 1400):
                    sender.sendto(text, MDNS)

        network.inside(damage)
        assert ask(network, "anvil.local", 5, attempts=4)
        guest.power_off()


def test_wall_clock_by_ntp():
    """A server given by its address sets the wall clock; answers to something that was not asked
    and cut ones do not.
    """
    with Network() as network, TimeServer(network) as server, Guest(
        backend=TAP, namespace=network.name, words=f"{STATIC} ip6=off ntp={HOST}"
    ) as guest:
        found = guest.wait_for(r"ntp: the wall clock is (\d+) s after 1970", timeout_s=40)
        assert NOON <= int(found.group(1)) < NOON + 60
        assert len(server.clients) >= 2
        guest.power_off()


@pytest.mark.skipif(not os.path.exists("/usr/sbin/dnsmasq"), reason="needs dnsmasq-base")
def test_servers_by_dhcpv6(tmp_path):
    """Stateless DHCPv6: a router says that there is more to ask for, and the time server that the
    answer names is used, over IPv6.
    """
    log = tmp_path / "log"
    with Network() as network, TimeServer(network) as server:
        # The host has this address only, so that answers come from where questions went.
        network.run("sh", "-c", "echo 0 >/proc/sys/net/ipv6/conf/tap0/accept_ra")
        network.run("ip", "address", "add", "fd00:77::1/64", "dev", "tap0", "nodad")
        network.start(
            "/usr/sbin/dnsmasq",
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--port=0",
            "--user=root",
            "--pid-file=",
            "--interface=tap0",
            "--bind-interfaces",
            "--enable-ra",
            "--dhcp-range=fd00:77::,ra-stateless",
            "--dhcp-option=option6:31,[fd00:77::1]",
            "--log-dhcp",
            f"--log-facility={log}",
        )
        with Guest(
            backend=TAP, namespace=network.name, words="ip=off ntp=dhcp", kernel=SERVICES
        ) as guest:
            guest.wait_for(r"(?i)eth0: fd00:77::5054:ff:fe12:3456/64 \(router", timeout_s=60)
            guest.wait_for(r"ntp: the wall clock is \d+ s after 1970", timeout_s=60)
            assert server.clients[-1].startswith("fd00:77::")
            assert "DHCPINFORMATION-REQUEST" in log.read_text()
            guest.power_off()

