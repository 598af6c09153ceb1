"""The project's goals, row by row, from the rows of one run. Ratios of medians."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.cases import (
    BATCH,
    CHANNELS,
    LARGE,
    LIMITS,
    NETWORK,
    OURS,
    PHOTOGRAPH,
    SMALL,
    TINY,
    WINDOWS,
    Case,
    Contender,
    replace,
    windows,
)

PASSES = ("forward", "gradient")
RIVALS = ("OpenCV", "Numba", "JAX", "SciPy", "PyTorch", "torch.compile")

NEEDED = ("OpenCV", "Numba", "JAX", "SciPy", "PyTorch eager")


@dataclass
class Goal:
    """A goal, the figure reached, and whether that is enough (None: not measured in this run)."""

    text: str
    target: str
    figure: str = "not measured"
    reached: bool | None = None

    def at_most(self, values: dict[str, float | None], bound: float) -> Goal:
        return self.judge(values, max, lambda v: v <= bound)

    def at_least(self, values: dict[str, float | None], bound: float) -> Goal:
        return self.judge(values, min, lambda v: v >= bound)

    def judge(self, values, worst, enough) -> Goal:
        """Take the worst of the labelled values; without any of them nothing is claimed."""
        known = {label: v for label, v in values.items() if v is not None}
        if known:
            label = worst(known, key=known.get)
            self.figure = f"{known[label]:.2f}" + (f" ({label})" if label else "")
            self.reached = enough(known[label]) if len(known) == len(values) or not enough(known[label]) else None
            if self.reached is None:
                self.figure += f"; {len(values) - len(known)} of {len(values)} not measured"
        return self


class Measured:
    """Access to the rows of a run."""

    def __init__(self, results: dict) -> None:
        self.rows, self.memory = results["rows"], results["memory"]
        self.cases = list(dict.fromkeys((row["section"], row["case"]) for row in self.rows))
        self.table = {(r["section"], r["case"], r["contender"], r["job"]): r for r in self.rows if r["ok"]}

    def row(self, section: str, case: str, contender: str, job: str) -> dict | None:
        return self.table.get((section, case, contender, job))

    def time(self, section: str, case: Case | str, job: str, contender: Contender | str = OURS) -> float | None:
        """Return nanoseconds per element, the median."""
        case, contender = getattr(case, "name", case), getattr(contender, "name", contender)
        row = self.row(section, case, contender, job)
        return row["ns_per_element"]["median"] if row else None

    def limit(self, section: str, case: Case | str, job: str, threads: int = 1) -> float | None:
        """Return the best of the ways to read the inputs and write the output."""
        case, name = getattr(case, "name", case), Contender(LIMITS, threads).name
        times = [
            row["ns_per_element"]["median"]
            for (s, c, contender, way), row in self.table.items()
            if (s, c, contender) == (section, case, name) and way.startswith(job + " ")
        ]
        return min(times, default=None)

    def rivals(self, section: str, case: str, job: str) -> dict[str, float]:
        return {
            contender: row["ns_per_element"]["median"]
            for (s, c, contender, j), row in self.table.items()
            if (s, c, j) == (section, case, job) and contender.startswith(RIVALS)
        }


def ratio(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a / b


def plus(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a + b


def memory_limit(m: Measured) -> list[Goal]:
    def worst(job: str, sizes: list[int]) -> dict[str, float | None]:
        cases = windows(4096, sizes)
        return {f"k={c.kernel_size}": ratio(m.time("windows", c, job), m.limit("windows", c, job)) for c in cases}

    goals = []
    for job, what, bounds in (
        ("forward", "copies (read x, write y)", [([3, 5, 9], 2.2), ([63], 3.5)]),
        ("gradient", "of its limit (read x and dy, write dx)", [([3, 5], 2.6), ([9], 3.2), ([63], 4.5)]),
    ):
        for sizes, bound in bounds:
            window = f"window {sizes[0]}" + (f" to {sizes[-1]}" if len(sizes) > 1 else "")
            goal = Goal(f"{job}, one thread, 4096x4096, {window}: {what}", f"<= {bound}")
            goals.append(goal.at_most(worst(job, sizes), bound))
    first, last = windows(4096, [WINDOWS[0], WINDOWS[-1]])
    growth = {job: ratio(m.time("windows", last, job), m.time("windows", first, job)) for job in PASSES}
    goals.append(Goal("window 63 against window 3, time", "<= 2.0").at_most(growth, 2.0))
    return goals


def peers(m: Measured) -> list[Goal]:
    def both(contender: str) -> float | None:
        return plus(*(m.time("peers", NETWORK, job, contender) for job in PASSES))

    onednn = Goal(f"forward + gradient against oneDNN in its best layout, {NETWORK.name}: its time", "<= 0.8")
    goals = [onednn.at_most({"": ratio(both(OURS), both("oneDNN best layout"))}, 0.8)]
    wanted = [("small", SMALL), ("peers", NETWORK), ("peers", PHOTOGRAPH), ("peers", LARGE)]
    wanted += [("peer windows", case) for case in windows(2048, WINDOWS)]
    for sizes, bound in (("up to 15", 8), ("over 15", 5)):
        values: dict[str, float | None] = {}
        for section, case in wanted:
            if (case.kernel_size <= 15) == (bound == 8):
                for job in PASSES:
                    rivals = m.rivals(section, case.name, job)
                    best = min(rivals, key=rivals.get, default="")
                    values[f"{case.name} {job}, {best}"] = ratio(rivals.get(best), m.time(section, case, job))
                    # Faster than the best of all is not shown while one of them is missing.
                    values.update({f"{case.name} {job}, {name}": None for name in NEEDED if name not in rivals})
        text = f"times faster than the best of OpenCV, Numba, JAX, PyTorch, SciPy, windows {sizes}"
        goals.append(Goal(text, f">= {bound}").at_least(values, bound))
    return goals


def threads(m: Measured) -> list[Goal]:
    """Two threads against one; where two threads come near to what memory gives two, that counts too."""
    goal = Goal("two threads against one, over 1 MB: times faster (or within 1.2 of two threads' limit)", ">= 1.9")
    two, values, memory_bound = Contender(OURS, 2), {}, []
    wanted = [("threads", BATCH), ("threads", PHOTOGRAPH)] + [("windows", c) for c in windows(4096, WINDOWS)]
    for section, case in wanted:
        for job in PASSES:
            time = m.time(section, case, job, two)
            near = ratio(time, m.limit(section, case, job, 2))
            if near is not None and near <= 1.2:
                memory_bound.append(f"{case.name} {job}")
            else:
                values[f"{case.name} {job}"] = ratio(m.time(section, case, job), time)
    if not values and memory_bound:
        goal.figure, goal.reached = "all at the limit", True
        return [goal]
    goal = goal.at_least(values, 1.9)
    if memory_bound:
        goal.figure += f"; at memory's limit: {', '.join(memory_bound)}"
    return [goal]


def variants(m: Measured) -> list[Goal]:
    nhwc = replace(CHANNELS, layout="NHWC")
    layout = {job: ratio(m.time("layouts", nhwc, job), m.time("layouts", CHANNELS, job)) for job in PASSES}
    goals = [Goal(f"NHWC against NCHW, {CHANNELS.name}, time", "<= 1.2").at_most(layout, 1.2)]
    plain = Case((1, 1, 4096, 4096), 5)
    for names, bound in ((("float16", "bfloat16"), 1.1), (("float64",), 2.3)):
        values = {
            f"{dtype} {job}": ratio(m.time("dtypes", replace(plain, dtype=dtype), job), m.time("dtypes", plain, job))
            for dtype in names
            for job in PASSES
        }
        goals.append(Goal(f"{', '.join(names)} against float32, time", f"<= {bound}").at_most(values, bound))
    avx2, avx512 = (Contender(OURS, 1, isa) for isa in ("avx2", "avx512"))
    values = {
        f"{case.name} {job}": ratio(m.time("isa", case, job, avx2), m.time("isa", case, job, avx512))
        for case in (*windows(4096, [5, 31]), NETWORK)
        for job in PASSES
    }
    goals.append(Goal("AVX2 against AVX-512 on the same machine, time", "<= 2.2").at_most(values, 2.2))
    return goals


def calls(m: Measured) -> list[Goal]:
    goals = []
    for section, case, job, bound in (
        ("small", SMALL, "forward", 0.8),
        ("tiny", TINY, "forward", 0.4),
        ("small", SMALL, "gradient", 1.5),
    ):
        value = ratio(m.time(section, case, job), m.time(section, case, "np.add"))
        text = f"one {job} call on {case.shape[2]}x{case.shape[3]} against np.add(a, b, out=c), time"
        goals.append(Goal(text, f"<= {bound}").at_most({"": value}, bound))
    extra = {entry["case"]: entry["bytes"] / 2**20 for entry in m.memory if entry["contender"] == OURS}
    goal = Goal("peak memory of forward and gradient, 4096x4096, beside inputs and outputs: MiB", "< 16")
    goals.append(goal.judge(extra, max, lambda v: v < 16) if extra else goal)
    return goals


def table(results: dict) -> list[Goal]:
    m = Measured(results)
    return [*memory_limit(m), *peers(m), *threads(m), *variants(m), *calls(m)]
