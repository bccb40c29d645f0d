"""The web server as its clients see it: every file bit for bit, every kind of request, and nonsense
that it must survive.
"""
import http.client
import re
import socket
import subprocess
import threading
import time
import urllib.parse

import pytest

from ferrule import Guest, GuestError
from website import INDEX, MIB, check, sha256


def curl(guest, path, output, *options):
    """Starts curl for one file."""
    url = guest.url + urllib.parse.quote(path)
    return subprocess.Popen(
        [
            "curl",
            "--silent",
            "--show-error",
            "--fail",
            "--max-time",
            "90",
            "--path-as-is",
            *options,
            "--output",
            str(output),
            url,
        ],
        stdin=subprocess.DEVNULL,
    )


def raw(guest, request, timeout_s=10):
    """Sends bytes as they are and returns all that comes back until the server closes or says
    nothing more.
    """
    answer = b""
    with guest.connect(timeout_s) as connection:
        try:
            connection.sendall(request)
            connection.settimeout(timeout_s)
            while True:
                data = connection.recv(65536)
                if not data:
                    break
                answer += data
                connection.settimeout(1)
        except OSError:
            pass
    return answer


def status_of(answer):
    match = re.match(rb"HTTP/1\.[01] (\d{3}) ", answer)
    return int(match.group(1)) if match else None


def test_every_small_file(server, large_site):
    """Every small file of the site over one kept-open connection, by SHA-256."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    for path, (size, digest) in large_site.files.items():
        if size >= MIB:
            continue
        connection.request("GET", "/" + urllib.parse.quote(path))
        answer = connection.getresponse()
        body = answer.read()
        assert (answer.status, answer.headers["Content-Length"]) == (200, str(size)), path
        assert sha256(body) == digest, path
    connection.close()


@pytest.mark.parametrize("path", ["large/1mb.bin", "large/20mb.bin", "large/100mb.bin"])
def test_large_file(path, server, large_site, tmp_path):
    """Large files by curl, by SHA-256."""
    output = tmp_path / "file"
    assert curl(server, path, output).wait() == 0
    assert (output.stat().st_size, sha256(output.read_bytes())) == large_site.files[path]


def test_parallel_downloads(server, large_site, tmp_path):
    """Sixteen clients at a time, each with a file of its own."""
    paths = ["large/1mb.bin"] * 14 + ["large/20mb.bin"] * 2
    clients = [curl(server, path, tmp_path / str(index)) for index, path in enumerate(paths)]
    assert [client.wait() for client in clients] == [0] * len(paths)
    for index, path in enumerate(paths):
        assert sha256((tmp_path / str(index)).read_bytes()) == large_site.files[path][1]


def test_clients_that_leave(server, large_site, tmp_path):
    """Clients that go away in the middle of a large file, politely or not, cost nothing."""
    for index in range(20):
        with server.connect() as connection:
            connection.sendall(b"GET /large/100mb.bin HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.recv(1000)
            if index % 2:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    check(server, large_site)


def test_slow_reader(server, large_site):
    """A client with a tiny window that reads slowly gets every byte, and does not hold up others.
    """
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        connection.settimeout(20)
        connection.connect(("127.0.0.1", server.port))
        connection.sendall(b"GET /large/1mb.bin HTTP/1.0\r\n\r\n")
        body = b""
        for _ in range(10):
            body += connection.recv(4096)
            time.sleep(0.05)
            check(server, large_site, ["sizes/4096.bin"])
        while data := connection.recv(65536):
            body += data
    assert sha256(body.partition(b"\r\n\r\n")[2]) == large_site.files["large/1mb.bin"][1]


REQUESTS = 10000
CONNECTIONS = 4


def test_many_requests_kept_alive(server, large_site):
    """Ten thousand requests over four kept-open connections, all answered right, within a minute.
    """
    expected = large_site.content("sizes/512.bin")
    request = b"GET /sizes/512.bin HTTP/1.1\r\nHost: ferrule\r\n\r\n"
    failures = []

    def client():
        try:
            with server.connect() as connection, connection.makefile("rb") as reader:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for _ in range(REQUESTS // CONNECTIONS):
                    connection.sendall(request)
                    assert b" 200 " in reader.readline()
                    length = None
                    while (line := reader.readline()) != b"\r\n":
                        name, _, value = line.partition(b":")
                        length = int(value) if name.lower() == b"content-length" else length
                    assert reader.read(length) == expected
        except (OSError, AssertionError, TypeError) as error:
            failures.append(repr(error))

    start = time.monotonic()
    clients = [threading.Thread(target=client) for _ in range(CONNECTIONS)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join(90)
    taken_s = time.monotonic() - start
    print(f"{REQUESTS} requests in {taken_s:.1f} s")
    assert not failures, failures
    assert taken_s < 60


def test_many_connections(server, large_site):
    """Two thousand connections one after the other: those in TIME-WAIT are recycled, none is
    refused.
    """
    size, digest = large_site.files["sizes/513.bin"]
    for _ in range(2000):
        with server.connect() as connection:
            connection.sendall(b"GET /sizes/513.bin HTTP/1.0\r\n\r\n")
            answer = b""
            while data := connection.recv(65536):
                answer += data
        body = answer.partition(b"\r\n\r\n")[2]
        assert (len(body), sha256(body)) == (size, digest)


TYPES = {
    "page.html": "text/html",
    "style.css": "text/css",
    "code.js": r"(text|application)/javascript",
    "image.png": "image/png",
    "photo.jpg": "image/jpe?g",
    "data.json": "application/json",
    "plain.txt": "text/plain",
    "drawing.svg": r"image/svg\+xml",
    "document.pdf": "application/pdf",
    "unknown.zzz": "application/octet-stream",
}


@pytest.mark.parametrize("name", TYPES)
def test_content_type(name, server):
    """The type goes by the name's extension."""
    answer = server.get("/types/" + name)
    assert re.match(
        TYPES[name] + "$", answer.headers["Content-Type"].partition(";")[0]
    ), answer.headers["Content-Type"]


def test_not_found(server):
    """404 with a page, for files and folders that are not there, and for a file asked for as a
    folder.
    """
    for path in (
        "/nothing",
        "/nothing/",
        "/sizes/nothing.bin",
        "/sizes/1.bin/",
        "/sizes/1.bin/x",
        "/index.html/",
    ):
        answer = server.get(path)
        assert answer.status == 404 and b"404" in answer.body, path


def test_index(server):
    """A folder's index.html is its page."""
    answer = server.get("/")
    assert (answer.status, answer.body) == (200, INDEX)
    assert server.get("/with-index/").body == b"<p>the index of a folder</p>\n"


def test_listing(server, large_site):
    """A folder without an index gets a listing, whose links lead to the files."""
    page = server.get("/names/").body.decode()
    for path in large_site.files:
        folder, _, name = path.partition("/")
        if folder == "names":
            link = next(
                (
                    link
                    for link in re.findall(r'href="([^"]+)"', page)
                    if urllib.parse.unquote(link.replace("&amp;", "&")).removeprefix("./") == name
                ),
                None,
            )
            assert link, f"{name} is not in the listing"
            answer = server.get("/names/" + link.removeprefix("./"))
            assert answer.body == large_site.content(path), name
    assert len(re.findall(r"href=\"[^\"]*file%20\d", server.get("/many/").body.decode())) == 200
    empty = server.get("/empty/")
    assert empty.status == 200 and b"</html>" in empty.body


def test_redirect(server):
    """/folder leads to /folder/, also when it has to be encoded."""
    for path, target in (("/names", "/names/"), ("/deep/1", "/deep/1/"), ("/%6eames", "/names/")):
        answer = server.get(path)
        assert answer.status in (301, 302, 307, 308)
        assert answer.headers["Location"] == target


@pytest.mark.parametrize(
    "target",
    [
        "/sizes/1.bin?query=1&x=/../y",
        "/%73izes/%31.bin",
        "/sizes//1.bin",
        "//sizes/1.bin",
        "/./sizes/./1.bin",
        "/SIZES/1.BIN",
        "http://example.org/sizes/1.bin",
    ],
)
def test_same_file(target, server, large_site):
    """Other ways to write the name of a file lead to it."""
    answer = raw(server, f"GET {target} HTTP/1.0\r\n\r\n".encode())
    assert status_of(answer) == 200, answer[:200]
    assert answer.partition(b"\r\n\r\n")[2] == large_site.content("sizes/1.bin")


@pytest.mark.parametrize(
    "target",
    [
        "/../etc/passwd",
        "/..",
        "/../",
        "/sizes/../../x",
        "/%2e%2e/x",
        "/..%2fx",
        "/%2e./x",
        "/..\\x",
        "/%5c..%5cx",
        "/sizes/%00.bin",
        "/%",
        "/%zz",
        "/%2",
        "/a%0d%0ab",
        "/" + "a" * 300,
        "/" + "a/" * 1000,
        "/" + "%41" * 900,
        "*",
        "sizes/1.bin",
        "/con:",
        "/sizes/1.bin%20",
        "/sizes/1.bin.",
        "/\xff\xfe",
        "/%ff%fe",
        "/%c0%ae%c0%ae/x",
    ],
)
def test_targets_refused(target, server, large_site):
    """Targets that mean no file get a clean error, never a file from elsewhere and never a crash.
    """
    answer = raw(server, b"GET " + target.encode("latin-1") + b" HTTP/1.0\r\n\r\n")
    assert status_of(answer) in (400, 404, 414), answer[:200]
    check(server, large_site, ["sizes/1.bin"])


def test_parent_within_site(server, large_site):
    """`..` that stays inside is either resolved or refused, but leads to nothing else."""
    answer = raw(server, b"GET /sizes/../sizes/1.bin HTTP/1.0\r\n\r\n")
    assert status_of(answer) in (200, 400, 404)
    if status_of(answer) == 200:
        assert answer.partition(b"\r\n\r\n")[2] == large_site.content("sizes/1.bin")


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_methods(method, server, large_site):
    """Other methods get a clean answer at once."""
    answer = raw(
        server,
        f"{method} /sizes/1.bin HTTP/1.1\r\nHost: x\r\n".encode()
        + b"Content-Length: 0\r\nConnection: close\r\n\r\n",
    )
    assert status_of(answer) in (
        (200, 400, 405, 501) if method == "HEAD" else (400, 405, 501)
    ), answer[:200]
    if method == "HEAD":
        assert status_of(answer) != 200 or answer.endswith(b"\r\n\r\n")
    check(server, large_site, ["sizes/1.bin"])


def test_http_1_0_closes(server, large_site):
    """HTTP/1.0 without keep-alive: the connection is closed behind the body."""
    with server.connect() as connection:
        connection.sendall(b"GET /sizes/4097.bin HTTP/1.0\r\n\r\n")
        answer = b""
        while data := connection.recv(65536):
            answer += data
    assert sha256(answer.partition(b"\r\n\r\n")[2]) == large_site.files["sizes/4097.bin"][1]


def test_connection_close(server):
    """HTTP/1.1 with `Connection: close` closes as well."""
    with server.connect() as connection:
        connection.sendall(b"GET /sizes/1.bin HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b""
        while data := connection.recv(65536):
            answer += data
    assert status_of(answer) == 200


def test_request_in_pieces(server, large_site):
    """A request that comes byte by byte is the same request."""
    with server.connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"GET /sizes/513.bin HTTP/1.0\r\nHost: x\r\n\r\n":
            connection.sendall(bytes([byte]))
        answer = b""
        while data := connection.recv(65536):
            answer += data
    assert sha256(answer.partition(b"\r\n\r\n")[2]) == large_site.files["sizes/513.bin"][1]


NONSENSE = {
    "binary": bytes(range(256)) * 8,
    "zeros": bytes(5000),
    "long-line": b"GET /" + b"a" * 65536 + b" HTTP/1.1\r\n\r\n",
    "endless-line": b"A" * 200000,
    "no-version": b"GET /sizes/1.bin\r\n\r\n",
    "wrong-version": b"GET /sizes/1.bin HTTP/9.9\r\n\r\n",
    "only-method": b"GET\r\n\r\n",
    "only-spaces": b"     \r\n\r\n",
    "empty-lines": b"\r\n" * 2000,
    "bare-newlines": b"GET /sizes/1.bin HTTP/1.0\n\n",
    "nul-in-header": b"GET /sizes/1.bin HTTP/1.0\r\nX: a\0b\r\n\r\n",
    "nul-in-target": b"GET /sizes/1\0.bin HTTP/1.0\r\n\r\n",
    "thousand-headers": b"GET /sizes/1.bin HTTP/1.0\r\n"
    + b"".join(b"X-%d: y\r\n" % i for i in range(1000))
    + b"\r\n",
    "huge-header": b"GET /sizes/1.bin HTTP/1.0\r\nX: " + b"y" * 60000 + b"\r\n\r\n",
    "header-without-colon": b"GET /sizes/1.bin HTTP/1.0\r\nnonsense\r\n\r\n",
    "tls-hello": bytes.fromhex("1603010200010001fc0303") + bytes(500),
    "half-request": b"GET /sizes/1.bin HTTP/1.1\r\nHost:",
    "one-byte": b"G",
    "nothing": b"",
    "endless-post": b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n"
    + b"x" * 100000,
    "negative-post": b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\nxxxx",
    "smuggling": b"GET /sizes/1.bin HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"
    b"Content-Length: 5\r\n\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense(name, server, large_site):
    """Whatever is sent, the server answers with a status or closes, and goes on serving others."""
    answer = raw(server, NONSENSE[name], timeout_s=1.5)
    if answer:
        assert status_of(answer) is not None, answer[:200]
    check(server, large_site, ["sizes/1.bin", "sizes/4097.bin"])


def test_pipelined_requests(server, large_site):
    """Requests sent ahead are answered in order, or the connection is closed after a whole answer.
    """
    answer = raw(server, b"GET /sizes/2.bin HTTP/1.1\r\nHost: x\r\n\r\n" * 20)
    assert answer.count(b"HTTP/1.1 200") >= 1
    assert answer.endswith(large_site.content("sizes/2.bin"))


def connect_many(guest, count):
    """Many connections, opened no faster than QEMU takes them up: its listening socket has a queue
    of one.
    """
    connections = []
    for _ in range(count):
        connections.append(guest.connect())
        time.sleep(0.005)
    return connections


def test_idle_connections(server, large_site):
    """Fifty connections that send a byte now and then leave room for others; afterwards all is as
    before.
    """
    idle = connect_many(server, 50)
    for round_ in range(3):
        for connection in idle:
            connection.sendall(b"GET / HTTP/1.1\r\nX: "[round_ * 5 : round_ * 5 + 5])
        check(server, large_site)
    for connection in idle:
        connection.close()
    check(server, large_site)


def test_too_many_connections(server, large_site):
    """Six hundred connections at a time: some may be refused, the machine lives, and serves again
    when they are gone.
    """
    held = connect_many(server, 600)
    for connection in held:
        try:
            connection.sendall(b"GET /large/100mb.bin HTTP/1.1\r\nHost: x\r\n\r\n")
        except OSError:
            pass
    time.sleep(1)
    for connection in held:
        connection.close()
    deadline = time.monotonic() + 60
    while True:
        try:
            check(server, large_site)
            break
        except GuestError:
            assert time.monotonic() < deadline, server.tail()
            time.sleep(0.5)


@pytest.mark.parametrize(
    "words, pattern",
    [
        ("port=8080", r"ready: http://10\.0\.2\.15:8080/"),
        ("url=http://example.org:1234/", r"ready: http://example\.org:1234/"),
    ],
)
def test_announced_url(words, pattern):
    """The URL that is announced is the one that was given, or made from address and port."""
    with Guest(words=words) as guest:
        guest.wait_for(pattern)


def test_other_port(site):
    """port= moves the server."""
    backend = "user,id=net0,hostfwd=tcp:127.0.0.1:0-:8080"
    with Guest(site.disk, words="port=8080", backend=backend) as guest:
        guest.wait_ready()
        text = guest.qmp("human-monitor-command", **{"command-line": "info usernet"})
        guest.port = int(re.search(r"HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)", text).group(1))
        check(guest, site)


def test_small_memory_large_files(large_site, tmp_path):
    """On 16 MiB the same: large files, many at a time."""
    with Guest(large_site.disk, memory="16M") as guest:
        guest.wait_ready()
        clients = [curl(guest, "large/1mb.bin", tmp_path / str(index)) for index in range(16)]
        assert [client.wait() for client in clients] == [0] * len(clients)
        for index in range(16):
            assert (
                sha256((tmp_path / str(index)).read_bytes()) == large_site.files["large/1mb.bin"][1]
            )
        check(guest, large_site)
        guest.power_off()
