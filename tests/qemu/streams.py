"""Clients of byte streams that want every byte back: bulk in both directions, and a peer that sends
and does not read.

Owns how bytes are moved over a connected socket, and the patience with it; how one is connected is
netns.py's. Read test_services.py next.
"""
import select
import socket
import time

TIMEOUT_S = 60


def receive(client, size):
    """Exactly that many bytes."""
    parts = []
    while size:
        part = client.recv(min(size, 1 << 20))
        assert part, f"closed with {size} bytes missing"
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def talk(client, data):
    """Sends and receives at once, then closes our half; returns all that came until the end."""
    client.setblocking(False)
    sent, parts = 0, []
    while True:
        readable, writable, _ = select.select(
            [client], [client] if sent < len(data) else [], [], TIMEOUT_S
        )
        assert readable or writable, f"stalled after {sent} bytes out, {sum(map(len, parts))} in"
        if writable:
            sent += client.send(data[sent : sent + 262144])
            if sent == len(data):
                client.shutdown(socket.SHUT_WR)
        if readable:
            part = client.recv(1 << 20)
            if not part:
                return b"".join(parts)
            parts.append(part)


def send_until_stopped(client, data):
    """Sends and does not read until nothing more goes out for a second; returns how much went."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
    client.setblocking(False)
    sent, last = 0, time.monotonic()
    while time.monotonic() - last < 1:
        if select.select([], [client], [], 0.2)[1]:
            sent += client.send(data[sent : sent + 65536])
            last = time.monotonic()
        assert sent < len(data), "nothing ever stopped the sender"
    return sent
