"""Which functions of Ferrule's kernel a load's instructions are executed in, counted by count_instructions.c.

Owns the way from counts by address to counts by function, and the list that is printed. A function that the compiler
has put into its caller counts as part of it. Read next: measure.py.
"""

import bisect
import os
import subprocess
from array import array

import measure

SHOWN = 40  # functions; the rest is one line


class Profile:
    """The counts of one machine after the other, in `file`. `arguments` go to the plugin."""

    def __init__(self, file, name="ferrule"):
        image = measure.TOP / "build" if not os.environ.get("FERRULE_BUILD") else os.environ["FERRULE_BUILD"]
        text = subprocess.run(["nm", f"{image}/{name}.debug.elf"], capture_output=True, text=True, check=True, timeout=30).stdout
        found = [line.split() for line in text.splitlines()]
        symbols = sorted((int(word[0], 16), word[2]) for word in found if len(word) == 3 and word[1] in "tTwW")
        self.file = file
        self.starts, self.names = zip(*symbols)
        self.arguments = f",code={self.starts[0]:#x}-{self.starts[-1] + 1:#x},profile={file}"

    def read(self):
        return array("Q", self.file.read_bytes())

    def text(self, before, after, count):
        """The functions of what was executed between two readings, for one of `count` loads."""
        spent = {}
        for at, (first, last) in enumerate(zip(before, after)):
            if first != last:
                name = self.names[bisect.bisect_right(self.starts, self.starts[0] + at) - 1]
                spent[name] = spent.get(name, 0) + last - first
        ranked = sorted(spent.items(), key=lambda item: -item[1])
        rest = sum(instructions for _, instructions in ranked[SHOWN:])
        lines = [f"{instructions / count:10.1f}  {name}" for name, instructions in ranked[:SHOWN]]
        return "\n".join([*lines, f"{rest / count:10.1f}  {len(ranked[SHOWN:])} others", f"{sum(spent.values()) / count:10.1f}  in all"])
