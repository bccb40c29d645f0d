"""BSD sockets: echo servers of three kinds against real clients, a program that checks the calls
from inside the guest, and an unmodified program of somebody else's.
"""
import contextlib
import http.server
import os
import random
import socket
import struct
import threading
import time

import pytest

from ferrule import BUILD, Guest
from netns import GUEST, GUEST6, HOST, STATIC
from streams import TIMEOUT_S, receive, send_until_stopped, talk

TAP = "tap,id=net0,ifname=tap0,script=no,downscript=no,vhost=off"
PORT = 7
RESET = struct.pack("ii", 1, 0)


def app_guest(network, name, *arguments, **options):
    return Guest(
        kernel=os.path.join(BUILD, f"{name}.elf"),
        backend=TAP,
        namespace=network.name,
        words=f"{STATIC} ip6={GUEST6}/64 -- " + " ".join(arguments),
        **options,
    )


@pytest.fixture(scope="module", params=["echo_raw", "echo_threads", "echo_poll"])
def server(request, network):
    """A guest that echoes, of each kind in turn."""
    with app_guest(network, request.param) as guest:
        guest.wait_for("ready: echo")
        guest.wait_for(f"(?i)eth0: {GUEST6}/64")
        yield guest
        guest.power_off()


@contextlib.contextmanager
def socket_server(network, body):
    """A web server in the namespace that answers everything with the same; gives its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = network.inside(lambda: http.server.ThreadingHTTPServer((HOST, 0), Handler))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def test_bulk_and_half_close(network, server):
    """Megabytes through the echo, IPv4 and IPv6; when we close our half, the rest still comes."""
    data = random.Random(1).randbytes(4 << 20)
    for address in (GUEST, GUEST6):
        begin = time.monotonic()
        with network.connect(PORT, address, TIMEOUT_S) as client:
            assert talk(client, data) == data
        print(f"{len(data) / (time.monotonic() - begin) / 1e6:.1f} MB/s")


def test_many_connections(network, server):
    """A hundred connections at once, each with data of its own under way."""
    clients = [network.connect(PORT, GUEST, TIMEOUT_S) for _ in range(100)]
    data = [random.Random(i).randbytes(3000 + i) for i in range(len(clients))]
    for client, part in zip(clients, data):
        client.sendall(part)
    for client, part in zip(clients, data):
        assert receive(client, len(part)) == part
    for client in clients:
        client.close()


def test_many_short_connections(network, server):
    """Connections come and go; none of them costs anything that does not come back."""
    for i in range(300):
        with network.connect(PORT, GUEST, TIMEOUT_S) as client:
            client.sendall(b"%d" % i)
            client.shutdown(socket.SHUT_WR)
            assert receive(client, len(b"%d" % i)) == b"%d" % i
            assert client.recv(1) == b""


def test_resets(network, server):
    """Peers that reset, with data under way in both directions, harm nobody else."""
    with network.connect(PORT, GUEST, TIMEOUT_S) as witness:
        for _ in range(30):
            client = network.connect(PORT, GUEST, TIMEOUT_S)
            client.send(b"x" * 50000)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            client.close()
        witness.send(b"still here")
        assert receive(witness, 10) == b"still here"


def test_slow_reader(network, server):
    """A peer that does not read stops its own connection only, and then gets everything."""
    data = random.Random(3).randbytes(4 << 20)
    with network.connect(PORT, GUEST, TIMEOUT_S) as client:
        sent = send_until_stopped(client, data)
        with network.connect(PORT, GUEST, TIMEOUT_S) as other:
            other.send(b"others go on")
            assert receive(other, 12) == b"others go on"
        client.setblocking(True)
        client.settimeout(TIMEOUT_S)
        assert receive(client, sent) == data[:sent]


def test_calls_from_inside():
    """Threads, and every socket call with its errors, over the loopback interface."""
    with Guest(kernel=os.path.join(BUILD, "sockets.elf"), nic=None) as guest:
        guest.wait_for(r"sockets: \d+ checks, \d+ failed", TIMEOUT_S)
        assert guest.find(r"sockets: \d\d\d checks, 0 failed"), guest.tail()
        assert guest.wait_exit() == 0


def test_thread_stack_overflow():
    """A thread that runs over its stack hits the guard page, and the report says so."""
    with Guest(
        kernel=os.path.join(BUILD, "sockets.elf"), nic=None, words="-- overflow"
    ) as guest:
        guest.wait_for(r"panic: page fault: write at 0x[0-9a-f]+: stack overflow")
        guest.wait_for("run_over")
        guest.wait_exit()


def test_client_while_dhcp_is_under_way():
    """A client may connect at once: it waits for the address, and a name is resolved."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(TIMEOUT_S)
        port = listener.getsockname()[1]

        def serve():
            client, _ = listener.accept()
            with client:
                client.sendall(b"greetings from outside\n")

        thread = threading.Thread(target=serve)
        thread.start()
        with Guest(
            kernel=os.path.join(BUILD, "sockets.elf"), words=f"-- client 10.0.2.2 {port}"
        ) as guest:
            guest.wait_for("greetings from outside")
            assert guest.wait_exit() == 0
        thread.join()


def test_power_button_ends_a_waiting_program(own_network):
    """A program that waits in a call and knows nothing of the event loop ends in good order."""
    network = own_network
    with app_guest(network, "echo_threads") as guest:
        guest.wait_for("ready: echo")
        client = network.connect(PORT, GUEST, TIMEOUT_S)
        client.send(b"x")
        assert receive(client, 1) == b"x"
        guest.qmp("system_powerdown")
        assert guest.wait_exit() == 0
        assert client.recv(1) == b"", "the connection was not closed"
        client.close()


def test_unmodified_program(own_network):
    """microsocks as Debian has it: curl reaches a web server of the host through a SOCKS proxy that
    runs in the guest, a thread for each connection; and a refused target is reported as that.
    """
    network = own_network
    body = random.Random(7).randbytes(3 << 20)
    with socket_server(network, body) as port, app_guest(network, "microsocks", "-p", "1080") as guest:
        guest.wait_started()
        for _ in range(2):
            children = [
                network.start(
                    "curl",
                    *("--silent", "--show-error", "--max-time", "60"),
                    *("--retry", "5", "--retry-connrefused", "--retry-delay", "1"),
                    *("--socks5", f"{GUEST}:1080", "--output", os.path.join(guest.folder, f"got{i}")),
                    f"http://{HOST}:{port}/",
                )
                for i in range(8)
            ]
            for i, child in enumerate(children):
                assert child.wait(TIMEOUT_S) == 0
                with open(os.path.join(guest.folder, f"got{i}"), "rb") as file:
                    assert file.read() == body
        refused = network.start("curl", "--silent", "--socks5", f"{GUEST}:1080", f"http://{HOST}:1/")
        assert refused.wait(TIMEOUT_S) == 97  # the proxy said no
        guest.type("poweroff")
        assert guest.wait_exit() == 0
