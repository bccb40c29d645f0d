"""Folders of the host as the guest's files, over virtio-9p: served, listed, written, and refused.

QEMU's own server stands behind the device; what the guest did is judged in the folder itself.
"""
import os
import re

import pytest

from ferrule import BUILD, Guest
from website import check, sha256

CHANGING_SIZES = (0, 1, 4095, 4096, 65537, 131072, 131073, 1000000, 5000000)


def share(folder, tag="host", name="share0", fsdev="", device="", kind="virtio-9p-pci"):
    """QEMU arguments for one share."""
    escaped = str(folder).replace(",", ",,")
    return [
        "-fsdev",
        f"local,id={name},path={escaped},security_model=none" + (f",{fsdev}" if fsdev else ""),
        "-device",
        f"{kind},fsdev={name},mount_tag={tag}" + (f",{device}" if device else ""),
    ]


def app(*arguments, words="", shares=(), disk=None, **options):
    """A guest that runs the application share.c."""
    return Guest(
        disk,
        kernel=os.path.join(BUILD, "share.elf"),
        words=f"{words} -- " + " ".join(f'"{argument}"' for argument in arguments),
        nic=None,
        arguments=list(shares),
        **options,
    )


def finish(guest):
    """The application must have found everything as it should be, and QEMU nothing to say."""
    assert guest.wait_exit(90) == 0, guest.tail()
    guest.require(r"share: \d+ checks, 0 failed")
    assert guest.stderr() == ""


def byte_at(number, offset):
    return (offset * 7 + (offset >> 8) * 13 + number * 31) & 255


# name: (properties of the device, more of Guest's options, kernel words)
WAYS = {
    "q35": ("", {}, ""),
    "pc": ("", dict(machine="pc"), ""),
    "modern": ("disable-legacy=on", {}, ""),
    "no-event-index": ("event_idx=off,indirect_desc=off", {}, ""),
    "line-interrupt": ("vectors=0", {}, ""),
    "poll": ("", {}, "irq=poll"),
    "legacy": ("disable-modern=on,disable-legacy=off", {}, ""),
    "mmio": ("", dict(machine="microvm", nic_kind="virtio-net-device"), ""),
}


@pytest.mark.parametrize("name", WAYS)
def test_web_server(name, site):
    """The web server serves a folder of the host, every file byte for byte."""
    device, options, words = WAYS[name]
    kind = "virtio-9p-device" if name == "mmio" else "virtio-9p-pci"
    with Guest(
        words=f"root=9p:host {words}",
        arguments=share(site.folder, device=device, kind=kind),
        **options,
    ) as guest:
        guest.wait_ready()
        guest.require(r"virtio-9p accepts .*MOUNT_TAG", r"fs: 9p host: mounted at /$")
        for path, expected in site.files.items():
            if not path.startswith("many/"):
                body = guest.get("/" + path.replace("%", "%25")).body
                assert (len(body), sha256(body)) == expected, path
        page = guest.get("/many/").body.decode()
        for path, (size, _) in site.files.items():
            if path.startswith("many/"):
                shown = rf"{size} B" if size < 1000 else r"\d"
                assert re.search(rf">{os.path.basename(path)}</a><td>{shown}", page), path
        assert guest.get("/none").status == 404
        assert guest.get("/with-index/").body == b"<p>the index of a folder</p>\n"
        guest.power_off()


def test_large_files(large_site):
    """Files of many messages, several of them at a time."""
    with Guest(words="root=9p:host", arguments=share(large_site.folder)) as guest:
        guest.wait_ready()
        check(guest, large_site, ["large/1mb.bin", "large/20mb.bin"])
        guest.power_off()


def test_two_thousand_files(tmp_path):
    """A folder whose names do not fit into one message, nor into ten."""
    names = [f"a file with the number {number} – ½.txt" for number in range(2000)]
    for number, name in enumerate(names):
        (tmp_path / name).write_bytes(b"x" * (number % 300))
    with Guest(words="root=9p:host", arguments=share(tmp_path)) as guest:
        guest.wait_ready()
        page = guest.get("/").body.decode()
        found = re.findall(r">(a file with the number \d+ – ½\.txt)</a><td>(\d+) B", page)
        assert sorted(found) == sorted((n, str(i % 300)) for i, n in enumerate(names))
        assert guest.get("/" + names[1999]).body == b"x" * (1999 % 300)
        guest.power_off()
    with app("list", "/", words="root=9p:host", shares=share(tmp_path)) as guest:
        finish(guest)
        guest.require(rf"share: / has 2000 names of {sum(len(n.encode()) for n in names)} bytes")


def test_changes_on_the_host(tmp_path):
    """Nothing is kept: what the host changes is served from then on."""
    with Guest(words="root=9p:host", arguments=share(tmp_path)) as guest:
        guest.wait_ready()
        for content in (b"first", b"and then something longer", b""):
            (tmp_path / "file.txt").write_bytes(content)
            assert guest.get("/file.txt").body == content
        (tmp_path / "file.txt").unlink()
        assert guest.get("/file.txt").status == 404
        guest.power_off()


def test_links(tmp_path):
    """Symbolic links lead where they point, but not out of the share."""
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (tmp_path / "secret").write_text("outside")
    (folder / "sub" / "file.txt").write_text("inside")
    for name, target in {
        "file": "sub/file.txt",
        "absolute": "/sub/file.txt",
        "down": "sub",
        "sub/up": "../file",
        "secret": "../secret",
        "host": str(tmp_path / "secret"),
        "circle": "circle",
    }.items():
        (folder / name).symlink_to(target)
    with Guest(words="root=9p:host", arguments=share(folder)) as guest:
        guest.wait_ready()
        for path in ("/file", "/absolute", "/down/file.txt", "/down/up"):
            assert guest.get(path).body == b"inside", path
        for path in ("/secret", "/host", "/circle"):
            assert guest.get(path).status == 404, path
        guest.power_off()


def judge_changes(folder):
    """What `write` has left in a folder."""
    left = {0, 2, 4, 5, 6, 7, 8}
    for number, size in enumerate(CHANGING_SIZES):
        path = folder / f"file {number} – ä.bin"
        if number == 1:
            path = folder / "folder" / "moved"
        elif number not in left:
            assert not path.exists()
            continue
        expected = bytes(byte_at(number, offset) for offset in range(size))
        assert sha256(path.read_bytes()) == sha256(expected), number
    assert (folder / "text.txt").read_bytes() == b"new"
    assert (folder / "sparse").read_bytes() == bytes(299) + b"!"
    many = sorted(entry.name for entry in (folder / "many").iterdir())
    assert many == sorted(f"a name of some length {number}" for number in range(1, 300, 2))
    for number in range(1, 300, 2):
        expected = f"many/a name of some length {number}".encode()[: number % 20]
        assert (folder / "many" / f"a name of some length {number}").read_bytes() == expected
    names = {entry.name for entry in folder.iterdir()}
    assert names == {"text.txt", "sparse", "many", "folder"} | {
        f"file {number} – ä.bin" for number in left
    }


@pytest.mark.parametrize("place", ["/", "/mnt/host", "/a/place of its own"])
def test_writing(place, tmp_path):
    """The C library writes, cuts, renames and removes; the host has exactly that."""
    words = {"/": "root=9p:host", "/mnt/host": ""}.get(place, f'9p.host="{place}"')
    with app("write", place.rstrip("/"), words=words, shares=share(tmp_path)) as guest:
        finish(guest)
    judge_changes(tmp_path)


def test_status(tmp_path):
    """Times, sizes and modes are the host's."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * 1234)
    path.chmod(0o640)
    os.utime(path, (1234567890, 1234567890))
    with app(
        "show", "/file", "show", "/", "show", "/none", words="root=9p:host", shares=share(tmp_path)
    ) as guest:
        finish(guest)
        guest.require(
            r"share: /file: mode 100640 size 1234 time 1234567890\s",
            r"share: /: mode 40\d\d\d ",
            r"share: /none: No such file or directory\s",
        )


def test_read_only(site):
    """A share that cannot be written to: every attempt is EROFS, reading goes on."""
    with app("refused", "/mnt/host", shares=share(site.folder, fsdev="readonly=on")) as guest:
        finish(guest)


def test_several_places(site, tmp_path):
    """A disk at /, two shares below: each path leads to its own, and files go from one to another."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    shares = share(first, "one") + share(second, "two", name="share1")
    path = "sizes/65537.bin"
    with app(
        *("copy", f"/{path}", "/mnt/one/copy"),
        *("copy", "/mnt/one/copy", "/srv/two/copy again"),
        words="9p.two=/srv/two/",
        shares=shares,
        disk=site.disk,
    ) as guest:
        finish(guest)
        guest.require(
            r"fs: 9p one: mounted at /mnt/one$",
            r"fs: 9p two: mounted at /srv/two$",
            r"fs: vda: FAT",
        )
    for copy in (first / "copy", second / "copy again"):
        content = copy.read_bytes()
        assert (len(content), sha256(content)) == site.files[path]


def test_words_that_cannot_be(site, tmp_path):
    """Wrong words are said in the log, and nothing is mounted where it should not be."""
    shares = share(tmp_path, "one") + share(tmp_path, "two", name="share1")
    with app(
        "show",
        "/",
        "show",
        "/index.html",
        words="root=9p:none 9p.one=relative",
        shares=shares,
        disk=site.disk,
    ) as guest:
        finish(guest)
        guest.require(
            r"error: root=9p:none: there is no share with this tag",
            r"error: 9p\.one=: not an absolute path",
            r"fs: 9p two: mounted at /mnt/two$",
            r"share: /: mode 40555 size 0 ",
            r"share: /index\.html: No such device",
        )
    with app(
        "show", "/", words="root=vdz 9p.one=/x 9p.two=/y/../x", shares=shares, disk=site.disk
    ) as guest:
        finish(guest)
        guest.require(
            r"error: fs: there is no disk vdz",
            r"error: fs: 9p two: not mounted at /x: something else is",
            r"share: /: mode 40",
        )
    bad = share(tmp_path, "a=b")
    with app("show", "/mnt/a=b", shares=bad) as guest:
        finish(guest)
        guest.require(r"its mount tag cannot be the name of a folder", r"share: .*No such device")
