"""The grid of simulated lines, and what was measured over it as a table and as a picture."""

import math
from itertools import product

KIB, MIB = 1 << 10, 1 << 20
OBJECTS = ("large", "small")
RTT = (1, 20, 80)
TOTAL = (200, 1000)
EACH = (None, 20)
CAP = (None, 4)
SMALL = 256 * KIB
# How long the longest measurement needs objects for, with some to spare.
SECONDS = 14


def cells(quick):
    found = [cell(*values) for values in product(OBJECTS, RTT, TOTAL, EACH, CAP)]
    if quick:
        chosen = [("large", 80, 1000, None, None), ("large", 20, 1000, 20, None), ("large", 20, 200, 20, 4), ("large", 1, 1000, None, 4),
                  ("small", 80, 1000, None, None), ("small", 20, 1000, 20, None), ("small", 20, 200, None, 4), ("small", 1, 1000, None, None)]
        found = [cell(*values) for values in chosen]
    return found


def cell(objects, rtt, total, each, cap):
    """What the line is like, what it may carry at most, and what wan is told."""
    most = total * 125e3
    if cap and each:
        most = min(most, cap * each * 1e6)
    if cap and objects == "small":
        most = min(most, cap * SMALL / (rtt / 1e3))
    name = f"{objects} {rtt}ms {total}Mbit each={each or '-'} cap={cap or '-'}"
    count = 16 if objects == "large" else int(most * SECONDS / SMALL) + 100
    wan = ["--rtt", f"{rtt}ms", "--total", f"{total}Mbit", "--seed", "1"]
    wan += ["--each", f"{each}MB"] if each else []
    wan += ["--cap", str(cap)] if cap else []
    wan += ["--list", f"large={count}x256MiB" if objects == "large" else f"small={count}x256KiB~"]
    return {"name": name, "objects": objects, "rtt": rtt, "total": total, "each": each, "cap": cap, "most": most, "wan": wan}


def compared(cell, rows):
    """The means of a cell's fixed numbers, the best of them, and auto; None before all are there."""
    mine = [row for row in rows if row["cell"] == cell["name"]]
    names = {row["connections"]: None for row in mine}
    means = {name: mean([row for row in mine if row["connections"] == name]) for name in names}
    auto = means.pop("auto", None)
    again = [name for name in means if means[name]["count"] > 1]
    if not again or not auto:
        return None
    return list(means.values()), means[again[0]], auto


def mean(rows):
    """Several measurements of the same as one; refusals are added up."""
    row = {name: sum(row[name] for row in rows) / len(rows) for name in ("rate", "open")}
    row |= {name: sum(row[name] for row in rows) for name in ("refused", "refused_later")}
    return row | {"connections": rows[0]["connections"], "count": len(rows)}


def table(cells, rows, goal):
    lines = [f"{'objects':8}{'rtt':>6}{'total':>10}{'each':>9}{'cap':>5}{'best fixed':>14}{'MB/s':>8}{'auto':>7}{'MB/s':>8}"
             f"{'auto/best':>11}{'refused':>9}{'later':>7}{'fixed 8':>9}"]
    ratios, later = [], 0
    for cell in cells:
        found = compared(cell, rows)
        if not found:
            continue
        fixed, best, auto = found
        most = best["rate"]
        ratio = auto["rate"] / most
        ratios.append(ratio)
        later += auto["refused_later"]
        eight = next((row["refused"] for row in fixed if row["connections"] == 8 and cell["cap"]), "")
        each = f"{cell['each']} MB/s" if cell["each"] else "-"
        lines.append(f"{cell['objects']:8}{cell['rtt']:>4}ms{cell['total']:>6}Mbit{each:>9}{cell['cap'] or '-':>5}{best['connections']:>14}"
                     f"{most / 1e6:>8.1f}{auto['open']:>7.0f}{auto['rate'] / 1e6:>8.1f}{ratio:>11.3f}{auto['refused']:>9}"
                     f"{auto['refused_later']:>7}{eight:>9}{'' if ratio >= goal else '  <'}")
    if ratios:
        below = sum(ratio < goal for ratio in ratios)
        lines += ["", f"auto / best fixed: smallest {min(ratios):.3f}, mean {sum(ratios) / len(ratios):.3f}; "
                      f"{len(ratios) - below} of {len(ratios)} cells reach {goal}"]
    lines += [
        "MB/s: means of two measurements. auto: connections open on average, second 5 to 9. refused: connections of both",
        f"runs of auto that were beyond the cap, from the start; later: after second 5 ({later} in all); fixed 8: the same for",
        "eight connections in five seconds, once.",
    ]
    return lines


def svg(cells, rows, goal):
    """A panel for each cell: rate over connections, fixed numbers as a line and auto as a dot."""
    wide, high, left, top = 122, 92, 96, 78
    columns = list(product(TOTAL, EACH, CAP))
    lines = list(product(OBJECTS, RTT))
    width, height = left + wide * len(columns) + 14, top + high * len(lines) + 34
    x = lambda n: 10 + (wide - 24) * math.log2(max(n, 1)) / 7  # noqa: E731
    y = lambda share: high - 18 - (high - 34) * min(share, 1.1)  # noqa: E731
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="10">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        '<text x="12" y="20" font-size="14">Connections: fixed numbers (line) and auto (dot), rate as a share of the best fixed one</text>',
        f'<text x="12" y="36" fill="#555">x: connections, 1 to 128, doubling. Number: auto / best. Dashed: {goal}.</text>',
    ]
    for i, (total, each, cap) in enumerate(columns):
        words = [f"{total} Mbit/s", f"each {each} MB/s" if each else "each unlimited", f"cap {cap}" if cap else "no cap"]
        for j, word in enumerate(words):
            out.append(f'<text x="{left + wide * i + wide / 2 - 4}" y="{top - 26 + 11 * j}" text-anchor="middle">{word}</text>')
    by_values = {(c["objects"], c["rtt"], c["total"], c["each"], c["cap"]): c for c in cells}
    for j, (objects, rtt) in enumerate(lines):
        out.append(f'<text x="12" y="{top + high * j + high / 2}">{objects}</text><text x="12" y="{top + high * j + high / 2 + 13}">{rtt} ms</text>')
        for i, (total, each, cap) in enumerate(columns):
            out.append(f'<g transform="translate({left + wide * i},{top + high * j})">')
            out.append(f'<rect x="2" y="2" width="{wide - 10}" height="{high - 10}" fill="none" stroke="#ccc"/>')
            out.append(f'<line x1="2" x2="{wide - 8}" y1="{y(goal):.1f}" y2="{y(goal):.1f}" stroke="#bbb" stroke-dasharray="3 3"/>')
            cell = by_values.get((objects, rtt, total, each, cap))
            found = compared(cell, rows) if cell else None
            if found:
                fixed, best, auto = found
                most = best["rate"]
                points = [(x(row["connections"]), y(row["rate"] / most)) for row in fixed]
                path = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
                out.append(f'<polyline points="{path}" fill="none" stroke="#888"/>')
                out += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="1.8" fill="#888"/>' for a, b in points]
                ratio = auto["rate"] / most
                colour = "#06c" if ratio >= goal else "#c30"
                out.append(f'<circle cx="{x(auto["open"]):.1f}" cy="{y(ratio):.1f}" r="4" fill="{colour}"/>')
                out.append(f'<text x="{wide - 14}" y="{high - 16}" text-anchor="end" fill="{colour}">{ratio:.2f}</text>')
            out.append("</g>")
    out.append("</svg>")
    return "\n".join(out) + "\n"
