"""The results of a benchmark run as a table, as marks that were reached or not, and as JSON.

Owns medians, ratios and the layout of the text. Everything in the table is the median of its samples.
"""

import statistics
from dataclasses import dataclass, field


MARK_COLUMNS = ("Linux / unikernel elsewhere", "part of the goal")


@dataclass
class Row:
    key: str
    label: str
    unit: str
    digits: int
    higher_is_better: bool = False
    ferrule: list = field(default_factory=list)
    linux: list = field(default_factory=list)
    mark: str = ""  # known beforehand: a tuned Linux guest | the best unikernel

    def part_of_goal(self):
        """The goal is half of the better one of the two known beforehand; 1 and less: reached. None without it."""
        if not self.mark or not self.ferrule:
            return None
        return statistics.median(self.ferrule) / (min(float(text) for text in self.mark.split(" / ")) / 2)

    def better_by(self):
        """How many times better Ferrule did; None without both sides."""
        if not self.ferrule or not self.linux:
            return None
        ours, theirs = statistics.median(self.ferrule), statistics.median(self.linux)
        if not ours or not theirs:
            return None
        return ours / theirs if self.higher_is_better else theirs / ours


@dataclass
class Mark:
    text: str
    value: float  # None: not measured
    limit: float
    unit: str
    including: bool = False

    def verdict(self):
        if self.value is None:
            return "not measured"
        reached = self.value <= self.limit if self.including else self.value < self.limit
        return "PASS" if reached else "FAIL"


def number(value, digits):
    return f"{value:,.{digits}f}"


def cell(samples, digits, unit):
    """Median, and in brackets the least and the greatest when they differ."""
    if not samples:
        return "-"
    text = f"{number(statistics.median(samples), digits)}{' ' + unit if unit else ''}"
    low, high = number(min(samples), digits), number(max(samples), digits)
    return text if low == high else f"{text} ({low}-{high})"


def ratio(factor):
    if not factor:
        return "-"
    return f"{number(factor, 1 if factor >= 1 else 2)}x"


def table(rows):
    marks = [row.mark for row in rows] if any(row.mark for row in rows) else None
    lines = [("", "Ferrule", "Linux guest", "Ferrule better by", *(MARK_COLUMNS if marks else []))]
    for row in rows:
        factor = row.better_by()
        cells = [cell(samples, row.digits, row.unit) for samples in (row.ferrule, row.linux)]
        goal = row.part_of_goal()
        known = [row.mark, "-" if goal is None else number(goal, 2)] if marks else []
        lines.append((row.label, *cells, ratio(factor), *known))
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    out = []
    for index, line in enumerate(lines):
        padded = [line[0].ljust(widths[0])] + [text.rjust(width) for text, width in zip(line[1:], widths[1:])]
        out.append("| " + " | ".join(padded) + " |")
        if index == 0:
            rules = ["-" * widths[0]] + ["-" * (width - 1) + ":" for width in widths[1:]]
            out.append("| " + " | ".join(rules) + " |")
    return "\n".join(out)


def marks_of(rows):
    by_key = {row.key: row for row in rows}

    def median(key):
        return statistics.median(by_key[key].ferrule) if by_key[key].ferrule else None

    factor = by_key["boot"].better_by()
    return [
        Mark("ready, part of the Linux guest's time", 1 / factor if factor else None, 1 / 5, ""),
        Mark("image", median("image"), 1 << 20, "bytes"),
        Mark("least memory that serves", median("memory"), 16, "MiB", including=True),
    ]


def marks_text(marks):
    lines = []
    for mark in marks:
        digits = 0 if mark.unit else 3
        bound = f"{'at most' if mark.including else 'under'} {number(mark.limit, digits)} {mark.unit}".rstrip()
        value = "-" if mark.value is None else f"{number(mark.value, digits)} {mark.unit}".rstrip()
        lines.append(f"{mark.verdict():>12}  {mark.text}: {value} (mark: {bound})")
    return "\n".join(lines)


def as_json(about, rows, marks):
    return {
        **about,
        "rows": [
            {
                "key": row.key,
                "label": row.label,
                "unit": row.unit,
                "higher_is_better": row.higher_is_better,
                "ferrule": row.ferrule,
                "linux": row.linux,
                "mark": row.mark,
                "ferrule_better_by": row.better_by(),
                "part_of_goal": row.part_of_goal(),
            }
            for row in rows
        ],
        "marks": [
            {"text": mark.text, "value": mark.value, "limit": mark.limit, "verdict": mark.verdict()} for mark in marks
        ],
    }
