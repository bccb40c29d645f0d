"""What the tests in QEMU share: disk images, a guest that many tests of the web server use, and the
order of the files.

Owns nothing that a test checks. Read ferrule.py for the guest, website.py for what is on its disk.
"""
import os
import shutil

import pytest

from ferrule import BUILD, KERNEL, Guest
from netns import HOST6, Network, why_not
from website import Site


def pytest_configure(config):
    """Disk images take more than a gigabyte in all: they live in the build folder, for one run."""
    if not config.option.basetemp:
        folder = config.option.basetemp = os.path.join(BUILD, f"qemu-tests-{os.getpid()}")
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


@pytest.fixture(autouse=True)
def tidy(tmp_path):
    """What a test wrote goes with it; the console of a failed one is in its message."""
    yield
    shutil.rmtree(tmp_path, ignore_errors=True)


@pytest.fixture
def own_network():
    """A network in a namespace that no other guest is on."""
    reason = why_not()
    if reason:
        pytest.skip(reason)
    with Network() as made:
        yield made


@pytest.fixture(scope="module")
def network():
    """A network with IPv6, too, for all tests of a file that ask for it."""
    reason = why_not()
    if reason:
        pytest.skip(reason)
    with Network() as made:
        made.run("ip", "address", "add", f"{HOST6}/64", "dev", "tap0", "nodad")
        yield made


def pytest_collection_modifyitems(items):
    """The canaries go first: when they do not fail where they should, no other result means
    anything.
    """
    items.sort(key=lambda item: "test_canary" not in item.nodeid)


@pytest.fixture(scope="session", autouse=True)
def kernel():
    if not os.path.exists(KERNEL):
        pytest.exit(
            f"there is no {os.path.relpath(KERNEL, BUILD)} in {BUILD}: run make first", returncode=1
        )


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """A site of small files, and its image: quick to make, enough for most tests."""
    made = Site(tmp_path_factory.mktemp("site"), seed=1, large=False)
    made.disk = made.image(tmp_path_factory.mktemp("disk") / "small.img")
    return made


@pytest.fixture(scope="session")
def large_site(tmp_path_factory):
    """The same with files of 1, 20 and 100 MB."""
    made = Site(tmp_path_factory.mktemp("site"), seed=2, large=True)
    made.disk = made.image(tmp_path_factory.mktemp("disk") / "large.img")
    return made


class SharedGuest:
    """Starts a guest when it is first needed, and a new one when a test has killed it."""

    def __init__(self, start):
        self._start = start
        self._guest = None

    def get(self):
        if self._guest and not self._guest.running:
            self.close()
        if not self._guest:
            self._guest = self._start()
            self._guest.wait_ready()
        return self._guest

    def close(self):
        if self._guest:
            self._guest.close()
            self._guest = None


@pytest.fixture(scope="module")
def shared_guest(large_site):
    shared = SharedGuest(lambda: Guest(large_site.disk))
    yield shared
    shared.close()


@pytest.fixture
def server(shared_guest):
    """A guest that serves the large site, shared by the tests of one file; it must outlive each of
    them.
    """
    guest = shared_guest.get()
    start = len(guest.console)
    yield guest
    print("--- console since the test began ---\n" + guest.console[start:].decode(errors="replace"))
    assert guest.running, guest.tail()
