"""Measure spatialnorm, the machine's limits and other systems in one run.

    python benchmarks/run.py             # the record: about 15 minutes, written to benchmarks/results/
    python benchmarks/run.py --quick     # about a minute, smaller arrays, nothing compiled by PyTorch

It measures the spatialnorm that is installed, as users get it. What is measured and how to read it:
docs/performance.md.
"""

from __future__ import annotations

import argparse
import datetime
import json
import re
import signal
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Run as a file, Python puts this folder first and finds modules of ours under other packages' names;
# run as a module, the checkout, and finds the sources of spatialnorm instead of the installed package.
sys.path[:] = [p for p in sys.path if Path(p or ".").resolve() not in (ROOT, ROOT / "benchmarks")] + [str(ROOT)]

from benchmarks import goals, machine, oracle, report  # noqa: E402
from benchmarks.cases import BYTES, LIMITS, OURS, PEERS, SECTIONS, Case, Contender, plan  # noqa: E402
from benchmarks.turns import Worker, WorkerError, measure  # noqa: E402


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python benchmarks/run.py", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="about a minute, to see where we are; not for the record")
    parser.add_argument(
        "--cases", default="", help="only cases that match this regular expression, such as '4096.*k=5$'"
    )
    parser.add_argument(
        "--sections",
        type=words,
        help=f"only these of: {', '.join(SECTIONS)}",
    )
    parser.add_argument("--peers", type=words, help="only these contenders beside spatialnorm and the limits")
    parser.add_argument(
        "--threads",
        type=numbers,
        default=[1, 2],
        help="for spatialnorm and the limits (default: 1,2); peers run with the first",
    )
    parser.add_argument("--dtype", type=words, default=list(BYTES), help="types compared (default: all four)")
    parser.add_argument(
        "--output", type=Path, help="folder (default: benchmarks/results; with a filter, build/benchmarks)"
    )
    options = parser.parse_args()
    for option, known in (("dtype", list(BYTES)), ("sections", SECTIONS), ("peers", PEERS)):
        for word in getattr(options, option) or []:
            if word not in known:
                parser.error(f"--{option}: {word!r} is none of {', '.join(known)}")
    try:
        re.compile(options.cases)
    except re.error as error:
        parser.error(f"--cases: {error}")
    options.filtered = bool(
        options.quick
        or options.cases
        or options.sections
        or options.peers is not None
        or options.threads != [1, 2]
        or set(options.dtype) != set(BYTES)
    )
    options.output = options.output or ROOT / ("build/benchmarks" if options.filtered else "benchmarks/results")
    return options


def words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def numbers(text: str) -> list[int]:
    values = sorted({int(word) for word in words(text)})
    if not values or values[0] < 1:
        raise argparse.ArgumentTypeError(f"thread counts must be at least 1, not {text!r}")
    return values


def without_folders(text: str) -> str:
    """Return a message with file names in place of paths: a record does not tell where it was made."""
    return re.sub(r"(?<![\w.])/(?:[^\s/:'\"]+/)+", "", text)


class Run:
    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.workers: dict[Contender, Worker] = {}
        self.missing: dict[str, str] = {}
        self.versions: dict[str, str] = {}
        self.package: dict[str, str] = {}
        self.rows, self.problems, self.memory = [], [], []

    def say(self, text: str) -> None:
        print(f"[{time.monotonic() - self.begin:4.0f} s] {text}", file=sys.stderr, flush=True)

    def worker(self, contender: Contender) -> Worker | None:
        """Start a contender at its first use; one that cannot run is listed with the reason."""
        if contender not in self.workers and contender.name not in self.missing:
            try:
                worker = Worker(contender)
            except WorkerError as error:
                self.missing[contender.name] = str(error)
                return None
            if worker.missing:
                worker.stop()
                self.missing[contender.name] = worker.missing
                return None
            self.workers[contender] = worker
            self.versions[contender.peer] = worker.facts["version"]
            if contender.peer == OURS and not contender.isa:
                self.package = {
                    "version": worker.facts["version"],
                    "isa": worker.facts["isa"],
                    "package": worker.facts["package"],
                }
        return self.workers.get(contender)

    def wanted(self, contender: Contender) -> bool:
        only = self.options.peers
        return only is None or contender.peer in (OURS, LIMITS) or contender.peer in only

    def measure(self) -> None:
        budget, longest = (1.0, 0.1) if self.options.quick else (12.0, 0.4)
        for section in plan(self.options.quick, self.options.threads, self.options.dtype):
            if self.options.sections and section.name not in self.options.sections:
                continue
            workers = [self.worker(c) for c in section.contenders if self.wanted(c)]
            workers = [w for w in workers if w is not None]
            # Our own calls are quick: half the time gives them as many rounds.
            share = 1.0 if section.name.startswith("peer") else 0.5
            for case in section.cases:
                if re.search(self.options.cases, case.name):
                    self.say(f"{section.name}: {case.name}")
                    rows, problems = measure(section.name, case, workers, budget * share, longest)
                    self.rows += [row.to_dict() for row in rows]
                    self.problems += problems

    def measure_memory(self) -> None:
        """Peak memory, each contender in a process that has done nothing else."""
        if (self.options.sections and "memory" not in self.options.sections) or not Path(
            "/proc/self/clear_refs"
        ).exists():
            return
        names = dict.fromkeys(c.peer for s in plan(self.options.quick, [1], []) for c in s.contenders if not c.isa)
        for name in names:
            # oneDNN keeps no intermediate array, and takes half a minute and more for this one.
            if name == LIMITS or name.startswith("oneDNN") or name in self.missing or not self.wanted(Contender(name)):
                continue
            for k in (5, 63) if name == OURS else (5,):
                case = Case((1, 1, 4096, 4096), k)
                if re.search(self.options.cases, case.name) and (name == OURS or not self.options.quick):
                    self.measure_peak(Contender(name), case)

    def measure_peak(self, contender: Contender, case: Case) -> None:
        self.say(f"memory: {contender.name}, {case.name}")
        entry = {"case": case.name, "contender": contender.name}
        try:
            worker = Worker(contender)
            self.memory.append(entry | worker.ask("memory", case=case.to_dict()))
            worker.stop()
        except WorkerError as error:
            self.problems.append({**entry, "case": f"memory, {case.name}", "problem": str(error)})

    def results(self) -> dict:
        self.begin = time.monotonic()
        busy = machine.busy_now()
        if busy > 0.1:
            self.say(f"other work keeps {busy:.1f} processors busy: these figures will not be fit for the record")
        judge = oracle.verify()
        other = machine.OtherWork()
        try:
            self.measure()
            self.measure_memory()
        finally:
            for worker in self.workers.values():
                worker.stop()
        share = other.share()
        results = {
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "command": without_folders(" ".join(["python", "benchmarks/run.py", *sys.argv[1:]])),
            "for_the_record": not self.options.filtered and share["others"] < 0.1 and share["stolen"] < 0.05,
            "machine": machine.facts(),
            "other_work": share,
            "spatialnorm": self.package,
            "versions": self.versions,
            "missing": {name: without_folders(reason) for name, reason in self.missing.items()},
            "problems": [entry | {"problem": without_folders(entry["problem"])} for entry in self.problems],
            "judge_error": judge,
            "rows": self.rows,
            "memory": self.memory,
        }
        results["goals"] = [vars(goal) for goal in goals.table(results)]
        return results


def main() -> None:
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Terminated: nothing is written."))  # the workers end too
    results = Run(options).results()
    if not results["rows"] and not results["memory"]:
        sys.exit(f"Nothing was measured: no case matches, or spatialnorm is not installed ({results['missing']}).")
    text = report.markdown(results)
    print(text)
    folder = options.output
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / f"{results['date'][:10]}-{results['spatialnorm'].get('isa', 'none')}"
    stem.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n")
    stem.with_suffix(".md").write_text(text)
    drawn = report.plot(results, stem.with_suffix(".svg"))
    print(
        f"Written: {stem.name}.json, .md{', .svg' if not drawn else ''} in {folder.name}/. {drawn}".strip(),
        file=sys.stderr,
    )
    wrong = [row for row in results["rows"] if not row["ok"] and row["contender"].startswith(OURS)]
    if wrong or OURS in results["missing"]:
        sys.exit(
            f"{len(wrong)} results of spatialnorm are wrong."
            if wrong
            else f"{OURS} cannot run (pip install . first): {results['missing'][OURS]}"
        )


if __name__ == "__main__":
    main()
