"""The tables and the plot of a run.

python benchmarks/report.py RESULTS.json                            # print the Markdown
python benchmarks/report.py RESULTS.json --into docs/performance.md # put it between the page's markers
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:] = [p for p in sys.path if Path(p or ".").resolve() not in (ROOT, ROOT / "benchmarks")] + [str(ROOT)]

from benchmarks.cases import LIMITS, OURS  # noqa: E402
from benchmarks.goals import PASSES, Measured, table  # noqa: E402

BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
CROP = "†"


def number(value: float | None) -> str:
    if value is None:
        return ""
    return (
        f"{value:.3f}"
        if value < 1
        else f"{value:.2f}"
        if value < 10
        else f"{value:,.0f}"
        if value >= 100
        else f"{value:.1f}"
    )


def lines(header: list[str], rows: list[list[str]]) -> list[str]:
    """Return a Markdown table; numbers stand to the right."""
    rule = ["---"] + ["---:"] * (len(header) - 1)
    return ["| " + " | ".join(row) + " |" for row in [header, rule, *rows]] + [""]


def heading(results: dict) -> list[str]:
    machine, ours, other = results["machine"], results["spatialnorm"], results["other_work"]
    caches = ", ".join(f"{level} {size}" for level, size in machine["caches"].items())
    versions = ", ".join(
        f"{name} {version}" for name, version in results["versions"].items() if name not in (OURS, LIMITS)
    )
    text = [
        f"Measured {results['date']} by `{results['command']}`.",
        "",
        f"* Machine: {machine['processor']}, {machine['processors']} processors, {caches}; {machine['system']}, "
        f"{machine['libc']}, transparent huge pages: {machine['transparent_huge_pages'] or 'unknown'}.",
        f"* spatialnorm {ours.get('version', '?')} ({ours.get('package', '?')}), "
        f"instruction set {ours.get('isa', '?')}; Python {machine['python']}, NumPy {machine['numpy']}.",
        f"* Peers: {versions or 'none'}.",
    ]
    for name, reason in results["missing"].items():
        text.append(f"* Missing: {name} ({reason}).")
    for entry in results["problems"]:
        text.append(f"* No figure: {entry['contender']} on {entry['case']} ({entry['problem']}).")
    text.append(
        f"* Other work during the run: {other['others']:.2f} processors; taken by the host: {other['stolen']:.2f}; "
        f"{other['seconds']:.0f} s in all."
    )
    if not results["for_the_record"]:
        text.append("* **Not for the record**: a partial or quick run, or the machine was busy.")
    return [*text, ""]


def goals(results: dict) -> list[str]:
    words = {True: "yes", False: "**no**", None: "?"}
    rows = [[goal.text, goal.target, goal.figure, words[goal.reached]] for goal in table(results)]
    return ["### Goals", "", *lines(["goal", "wanted", "reached", ""], rows)]


def cell(m: Measured, section: str, case: str, contender: str, unit: str = "ns_per_element") -> str:
    """Return "forward / gradient" in the unit; a dagger marks a figure from a smaller array."""
    texts = []
    for job in PASSES:
        if contender.startswith(LIMITS):
            value, row = m.limit(section, case, job), None
        else:
            row = m.row(section, case, contender, job)
            value = row and (row["ns_per_element"]["median"] if unit == "ns_per_element" else row[unit])
        texts.append(number(value) + (CROP if row and "measured on" in row["note"] else ""))
    return " / ".join(texts) if any(texts) else ""


def peers(m: Measured) -> list[str]:
    text = []
    for section, title in (
        ("peers", "Everybody, one thread"),
        ("peer windows", "Everybody against the window, one thread"),
    ):
        cases = [case for s, case in m.cases if s == section]
        names = list(dict.fromkeys(row["contender"] for row in m.rows if row["section"] == section))
        if cases:
            rows = [[name, *(cell(m, section, case, name) for case in cases)] for name in names]
            text += [f"### {title}", "", "Forward / gradient, ns per element, median.", "", *lines(["", *cases], rows)]
    if CROP in "".join(text):
        text += [f"{CROP} too slow for the whole array: measured on a smaller part of it.", ""]
    return text


def ours(m: Measured) -> list[str]:
    rows = []
    for section, case in m.cases:
        if section in ("windows", "threads"):
            row = [case]
            for job in PASSES:
                limit, time = m.limit(section, case, job), m.time(section, case, job)
                two, two_limit = m.time(section, case, job, f"{OURS}, 2 threads"), m.limit(section, case, job, 2)
                times = f"{time / limit:.2f}" if time and limit else ""
                gain = f"{time / two:.2f}" if time and two else ""
                row += [
                    number(limit),
                    number(time),
                    times,
                    number(m.time(section, case, f"{job} fresh")),
                    gain,
                    number(two_limit),
                ]
            rows.append(row)
    if not rows:
        return []
    columns = ["limit", "forward", "x limit", "fresh result", "2 threads: x faster", "limit, 2 threads"]
    header = ["", *columns, *("gradient" if c == "forward" else c for c in columns)]
    return [
        "### spatialnorm against the limits",
        "",
        "ns per element, one thread unless said.",
        "",
        *lines(header, rows),
    ]


def variants(m: Measured) -> list[str]:
    text = []
    for section, title in (("layouts", "Layouts"), ("dtypes", "Types"), ("isa", "Instruction sets")):
        rows = []
        for s, case in m.cases:
            names = dict.fromkeys(r["contender"] for r in m.rows if (r["section"], r["case"]) == (section, case))
            rows += [[f"{case}, {name}", cell(m, section, case, name)] for name in names if s == section]
        if rows:
            text += [f"### {title}", "", *lines(["", "forward / gradient, ns per element"], rows)]
    return text


def calls(m: Measured) -> list[str]:
    cases = [(section, case) for section, case in m.cases if section in ("small", "tiny")]
    if not cases:
        return []
    names = dict.fromkeys(r["contender"] for r in m.rows if r["section"] in ("small", "tiny"))
    rows = [[name, *(cell(m, *case, name, "call_ns") for case in cases)] for name in names if name != LIMITS]
    for job, label in (
        ("forward bound", "spatialnorm, bound to its arrays (forward)"),
        ("np.add", "np.add(a, b, out=c)"),
    ):
        found = [m.row(*case, OURS, job) for case in cases]
        if any(found):
            rows.append([label, *(number(row and row["call_ns"]) for row in found)])
    return [
        "### One call on a small array",
        "",
        "Forward / gradient, ns per call.",
        "",
        *lines(["", *(case for _, case in cases)], rows),
    ]


def memory(results: dict) -> list[str]:
    rows = [[e["contender"], e["case"], f"{e['bytes'] / 2**20:.1f}"] for e in results["memory"]]
    title = "Peak memory of forward and gradient beside inputs and outputs"
    return [f"### {title}", "", *lines(["", "case", "MiB"], rows)] if rows else []


def errors(results: dict) -> list[str]:
    """Return the worst error of each contender and type over all rows, wrong rows included."""
    worst: dict[tuple[str, str], tuple[float, dict]] = {}
    for row in results["rows"]:
        if row["tolerance"] > 0:
            error = float("inf") if row["error"] is None else row["error"]
            words = row["case"].split()
            dtype = next((w for w in words if w in ("float16", "bfloat16", "float64")), "float32")
            key = row["contender"].split(",")[0], dtype
            if error >= worst.get(key, (0.0, row))[0]:
                worst[key] = error, row
    rows = [
        [
            f"{name}, {dtype}",
            f"{error:.1e}",
            f"{row['case']}, {row['job']}",
            f"{row['tolerance']:.0e}",
            "yes" if row["ok"] else "**no**",
        ]
        for (name, dtype), (error, row) in worst.items()
    ]
    wrong = sum(not row["ok"] for row in results["rows"])
    text = [
        "### Correctness",
        "",
        f"{len(results['rows'])} rows, {wrong} wrong. Largest error over largest magnitude, against float64:",
        "",
    ]
    return text + lines(["", "largest error", "where", "allowed", ""], rows)


def notes(results: dict) -> list[str]:
    """Return what the rows have to say, and who used more processors than it was allowed."""
    found: dict[str, list[str]] = {}
    for row in results["rows"]:
        allowed = 2 if row["contender"].endswith("2 threads") else 1
        remarks = row["note"].split("; ") if row["note"] else []
        if row["processors"] > allowed + 0.15:
            remarks.append(f"kept {row['processors']:.1f} processors busy")
        for remark in remarks:
            found.setdefault(f"{row['contender']}, {remark}", []).append(f"{row['case']} {row['job']}")
    text = [f"* {remark}: {', '.join(dict.fromkeys(where))}." for remark, where in found.items()]
    return ["### Notes", "", *text, ""] if text else []


def markdown(results: dict) -> str:
    m = Measured(results)
    parts = [
        heading(results),
        goals(results),
        peers(m),
        ours(m),
        variants(m),
        calls(m),
        memory(results),
        errors(results),
    ]
    return "\n".join(line for part in [*parts, notes(results)] for line in part).rstrip() + "\n"


def plot(results: dict, file: Path) -> str:
    """Draw time per element against the window; return why not, or "" when drawn."""
    m = Measured(results)
    section = next((s for s in ("peer windows", "windows", "peers") if sum(c[0] == s for c in m.cases) > 1), "")
    if not section:
        return "No plot: the run has no series of windows."
    try:
        import matplotlib
    except ImportError:
        return "No plot: matplotlib is not installed."
    matplotlib.use("Agg")
    from matplotlib import pyplot

    shape = next(case for s, case in reversed(m.cases) if s == section).split()[0]
    cases = {int(case.split("k=")[1]): case for s, case in m.cases if s == section and case.split()[0] == shape}
    names = dict.fromkeys(r["contender"] for r in m.rows if r["section"] == section and "threads" not in r["contender"])
    figure, axes = pyplot.subplots(1, 2, figsize=(11, 4.8), sharey=True, layout="constrained")
    for axis, job in zip(axes, PASSES, strict=True):
        axis.set_prop_cycle(color=[color for i, color in enumerate(pyplot.colormaps["tab10"].colors) if i != 3])
        for name in names:
            read = m.limit if name == LIMITS else m.time
            points = {
                k: read(section, case, job) if name == LIMITS else read(section, case, job, name)
                for k, case in cases.items()
            }
            points = {k: v for k, v in points.items() if v is not None}
            style = {"color": "black", "linestyle": "--"} if name == LIMITS else {"marker": "o", "markersize": 3}
            style |= {"color": "crimson", "linewidth": 2.5, "zorder": 5} if name == OURS else {}
            label = "limit: read the inputs, write the output" if name == LIMITS else name
            axis.plot(list(points), list(points.values()), label=label, **style)
        axis.set(
            xscale="log",
            yscale="log",
            xlabel="window size",
            title=f"{job}, {shape.removeprefix('1x1x')} float32, one thread",
        )
        axis.set_xticks(list(cases), list(map(str, cases)))
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("ns per element")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", fontsize=8, frameon=False)
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)
    pyplot.close(figure)
    return ""


def main() -> None:
    parser = argparse.ArgumentParser(description="Print the tables of a benchmark run, or put them into a page.")
    parser.add_argument("results", type=Path)
    parser.add_argument("--into", type=Path, help=f"a page with the lines {BEGIN} and {END}")
    parser.add_argument("--plot", type=Path, help="also draw the plot here (.svg, .png)")
    options = parser.parse_args()
    results = json.loads(options.results.read_text())
    text = markdown(results)
    if options.plot and (problem := plot(results, options.plot)):
        sys.exit(problem)
    if not options.into:
        print(text, end="")
        return
    page = options.into.read_text()
    if BEGIN not in page or END not in page.split(BEGIN)[1]:
        sys.exit(f"{options.into} has no lines {BEGIN} and {END}")
    before, rest = page.split(BEGIN, 1)
    options.into.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{rest.split(END, 1)[1]}")


if __name__ == "__main__":
    main()
