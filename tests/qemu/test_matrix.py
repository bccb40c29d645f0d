"""A covering choice of the matrix (tests/matrix): any two values of different dimensions that can go
together do so in one of these cells. `make matrix` runs every cell.

Owns the choice and that the checks can fail; cells.py has the dimensions, cell.py what is checked.
"""
import concurrent.futures
import os
import sys

import pytest

from ferrule import TOP

sys.path.insert(0, os.path.join(TOP, "tests", "matrix"))

import cell as matrix  # noqa: E402
import cells  # noqa: E402

IN_ORDER = matrix.offers_in_order()
CHOICE = {cells.name_of(cell): cell for cell in cells.covering(cells.legal_cells(IN_ORDER), 2)}
AT_A_TIME = 2


@pytest.fixture(scope="module")
def isos(tmp_path_factory):
    return matrix.make_isos(str(tmp_path_factory.mktemp("isos")))


@pytest.fixture(scope="module")
def outcomes(request, site, isos, tmp_path_factory):
    """The cells that were selected, under way two at a time while the tests wait for them in turn."""
    folder = str(tmp_path_factory.mktemp("cells"))
    selected = [
        item.callspec.params["name"]
        for item in request.session.items
        if item.module is request.module and hasattr(item, "callspec")
    ]
    with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
        yield {
            name: pool.submit(matrix.run_cell, CHOICE[name], site, isos, folder, IN_ORDER)
            for name in selected
        }


@pytest.mark.parametrize("name", CHOICE)
def test_cell(name, outcomes):
    """What was meant is negotiated, files come over the network, and the disk holds what was written."""
    outcomes[name].result()


def test_choice_covers():
    """Any two values that meet in a legal cell meet in a chosen one, and each value is chosen."""
    legal = cells.legal_cells(IN_ORDER)
    met = set().union(*(cells.tuples_of(cell, 2) for cell in CHOICE.values()))
    assert met == set().union(*(cells.tuples_of(cell, 2) for cell in legal))
    assert not any(cells.reason_against(cell, IN_ORDER) for cell in CHOICE.values())
    assert len({cells.name_of(cell) for cell in cells.all_cells()}) == len(cells.all_cells())


# What the guest is, and what it is taken for.
MEANT = cells.Cell("q35", "modern", "split", "on", "on", "on", "off", "msix", "multiboot")
OTHERS = {
    "packed": dict(ring="packed"),
    "no-event-index": dict(event_idx="off"),
    "no-indirect": dict(indirect="off"),
    "no-merging": dict(mrg_rxbuf="off"),
    "polled": dict(irq="poll"),
    "legacy": dict(transport="legacy"),
}


def test_what_was_not_meant_is_noticed(site, isos, tmp_path):
    """A guest that works, but by other means than its cell says, fails."""
    scratch = tmp_path / "scratch.img"
    scratch.write_bytes(b"\xff" * matrix.SCRATCH_SIZE)
    with matrix.start(MEANT, site.disk, str(scratch), isos, IN_ORDER) as guest:
        guest.wait_ready()
        matrix.check_negotiated(MEANT, guest)
        matrix.check_boot(MEANT, guest)
        for change in OTHERS.values():
            with pytest.raises(matrix.CellError):
                matrix.check_negotiated(MEANT._replace(**change), guest)
        for change in (dict(boot="pvh"), dict(transport="transitional")):
            with pytest.raises(matrix.CellError):
                matrix.check_boot(MEANT._replace(**change), guest)
        guest.power_off()
    with pytest.raises(matrix.CellError, match="sector 0 "):
        matrix.check_scratch(str(scratch))
