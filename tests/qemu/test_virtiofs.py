"""Folders of the host as the guest's files, over virtio-fs: served, listed, written, refused, and the daemon's death.

The application is that of test_9p.py, and so is what it must leave behind.
"""
import os
import re

import pytest

from ferrule import BUILD, Guest
from test_9p import judge_changes
from virtiofs import Daemon, shared_memory
from website import check, sha256


def guest_of(*daemons, device="", kind="vhost-user-fs-pci", machine="q35", arguments=(), **options):
    machine, memory = shared_memory(machine)
    devices = [word for daemon in daemons for word in daemon.arguments(kind, device)]
    return Guest(machine=machine, arguments=memory + devices + list(arguments), **options)


def app(*arguments, daemons, words="", **options):
    return guest_of(
        *daemons,
        kernel=os.path.join(BUILD, "share.elf"),
        words=f"{words} -- " + " ".join(f'"{argument}"' for argument in arguments),
        nic=None,
        **options,
    )


def finish(guest):
    assert guest.wait_exit(90) == 0, guest.tail()
    guest.require(r"share: \d+ checks, 0 failed")


# name: (properties of the device, machine, kernel words)
WAYS = {
    "q35": ("", "q35", ""),
    "pc-packed-line": ("packed=on,vectors=0", "pc", ""),
}


@pytest.mark.parametrize("name", WAYS)
def test_writing(name, tmp_path):
    """The C library writes, cuts, renames and removes; the host has exactly that.

    covers: FS-CFG-1 FS-HIPRIO-1 FS-HIPRIO-2 FS-DAX-1 FS-T-INIT-1 FS-T-ORDER-1
    """
    device, machine, words = WAYS[name]
    folder = tmp_path / "folder"
    folder.mkdir()
    with Daemon(folder) as daemon:
        with app(
            *("write", "/mnt/host"), daemons=[daemon], words=words, device=device, machine=machine
        ) as guest:
            finish(guest)
            guest.require(r"fs: virtiofs host: mounted at /mnt/host$")
    judge_changes(folder)


def test_web_server(site):
    """The web server serves a folder of the host, every file byte for byte."""
    with Daemon(site.folder) as daemon:
        with guest_of(daemon, words="root=virtiofs:host") as guest:
            guest.wait_ready()
            guest.require(r"fs: virtiofs host: mounted at /$")
            for path, expected in site.files.items():
                if not path.startswith("many/"):
                    body = guest.get("/" + path.replace("%", "%25")).body
                    assert (len(body), sha256(body)) == expected, path
            page = guest.get("/many/").body.decode()
            for path in site.files:
                if path.startswith("many/"):
                    assert f">{os.path.basename(path)}</a>" in page, path
            assert guest.get("/none").status == 404
            guest.power_off(quiet=False)


def test_names_links_and_status(tmp_path):
    """Many names in one folder; links that lead where they point, but not out of the share; times and modes."""
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "many").mkdir()
    (tmp_path / "secret").write_text("outside")
    (folder / "sub" / "file.txt").write_text("inside")
    (folder / "sub" / "file.txt").chmod(0o640)
    os.utime(folder / "sub" / "file.txt", (1234567890, 1234567890))
    names = [f"a file with the number {number} – ½.txt" for number in range(1000)]
    for name in names:
        (folder / "many" / name).write_bytes(b"x")
    for name, target in {
        "file": "sub/file.txt",
        "absolute": "/sub/file.txt",
        "down": "sub",
        "sub/up": "../file",
        "out": "../secret",
        "host": str(tmp_path / "secret"),
        "circle": "circle",
    }.items():
        (folder / name).symlink_to(target)
    shown = ("file", "absolute", "down/file.txt", "down/up", "out", "host", "circle", "none")
    words = [word for name in shown for word in ("show", f"/{name}")]
    with Daemon(folder) as daemon:
        with app(
            *("list", "/many", "list", "/"), *words, daemons=[daemon], words="root=virtiofs:host"
        ) as guest:
            finish(guest)
            size = sum(len(name.encode()) for name in names)
            guest.require(rf"share: /many has 1000 names of {size} bytes")
            guest.require(r"share: / has 5 names")
            for name in shown[:4]:
                guest.require(rf"share: /{name}: mode 100640 size 6 time 1234567890\s")
            for name in ("out", "host", "none"):
                guest.require(rf"share: /{name}: No such file or directory\s")
            guest.require(r"share: /circle: Too many symbolic links")


def test_beside_others(site, tmp_path):
    """A disk at /, a share of each kind below: files go from one to another, and the word for a place is heeded."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    ninep = ["-fsdev", f"local,id=s,path={first},security_model=none"]
    ninep += ["-device", "virtio-9p-pci,fsdev=s,mount_tag=one"]
    path = "sizes/65537.bin"
    with Daemon(second, tag="two") as daemon:
        with app(
            *("copy", f"/{path}", "/mnt/one/copy"),
            *("copy", "/mnt/one/copy", "/srv/two/copy again"),
            daemons=[daemon],
            arguments=ninep,
            words="virtiofs.two=/srv/two/",
            disk=site.disk,
        ) as guest:
            finish(guest)
    for copy in (first / "copy", second / "copy again"):
        content = copy.read_bytes()
        assert (len(content), sha256(content)) == site.files[path]


def test_the_daemon_dies(tmp_path):
    """Requests end in errors after a bounded time, and the guest lives on."""
    (tmp_path / "file.txt").write_bytes(b"before")
    with Daemon(tmp_path) as daemon:
        with guest_of(daemon, words="root=virtiofs:host") as guest:
            guest.wait_ready()
            assert guest.get("/file.txt").body == b"before"
            daemon.kill()
            answer = guest.get("/file.txt", timeout_s=90)
            assert answer.status >= 400
            guest.wait_for(r"virtiofs host: no answer within \d+ s", 60)
            assert guest.get("/file.txt", timeout_s=90).status >= 400
            guest.power_off(60, quiet=False)
