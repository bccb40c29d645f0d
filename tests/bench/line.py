"""How the host reaches a guest: by a tap interface in a network namespace, or by QEMU's user networking.

Owns addresses, ports, and what must be said to QEMU and to the guest about them. User networking needs no root, but
passes no ping and takes its time from QEMU's own thread. The namespace is tests/qemu/netns.py's. Read next: machine.py.
"""

import json
import socket
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "qemu"))
import netns

HTTP, ECHO, DISCARD, CHARGEN, IPERF, BLK_LOAD = 80, 7, 9, 19, 5201, 7000


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(type=kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class UserLine:
    """QEMU's user networking with forwarded ports; a new object for every machine."""

    name = "user networking"
    command = []  # what goes in front of a program that talks to the guest
    guest_address, gateway = "10.0.2.15", "10.0.2.2"
    nic = ""  # options of the card

    def __init__(self, tcp=(HTTP,), udp=()):
        self.ports = {port: free_port() for port in tcp}
        self.udp_ports = {port: free_port(socket.SOCK_DGRAM) for port in udp}
        forwards = [f",hostfwd=tcp:127.0.0.1:{outside}-:{inside}" for inside, outside in self.ports.items()]
        forwards += [f",hostfwd=udp:127.0.0.1:{outside}-:{inside}" for inside, outside in self.udp_ports.items()]
        self.netdev = "user,id=net0" + "".join(forwards)

    def address(self, port):
        return "127.0.0.1", self.ports[port]

    def udp_address(self, port):
        return "127.0.0.1", self.udp_ports[port]

    def connect(self, port, limit_s):
        return socket.create_connection(self.address(port), limit_s)

    def udp_socket(self):
        return socket.socket(type=socket.SOCK_DGRAM)

    def packets(self):
        """Nobody counts them here."""
        return None


class TapLine:
    """tap0 of a namespace, for one machine after the other. The namespace must have been made for so many queues."""

    name = "a tap interface"
    guest_address, gateway = netns.GUEST, netns.HOST

    def __init__(self, network, queues=1):
        self.network = network
        self.command = ["ip", "netns", "exec", network.name]
        self.netdev = "tap,id=net0,ifname=tap0,script=no,downscript=no,vhost=off"
        self.nic = ""
        if queues > 1:
            self.netdev += f",queues={queues}"
            self.nic = f",mq=on,vectors={2 * queues + 2}"

    def address(self, port):
        return self.guest_address, port

    udp_address = address

    def connect(self, port, limit_s):
        return self.network.connect(port, self.guest_address, limit_s)

    def udp_socket(self):
        return self.network.inside(lambda: socket.socket(type=socket.SOCK_DGRAM))

    def packets(self):
        """How many frames tap0 has carried in both directions; one that is cut later counts once."""
        found = json.loads(self.network.run("ip", "-json", "-statistics", "link", "show", "tap0"))
        return sum(found[0]["stats64"][way]["packets"] for way in ("rx", "tx"))
