"""What clients do to a guest while its network is being disturbed: downloads, echo, discard and
chargen, each byte compared.

Owns the loads and the threads that make them, not the disturbances (net_torture.py).
"""
import hashlib
import http.client
import socket
import threading
import time

from netns import GUEST

ECHO, DISCARD, CHARGEN, HTTP = 7, 9, 19, 80
PIECE = 1 << 16
CHARGEN_LINES = [
    bytes(32 + (line + i) % 95 for i in range(72)) + b"\r\n" for line in range(95)
]
PATHS = ("index.html", "sizes/513.bin", "sizes/65537.bin", "large/1mb.bin")


class WrongBytes(AssertionError):
    """What arrived is not what was sent."""


def _receive(stream, size):
    parts, left = [], size
    while left and (part := stream.recv(min(left, PIECE))):
        parts.append(part)
        left -= len(part)
    if left:
        raise ConnectionResetError(f"the connection ended {left} bytes early")
    return b"".join(parts)


class Clients:
    """Threads that load a guest until they are stopped. may_break: connections may end early."""

    def __init__(self, network, site, random, count=3, timeout_s=90, may_break=False, address=GUEST):
        self._network, self._site, self._address = network, site, address
        self._timeout_s, self._may_break = timeout_s, may_break
        self._stop, self._lock = threading.Event(), threading.Lock()
        self.done, self.broken, self.bytes, self.errors = 0, 0, 0, []
        self._threads = [
            threading.Thread(target=self._run, args=(type(random)(random.random()),), daemon=True)
            for _ in range(count)
        ]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join(self._timeout_s * 2)
            if thread.is_alive():
                self.errors.append(f"a client is still waiting after {self._timeout_s * 2} s")

    def _run(self, random):
        while not self._stop.is_set() and not self.errors:
            load = random.choice((self.http, self.http, self.echo, self.discard, self.chargen))
            start = time.monotonic()
            try:
                size = load(random)
                with self._lock:
                    self.done += 1
                    self.bytes += size
            except (OSError, http.client.HTTPException) as error:
                if self._may_break:
                    self.broken += 1
                    time.sleep(0.05)
                else:
                    spent = time.monotonic() - start
                    self.errors.append(f"{load.__name__}: {error!r} after {spent:.1f} s")
            except Exception as error:  # nobody else would hear of it
                self.errors.append(repr(error))

    def _connect(self, port):
        return self._network.connect(port, self._address, self._timeout_s)

    def http(self, random):
        path = random.choice(PATHS)
        size, wanted = self._site.files[path]
        with self._connect(HTTP) as stream:
            stream.sendall(f"GET /{path} HTTP/1.0\r\n\r\n".encode())
            answer = http.client.HTTPResponse(stream)
            answer.begin()
            body = answer.read()
        if (answer.status, len(body)) != (200, size):
            raise WrongBytes(f"{path}: status {answer.status}, {len(body)} of {size} bytes")
        if hashlib.sha256(body).hexdigest() != wanted:
            raise WrongBytes(f"{path}: other bytes than sent")
        return size

    def echo(self, random):
        data = random.randbytes(random.choice((1, 1000, 100_000, 400_000)))
        with self._connect(ECHO) as stream:
            back, place = [], 0
            while place < len(data):
                part = data[place : place + 20_000]
                stream.sendall(part)
                back.append(_receive(stream, len(part)))
                place += len(part)
        if b"".join(back) != data:
            raise WrongBytes("echo: other bytes than sent")
        return 2 * len(data)

    def discard(self, random):
        data = random.randbytes(random.choice((1, 100_000, 1_000_000)))
        with self._connect(DISCARD) as stream:
            stream.sendall(data)
            stream.shutdown(socket.SHUT_WR)
            if stream.recv(1):
                raise WrongBytes("discard: there was an answer")
        return len(data)

    def chargen(self, random):
        size = random.choice((74, 100_000, 1_000_000))
        with self._connect(CHARGEN) as stream:
            data = _receive(stream, size)
        wanted = b"".join(CHARGEN_LINES) * (size // (95 * 74) + 1)
        if data != wanted[:size]:
            raise WrongBytes("chargen: other bytes than those of RFC 864")
        return size
