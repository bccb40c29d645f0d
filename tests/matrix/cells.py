"""The matrix as data: what varies, which combinations cannot be and why, and covering choices of the rest.

Owns no guest: cell.py starts and checks one, run goes through all of them. docs/MATRIX.md has the results.
"""
import collections
import itertools
import random

BOOLEANS = ("on", "off")
DIMENSIONS = {
    "machine": ("q35", "pc", "microvm"),
    "transport": ("modern", "transitional", "legacy", "mmio1", "mmio2"),
    "ring": ("split", "packed"),
    "event_idx": BOOLEANS,
    "indirect": BOOLEANS,
    "mrg_rxbuf": BOOLEANS,
    "in_order": BOOLEANS,
    "irq": ("msix", "intx", "poll"),
    "boot": ("multiboot", "pvh", "grub-bios", "grub-uefi"),
}
Cell = collections.namedtuple("Cell", DIMENSIONS)


def is_mmio(cell):
    return cell.transport.startswith("mmio")


def is_legacy(cell):
    return cell.transport in ("legacy", "mmio1")


# Reasons for which a combination cannot be, or cannot be tried. The first that holds is given.
RULES = (
    ("only a microvm has virtio-mmio devices", lambda cell: is_mmio(cell) and cell.machine != "microvm"),
    (
        "a microvm's PCI bridge has no window for I/O ports",
        lambda cell: cell.machine == "microvm" and cell.transport == "legacy",
    ),
    ("virtio over MMIO has no MSI-X (4.2)", lambda cell: is_mmio(cell) and cell.irq == "msix"),
    ("packed rings need VERSION_1", lambda cell: is_legacy(cell) and cell.ring == "packed"),
    ("IN_ORDER needs VERSION_1", lambda cell: is_legacy(cell) and cell.in_order == "on"),
    (
        "the distribution has no UEFI firmware for a microvm",
        lambda cell: cell.machine == "microvm" and cell.boot == "grub-uefi",
    ),
    (
        "a microvm has no CD-ROM drive, and its firmware starts no GRUB from a virtio disk",
        lambda cell: cell.machine == "microvm" and cell.boot == "grub-bios",
    ),
)
NO_IN_ORDER = "this QEMU does not offer IN_ORDER"


def name_of(cell):
    """Short and unique: a feature that is off is left out."""
    words = [cell.machine, cell.transport, cell.ring]
    words += [name for name in ("event_idx", "indirect", "mrg_rxbuf", "in_order") if getattr(cell, name) == "on"]
    return "-".join([*words, cell.irq, cell.boot])


def reason_against(cell, in_order=True):
    """Why this combination is skipped, or None. in_order: whether the emulator has it."""
    for reason, holds in RULES:
        if holds(cell):
            return reason
    return NO_IN_ORDER if cell.in_order == "on" and not in_order else None


def all_cells():
    return [Cell(*values) for values in itertools.product(*DIMENSIONS.values())]


def legal_cells(in_order):
    return [cell for cell in all_cells() if not reason_against(cell, in_order)]


def tuples_of(cell, strength):
    return set(itertools.combinations(enumerate(cell), strength))


def covering(cells, strength):
    """Some of the cells, so that any values of `strength` dimensions that occur together in one of
    all cells do so in one of these. The same choice each time; those that cover most come first.
    """
    shuffled = random.Random(1).sample(cells, len(cells))
    wanted = {cell: tuples_of(cell, strength) for cell in shuffled}
    missing = set().union(*wanted.values())
    chosen = []
    while missing:
        # What a cell adds only falls, so one that adds as much as the best had added is the best.
        best = max(shuffled, key=lambda cell: len(wanted[cell] & missing))
        chosen.append(best)
        missing -= wanted[best]
        for cell in shuffled:
            wanted[cell] &= missing
    return chosen
