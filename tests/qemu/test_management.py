"""The services for those who watch machines: the SNMP agent, with net-snmp as the station, and the
MQTT client, with mosquitto as the broker. Read netns.py first.
"""
import contextlib
import os
import shutil
import socket
import time

import pytest

from ferrule import BUILD, Guest
from netns import GUEST, HOST, STATIC, Network, NetworkError, why_not

TAP = "tap,id=net0,ifname=tap0,script=no,downscript=no,vhost=off"
SERVICES = os.path.join(BUILD, "services.elf")
MOSQUITTO = "/usr/sbin/mosquitto"


@pytest.fixture(scope="module", autouse=True)
def possible():
    reason = why_not()
    if reason:
        pytest.skip(reason)


def guest_of(network, words):
    return Guest(kernel=SERVICES, backend=TAP, namespace=network.name, words=f"{STATIC} {words}")


@pytest.mark.skipif(not shutil.which("snmpget"), reason="needs snmp")
def test_snmp():
    """Both versions read the name, a walk comes to its end and sees the interface, a wrong
    community and a write are refused, and the agent outlives damaged messages.
    """
    with Network() as network, guest_of(network, "hostname=anvil community=forge -- snmp") as guest:
        guest.wait_for("ready: services")

        def station(program, version, community, *arguments):
            return network.run(
                program, "-v", version, "-c", community, "-t", "5", "-r", "1", "-On", GUEST, *arguments
            )

        for version in ("1", "2c"):
            assert "anvil" in station("snmpget", version, "forge", "1.3.6.1.2.1.1.5.0")
        walk = station("snmpwalk", "2c", "forge", "1.3.6.1.2.1")
        assert "52 54 00 12 34 56" in walk.upper() and walk.count("\n") > 50
        with pytest.raises(NetworkError):
            station("snmpget", "2c", "public", "1.3.6.1.2.1.1.5.0")
        for community in ("forge", "private", ""):
            with pytest.raises(NetworkError):
                station("snmpset", "2c", community, "1.3.6.1.2.1.1.4.0", "s", "x")
        damage = (
            "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
            "m = bytes.fromhex('302602010104' + '05666f726765' + 'a01a02010102010002010030"
            "0f300d06092b06010201010500' + '0500')\n"
            f"for n in range(len(m)): s.sendto(m[:n], ('{GUEST}', 161))\n"
            f"for n in range(len(m)): s.sendto(m[:n] + b'\\xff' + m[n + 1:], ('{GUEST}', 161))\n"
        )
        network.run("python3", "-c", damage)
        assert "anvil" in station("snmpget", "2c", "forge", "1.3.6.1.2.1.1.5.0")
        guest.power_off()


@pytest.mark.skipif(not os.path.exists(MOSQUITTO), reason="needs mosquitto")
def test_mqtt(tmp_path):
    """The topic says that the machine is up, over a broker that comes late, and down when it is
    gone.
    """
    config = tmp_path / "config"
    config.write_text(f"listener 1884 {HOST}\nallow_anonymous true\nuser root\n")

    def messages(count):
        command = ["mosquitto_sub", "-h", HOST, "-p", "1884", "-t", "ferrule/anvil"]
        return network.run(*command, "-C", str(count), "-W", "25")

    with Network() as network:
        with guest_of(network, f"hostname=anvil mqtt={HOST}:1884 -- mqtt") as guest:
            guest.wait_for("mqtt: no connection", timeout_s=30)
            network.start(MOSQUITTO, "-c", str(config))
            guest.wait_for("mqtt: connected", timeout_s=40)
            assert messages(1).startswith("up ")
            guest.qmp("quit")
        # The one that the broker keeps, and what it says itself after 15 s of silence.
        assert messages(2).splitlines()[1] == "down"


def test_mqtt_bad_length():
    """A broker whose message begins with a length without end loses the client, which lives on and
    takes a good message in pieces.
    """
    with Network() as network:
        listener = network.inside(lambda: socket.create_server((HOST, 1884)))
        listener.settimeout(30)

        def accept():
            stream, _ = listener.accept()
            stream.settimeout(20)
            assert stream.recv(1000)[0] == 0x10
            stream.sendall(bytes((0x20, 2, 0, 0)))
            assert stream.recv(1000)[0] & 0xF0 == 0x30  # the client publishes
            return stream

        with listener, guest_of(network, f"hostname=anvil mqtt={HOST}:1884 -- mqtt") as guest:
            for bad in (b"\x30" + b"\xff" * 1000, b"\xd0\x00\x30\x80\x80\x80\x80\x01"):
                with accept() as stream:
                    stream.sendall(bad)
                    guest.wait_for("mqtt: the broker sends a length that is none", new=True)
                    with contextlib.suppress(ConnectionResetError):
                        while stream.recv(1000):
                            pass
            with accept() as stream:
                # A good message of 300 bytes in pieces, and a ping's answer.
                good = (b"\x30", b"\xac", b"\x02\0\1t" + bytes(100), bytes(197), b"\xd0", b"\0")
                for piece in good:
                    stream.sendall(piece)
                    time.sleep(0.05)
                stream.sendall(b"\x30\xff\xff")
                time.sleep(0.2)
                assert guest.log().count("a length that is none") == 2
                stream.sendall(b"\xff\xff")
                guest.wait_for("mqtt: the broker sends a length that is none", new=True)
            guest.power_off()
