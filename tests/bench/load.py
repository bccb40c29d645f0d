"""The loads of bench-net, one function each: what the host does to a guest's network, and how many of it in what time.

Owns the talking; what a load costs the guest is counted by the caller, around it. Every wait has a limit, and a wrong
answer ends the measurement. The Linux guest's bulk transfers are iperf3's, Ferrule's go to its services discard and
chargen: each side has what is usual there. Read next: run-net.
"""

import json
import re
import socket
import subprocess
import time
from dataclasses import dataclass

import measure
from line import BLK_LOAD, CHARGEN, DISCARD, ECHO, IPERF

LIMIT_S = 180
PIECE = 256 << 10
DATAGRAM = bytes(range(64))
MIB = 1 << 20
IPERF_TRIES = 20
# The server listens anew after each transfer. Who comes too early is refused, or by user networking taken and sent away.
IPERF_TOO_EARLY = ("unable to connect", "control socket has closed unexpectedly")
ASK_TRIES = 40


@dataclass
class Load:
    count: float  # requests, MiB or round trips
    rate: float  # of them a second


def http(path, connections, seconds):
    def run(machine):
        return Load(*measure.wrk(machine, connections, seconds, path))

    return run


def iperf3(machine, mib, *options):
    """One transfer between the host's iperf3 and the guest's."""
    host, port = machine.line.address(IPERF)
    command = [*machine.line.command, "iperf3", "--json", "-c", host, "-p", str(port), "-n", f"{mib}M", *options]
    try:
        for _ in range(IPERF_TRIES):
            done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S)
            if not any(words in done.stdout for words in IPERF_TOO_EARLY):
                break
            time.sleep(0.2)
        summary = json.loads(done.stdout)["end"]["sum_received"]
        return Load(summary["bytes"] / MIB, summary["bytes"] / MIB / summary["seconds"])
    except subprocess.TimeoutExpired:
        raise machine.failure("iperf3 did not end") from None
    except (KeyError, ValueError, ZeroDivisionError):
        raise machine.failure(f"iperf3: {done.stdout[-200:]}{done.stderr}") from None


def tcp_out(mib):
    """From the guest to the host."""

    def run(machine):
        if machine.guest.has_iperf3:
            return iperf3(machine, mib, "-R")
        left, buffer = mib * MIB, bytearray(PIECE)
        begin = time.monotonic()
        try:
            with machine.line.connect(CHARGEN, LIMIT_S) as client:
                while left > 0:
                    got = client.recv_into(buffer)
                    if got == 0:
                        raise machine.failure("chargen closed the connection")
                    left -= got
        except OSError as error:
            raise machine.failure(f"chargen: {error}") from None
        count = mib - left / MIB
        return Load(count, count / (time.monotonic() - begin))

    return run


def tcp_in(mib):
    """From the host to the guest."""

    def run(machine):
        if machine.guest.has_iperf3:
            return iperf3(machine, mib)
        piece = bytes(PIECE)
        begin = time.monotonic()
        try:
            with machine.line.connect(DISCARD, LIMIT_S) as client:
                for _ in range(mib * MIB // PIECE):
                    client.sendall(piece)
                client.shutdown(socket.SHUT_WR)
                client.recv(1)  # the guest closes, too, when it has everything
        except OSError as error:
            raise machine.failure(f"discard: {error}") from None
        return Load(mib, mib / (time.monotonic() - begin))

    return run


def ping(count):
    """One after the other, each as soon as the answer to the one before it is there."""

    def run(machine):
        command = [*machine.line.command, "ping", "-n", "-q", "-A", "-c", str(count), machine.line.guest_address]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            raise machine.failure("ping did not end") from None
        average = re.search(rf" {count} received.*= [\d.]+/([\d.]+)/", done.stdout, re.DOTALL)
        if not average:
            raise machine.failure(f"ping: {done.stdout}{done.stderr}")
        return Load(count, 1000 / float(average.group(1)))

    return run


def udp_echo(count):
    """One datagram of 64 bytes after the other."""

    def run(machine):
        try:
            with machine.line.udp_socket() as client:
                client.settimeout(10)
                client.connect(machine.line.udp_address(ECHO))
                begin = time.monotonic()
                for _ in range(count):
                    client.send(DATAGRAM)
                    if client.recv(len(DATAGRAM) + 1) != DATAGRAM:
                        raise machine.failure("echo sent something else back")
                return Load(count, count / (time.monotonic() - begin))
        except OSError as error:
            raise machine.failure(f"UDP echo: {error}") from None

    return run


def ask(machine, line):
    """Sends the service `blk` one line, and returns all that the guest answers."""
    for tries_left in reversed(range(ASK_TRIES)):
        try:
            with machine.line.connect(BLK_LOAD, LIMIT_S) as client:
                client.sendall(line.encode() + b"\n")
                text = b""
                while not re.match(rb"(ok|error).*\n", text) and (part := client.recv(65536)):
                    text += part
                return text.decode(errors="replace")
        except ConnectionResetError as error:
            # inetd listens a little later than the guest says that it is ready.
            if tries_left == 0:
                raise machine.failure(f"{line}: {error}") from None
            time.sleep(0.25)
        except OSError as error:
            raise machine.failure(f"{line}: {error}") from None
