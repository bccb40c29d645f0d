"""The two plots of bench-paravirt, drawn by gnuplot: paravirt-disk.svg and paravirt-net.svg.

A plot has a column of bars for each figure and a group of bars for each variant. Read next: paravirt.
"""
import shutil
import subprocess

from turns import say

# Figure, label, and where a logarithmic axis begins.
FIGURES = {
    "disk": [("throughput", "throughput, IDE by DMA = 1", None), ("accesses", "device accesses a request", 1e-3),
             ("instructions", "guest instructions a request", 100)],
    "net": [("throughput", "throughput, e1000 = 1", None), ("accesses", "device accesses a packet", 1e-3),
            ("instructions", "guest instructions a packet", 10)],
}
TITLES = {"disk": "Disks: emulated and paravirtual, in one run", "net": "Networks: emulated and paravirtual, in one run"}
TICKS = "0.001, 0.01, 0.1, 1, 10, 100, '1k' 1e3, '10k' 1e4, '100k' 1e5"
# The names stand at the left of the first plot.
WIDTHS = (0.42, 0.29, 0.29)


def script(kind, loads, path):
    """What gnuplot is told: one plot for each figure, beside each other; the names stand at the left one only."""
    names = list(next(iter(loads.values())))
    height = 120 + 26 * len(names) * len(loads) // 2
    lines = [f"set terminal svg size 1200,{height} font 'sans,11' background 'white'", f"set output '{path}'",
             f"set multiplot title '{TITLES[kind]}'", "set termoption noenhanced", "set style fill solid 0.8 border -1",
             "set grid xtics lt 0 lc rgb '#cccccc'", f"set yrange [{len(names) - 0.5}:-0.5]", "set key at screen 0.5,0.02 center bottom", f"set bmargin {6 + len(loads)}", "set tics nomirror"]
    thickness = 0.8 / len(loads)
    for column, (key, label, least) in enumerate(FIGURES[kind]):
        lines += [f"set xlabel '{label}'", f"set logscale x; set xtics ({TICKS}); set xrange [{least}:*]" if least else
                  "unset logscale x; set xtics auto; set xrange [0:*]"]
        lines += [f"set origin {sum(WIDTHS[:column])},0", f"set size {WIDTHS[column]},0.95"]
        ticks = ", ".join(f"'{name if column == 0 else ''}' {number}" for number, name in enumerate(names))
        lines += [f"set ytics ({ticks})", f"set lmargin {34 if column == 0 else 4}"]
        bars = []
        for index, (load, rows) in enumerate(loads.items()):
            lines.append(f"$bars{column}_{index} << END")
            for number, name in enumerate(names):
                value = max(rows.get(name, {}).get(key) or 0, least or 0)
                middle = number - 0.4 + thickness * (index + 0.5)
                lines.append(f"{value} {middle} {least or 0} {value} {middle - thickness / 2} {middle + thickness / 2}")
            lines.append("END")
            bars.append(f"$bars{column}_{index} using 1:2:3:4:5:6 with boxxyerror title '{load if column == 1 else ''}'")
        lines.append("plot " + ", ".join(bars))
    return "\n".join([*lines, "unset multiplot", ""])


def draw(results, folder):
    if not shutil.which("gnuplot"):
        say("no plots: gnuplot is not installed")
        return
    for kind in FIGURES:
        if kind in results:
            path = folder / f"paravirt-{kind}.svg"
            subprocess.run(["gnuplot"], input=script(kind, results[kind], path), text=True, check=True, timeout=60)
            say(f"plot: {path}")
