"""The small services echo, discard and chargen, with real clients: TCP and UDP, IPv4 and IPv6, in
bulk, and with peers that stall, reset or come in crowds.
"""
import os
import random
import re
import socket
import subprocess
import time

import pytest

from ferrule import BUILD, Guest
from netns import GUEST, GUEST6, HOST, STATIC, BadCable
from streams import TIMEOUT_S, receive, send_until_stopped, talk
from website import sha256

TAP = "tap,id=net0,ifname=tap0,script=no,downscript=no,vhost=off"
ECHO, DISCARD, CHARGEN = 7, 9, 19
DNSMASQ = "/usr/sbin/dnsmasq"
STRANGER = "10.77.0.9"
BULK = int(os.environ.get("SERVICES_BULK_MB", "8")) << 20

LINE, CHARACTERS = 72, 95
PERIOD = b"".join(
    bytes(32 + (line + i) % CHARACTERS for i in range(LINE)) + b"\r\n" for line in range(CHARACTERS)
)


@pytest.fixture(scope="module")
def guest(network):
    with Guest(
        kernel=os.path.join(BUILD, "services.elf"),
        backend=TAP,
        namespace=network.name,
        words=f"{STATIC} ip6={GUEST6}/64",
    ) as made:
        made.wait_for("ready: services")
        made.wait_for(f"(?i)eth0: {GUEST6}/64")
        yield made
        made.power_off()


@pytest.fixture(params=[GUEST, GUEST6], ids=["ipv4", "ipv6"])
def address(request, guest):
    return request.param


def connect(network, port, address=GUEST):
    return network.connect(port, address, TIMEOUT_S)


def chargen(size, start=0):
    start %= len(PERIOD)
    return (PERIOD * (size // len(PERIOD) + 2))[start : start + size]


def rate(what, size, begin):
    print(f"{what}: {size / (time.monotonic() - begin) / 1e6:.1f} MB/s")


def test_echo(network, address):
    """Bulk through echo comes back bit by bit, and the half that we close is closed in return."""
    data = random.Random(1).randbytes(BULK)
    begin = time.monotonic()
    with connect(network, ECHO, address) as client:
        assert talk(client, data) == data
    rate("echo", BULK, begin)


def test_echo_small_pieces(network, guest):
    """Many small segments: each is its own packet, none is lost, and the connection goes on."""
    random_source = random.Random(2)
    data = random_source.randbytes(40000)
    with connect(network, ECHO) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(data), 40):
            client.send(data[at : at + 40])
        assert receive(client, len(data)) == data
        for _ in range(20):
            client.send(b"ping")
            assert receive(client, 4) == b"ping"


def test_echo_slow_reader(network, guest):
    """A peer that sends and does not read stops the sender; when it reads again, all is there."""
    data = random.Random(3).randbytes(4 << 20)
    with connect(network, ECHO) as client, connect(network, ECHO) as other:
        sent = send_until_stopped(client, data)
        other.send(b"others go on")
        assert receive(other, 12) == b"others go on"
        client.setblocking(True)
        client.settimeout(TIMEOUT_S)
        assert receive(client, sent) == data[:sent]


def test_discard(network, address):
    """Bulk into discard: it takes everything, answers nothing, and closes when we do."""
    data = random.Random(4).randbytes(BULK)
    begin = time.monotonic()
    with connect(network, DISCARD, address) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
    rate("discard", BULK, begin)


def test_chargen(network, address):
    """Bulk out of chargen: the pattern of RFC 864 without a gap."""
    begin = time.monotonic()
    with connect(network, CHARGEN, address) as client:
        data = receive(client, BULK)
    rate("chargen", BULK, begin)
    assert data == chargen(BULK)


def test_chargen_half_closed(network, guest):
    """chargen ends when its reader closes, with a part of the pattern and no reset."""
    with connect(network, CHARGEN) as client:
        begun = receive(client, 1000)
        client.shutdown(socket.SHUT_WR)
        rest = b""
        while part := client.recv(65536):
            rest += part
    assert begun + rest == chargen(1000 + len(rest))


def test_datagrams(network, address):
    """UDP: echo answers each datagram with the same, also in fragments; discard never; chargen with
    up to 512 characters.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with network.inside(lambda: socket.socket(family, socket.SOCK_DGRAM)) as client:
        client.settimeout(10)
        for size in (0, 1, 100, 1472, 4000, 20000):
            data = random.Random(size).randbytes(size)
            client.sendto(data, (address, ECHO))
            assert client.recvfrom(65536)[0] == data, size
        lengths = set()
        for _ in range(20):
            client.sendto(b"x", (address, CHARGEN))
            data = client.recvfrom(65536)[0]
            assert len(data) <= 512 and data in PERIOD * 2
            lengths.add(len(data))
        assert len(lengths) > 5
        client.sendto(b"x" * 1000, (address, DISCARD))
        client.settimeout(0.5)
        with pytest.raises(TimeoutError):
            client.recv(1)


def test_no_endless_talk(network, guest):
    """A datagram that seems to come from another such service gets no answer."""

    def make():
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind(("0.0.0.0", CHARGEN))
        made.settimeout(0.5)
        return made

    with network.inside(make) as client:
        for port in (ECHO, CHARGEN):
            client.sendto(b"hello", (GUEST, port))
            with pytest.raises(TimeoutError):
                client.recv(1)


def test_crowd_and_resets(network, guest):
    """Sixty connections at once, of which half are reset in the middle; the others get theirs, and
    memory comes back.
    """
    clients = [connect(network, port) for port in (ECHO, CHARGEN, DISCARD) for _ in range(20)]
    for at, client in enumerate(clients):
        if at < 20 or at >= 40:
            client.send(b"x" * 10000)
    for client in clients[::2]:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
    for at, client in enumerate(clients):
        if at % 2 and at < 20:
            assert receive(client, 10000) == b"x" * 10000
        elif at % 2 and at < 40:
            assert receive(client, 300000) == chargen(300000)
    for client in clients[1::2]:
        client.close()
    with connect(network, ECHO) as client:
        client.send(b"still here")
        assert receive(client, 10) == b"still here"


def test_ncat(network, guest):
    """The usual client: ncat sends a file through echo and gets it back."""
    data = random.Random(5).randbytes(1 << 20)
    done = subprocess.run(
        ["ip", "netns", "exec", network.name, "ncat", GUEST, str(ECHO)],
        input=data,
        stdout=subprocess.PIPE,
        timeout=TIMEOUT_S,
        check=True,
    )
    assert done.stdout == data


def test_beside_the_web_server(site):
    """services= starts those that it names beside the web server, and complains of others."""
    forwards = "user,id=net0,hostfwd=tcp:127.0.0.1:0-:80,hostfwd=tcp:127.0.0.1:0-:7"
    with Guest(site.disk, backend=forwards, words="services=echo,nonsense,discard") as guest:
        guest.wait_ready()
        guest.require(
            "services: echo on port 7",
            "services: nonsense is none of echo,discard,chargen",
            "services: discard on port 9",
        )
        assert not guest.find("services: chargen on")
        ports = guest.forwarded_ports()
        guest.port = ports[80]
        assert guest.get("/").status == 200
        with socket.create_connection(("127.0.0.1", ports[7]), TIMEOUT_S) as client:
            assert talk(client, b"hello") == b"hello"
        guest.power_off()


def test_iperf_and_tftp(own_network, site, tmp_path):
    """lwIP's servers for iperf 2 and TFTP, each with the usual client."""
    network = own_network
    words = f"{STATIC} services=iperf,tftp"
    with Guest(site.disk, backend=TAP, namespace=network.name, words=words) as guest:
        guest.wait_ready()
        text = network.run("iperf", "-c", GUEST, "-n", "4M", timeout_s=TIMEOUT_S)
        assert "MBytes" in text, text
        guest.wait_for(r"iperf: \S+ port \d+: \d{7,} bytes in \d+ ms")
        output = tmp_path / "got"
        network.run("tftp", GUEST, "-m", "binary", "-c", "get", "index.html", str(output))
        assert output.read_bytes() == guest_file(network, tmp_path, "index.html")
        refused = network.run("tftp", GUEST, "-m", "binary", "-c", "put", str(output), "new.html")
        assert "rror" in refused
        guest.power_off()


def test_tftp_on_a_bad_line(own_network, site, tmp_path):
    """Requests, blocks and acknowledgements that come twice or get lost; packets shorter than their
    header; and more requests at once than there are timers.
    """
    words = f"{STATIC} services=tftp"
    network = own_network
    with BadCable(network, 5, lose=0.005, repeat=0.3) as cable, Guest(
        site.disk, backend=cable.backend, words=words, pass_fds=[cable.fileno()]
    ) as guest:
        guest.wait_ready()
        client = network.inside(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        client.connect((GUEST, 69))
        for number in range(200):
            client.send(b"\0\1none\0octet\0")
            client.send(b"\0\1\0\3"[: number % 4])
        client.close()
        output = tmp_path / "got"
        for name in ("sizes/65537.bin", "index.html"):
            command = ("-m", "binary", "-c", "get", name, str(output))
            network.run("tftp", GUEST, *command, timeout_s=TIMEOUT_S)
            assert sha256(output.read_bytes()) == site.files[name][1]
        assert cable.counts["repeated"] > 50 and not guest.find("timeouts")
        guest.power_off()


@pytest.fixture
def tftp_server(own_network, tmp_path):
    """A server in the namespace, and the folder whose files it gives away."""
    if not os.path.exists(DNSMASQ):
        pytest.skip("needs dnsmasq-base")
    folder = tmp_path / "tftp"
    folder.mkdir()
    own_network.start(
        *(DNSMASQ, "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--user=root"),
        *("--pid-file=", "--log-facility=/dev/null", "--enable-tftp", f"--tftp-root={folder}"),
    )
    return own_network, folder


@pytest.mark.parametrize("size", [0, 511, 512, 513, 100_000])
def test_tftp_fetch(size, tftp_server, site, tmp_path):
    """A file from a TFTP server over a line that loses and repeats; forged answers change nothing."""
    network, folder = tftp_server
    (folder / "new.bin").write_bytes(random.Random(size).randbytes(size))
    words = f"{STATIC} services=tftp tftp={HOST}/new.bin"
    bad = {"lose": 0.005, "repeat": 0.2} if size > 1000 else {}
    with BadCable(network, 6, **bad) as cable, Guest(
        site.disk, backend=cable.backend, words=words, pass_fds=[cable.fileno()]
    ) as guest:
        network.run("ip", "address", "add", f"{STRANGER}/24", "dev", "tap0")
        stranger = network.inside(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        stranger.bind((STRANGER, 0))
        while not guest.find("tftp: /new.bin"):
            for forged in (b"\0\3\0\1wrong", b"\0\5\0\0wrong\0"):
                stranger.sendto(forged, (GUEST, 69))
            time.sleep(0.05)
            assert guest.running, guest.tail()
        stranger.close()
        guest.require(rf"tftp: /new.bin: {size} bytes from {HOST}")
        guest.wait_ready()
        got = guest_file(network, tmp_path, "new.bin")
        assert got == (folder / "new.bin").read_bytes()
        guest.power_off()


def test_tftp_fetch_fails(tftp_server, site):
    """A file that the server does not have, and words that are none."""
    network, _ = tftp_server
    for what, answer in (
        (f"{HOST}/none.bin", r"tftp: /none.bin from \S+: the server says: "),
        ("none.bin", r'tftp: "none.bin" is not ADDRESS/NAME'),
        (f"{HOST}/../none.bin", r"is not ADDRESS/NAME"),
        ("300.1.1.1/none.bin", r'tftp: "300.1.1.1" is no address'),
    ):
        words = f"{STATIC} services=tftp tftp={what}"
        with Guest(site.disk, backend=TAP, namespace=network.name, words=words) as guest:
            guest.wait_for(answer, 30)
            guest.wait_ready()
            with pytest.raises(AssertionError):
                network.run("curl", "--fail", "--silent", f"http://{GUEST}/none.bin")


def guest_file(network, folder, path):
    """A file as the web server gives it."""
    output = folder / "by-http"
    assert network.curl(path, output).wait(TIMEOUT_S) == 0
    return output.read_bytes()


def test_two_nics():
    """Two cards on networks of their own, each with the address that its `ip=` word names."""
    forwards = [
        f"user,id=net{i},net=10.{i}.0.0/24,hostfwd=tcp:127.0.0.1:0-10.{i}.0.15:7" for i in (1, 2)
    ]
    words = " ".join(f"ip=10.{i}.0.15::10.{i}.0.2:255.255.255.0::eth{i - 1}:off" for i in (1, 2))
    with Guest(
        kernel=os.path.join(BUILD, "services.elf"),
        nic=None,
        words=words,
        arguments=[
            part
            for i, forward in enumerate(forwards, 1)
            for part in ("-netdev", forward, "-device", f"virtio-net-pci,netdev=net{i},romfile=")
        ],
    ) as guest:
        guest.wait_for("ready: services")
        guest.require(r"eth0: 10\.1\.0\.15/24 via 10\.1\.0\.2.*fixed")
        guest.require(r"eth1: 10\.2\.0\.15/24 via 10\.2\.0\.2.*fixed")
        text = guest.qmp("human-monitor-command", **{"command-line": "info usernet"})
        ports = [int(port) for port in re.findall(r"127\.0\.0\.1\s+(\d+)\s+10\.", text)]
        assert len(ports) == 2
        for port in ports:
            with socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as client:
                assert talk(client, b"hello") == b"hello"
        guest.power_off()


@pytest.mark.parametrize("kind", ["socket", "multicast"])
def test_two_guests(kind, tmp_path):
    """Two machines of ours on a wire of their own: one fetches from the other's chargen."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    if kind == "socket":
        server_wire = f"socket,id=net0,listen=127.0.0.1:{port}"
        client_wire = f"socket,id=net0,connect=127.0.0.1:{port}"
    else:
        server_wire = client_wire = f"socket,id=net0,mcast=239.77.0.1:{port},localaddr=127.0.0.1"
    with Guest(
        kernel=os.path.join(BUILD, "services.elf"),
        backend=server_wire,
        words="ip=10.9.0.1:::255.255.255.0",
    ) as server:
        server.wait_for("ready: services")
        with Guest(
            kernel=os.path.join(BUILD, "sockets.elf"),
            backend=client_wire,
            nic="mac=52:54:00:12:34:57",
            words="ip=10.9.0.2:::255.255.255.0 -- client 10.9.0.1 19 30000",
        ) as client:
            client.wait_for("client: 30000 bytes", TIMEOUT_S)
            assert client.wait_exit() == 0
            assert client.find(r"!\"#\$%&'\(\)\*\+,-\./0123456789")
