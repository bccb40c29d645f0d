"""A web site to serve in tests, made from a seed, with the SHA-256 of every file.

Owns the choice of file sizes and names; tools/mkdisk makes the image. Sizes lie around what can go
wrong: sectors, pages, clusters, TCP windows.
"""
import hashlib
import os
import random
import subprocess

from ferrule import TOP

MIB = 1 << 20
SMALL_SIZES = (
    0,
    1,
    2,
    511,
    512,
    513,
    1459,
    1460,
    1461,
    4095,
    4096,
    4097,
    32767,
    32768,
    32769,
    65535,
    65536,
    65537,
)
LARGE_SIZES = {
    "large/1mb.bin": MIB,
    "large/20mb.bin": 20 * MIB + 7,
    "large/100mb.bin": 100 * MIB + 1,
}
NAMES = (
    "a name with spaces and (brackets), commas; and 100% more.txt",
    "grüße – ½ naïve Ωmega 文字.txt",
    "L" + "o" * 200 + "ng.html",
    "UPPER.TXT",
    "no-extension",
    "hash#plus+and&equal=.txt",
)
INDEX = b"<!doctype html><title>test</title><p>The index of the test site.</p>\n"


class Site:
    """folder: the files. files: path below the root -> (size, SHA-256 in hex)."""

    def __init__(self, folder, seed, large):
        self.folder = str(folder)
        self.files = {}
        self._random = random.Random(seed)
        self.add("index.html", INDEX)
        for size in SMALL_SIZES:
            self.add_random(f"sizes/{size}.bin", size)
        for number in range(200):
            self.add_random(f"many/file {number:03}.txt", self._random.randrange(3000))
        for name in NAMES:
            self.add(f"names/{name}", name.encode() + b"\n")
        for name in (
            "page.html",
            "style.css",
            "code.js",
            "image.png",
            "photo.jpg",
            "data.json",
            "plain.txt",
            "drawing.svg",
            "document.pdf",
            "unknown.zzz",
        ):
            self.add_random(f"types/{name}", 700)
        self.add("with-index/index.html", b"<p>the index of a folder</p>\n")
        self.add("deep/1/2/3/4/5/6/7/8/leaf.txt", b"a leaf\n")
        os.makedirs(os.path.join(self.folder, "empty"))
        for path, size in LARGE_SIZES.items() if large else ():
            self.add_random(path, size)

    def add(self, path, content):
        full = os.path.join(self.folder, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "wb") as file:
            file.write(content)
        self.files[path] = (len(content), hashlib.sha256(content).hexdigest())

    def add_random(self, path, size):
        self.add(path, self._random.randbytes(size))

    def content(self, path):
        with open(os.path.join(self.folder, path), "rb") as file:
            return file.read()

    def image(self, path):
        """Makes a disk image of the site."""
        subprocess.run(
            [os.path.join(TOP, "tools", "mkdisk"), self.folder, str(path)], check=True, timeout=120
        )
        return str(path)


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def check(
    guest,
    site,
    paths=("index.html", "sizes/0.bin", "sizes/513.bin", "sizes/65537.bin", "names/UPPER.TXT"),
):
    """Downloads files of the site from the guest and compares every byte, by SHA-256."""
    for path in paths:
        answer = guest.get("/" + path)
        found = (answer.status, len(answer.body), sha256(answer.body))
        expected = (200, *site.files[path])
        assert found == expected, f"{path}: {found}, not {expected}\n{guest.tail()}"
