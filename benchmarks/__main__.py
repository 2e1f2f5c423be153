"""Run the benchmarks: ``python -m benchmarks [NAME ...] [--quick] [--json FILE]``.

Each benchmark is a module ``benchmarks/bench_<name>.py`` with ``run(quick: bool) -> list[Row]``. Every one runs in a
process of its own, so that peak memory is its own.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import sys
from pathlib import Path
from queue import Empty
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.process import run_named


def _names() -> list[str]:
    return sorted(p.stem.removeprefix("bench_") for p in Path(__file__).parent.glob("bench_*.py"))


def _await(process: Any, queue: Any) -> dict[str, Any]:
    while True:
        try:
            outcome: dict[str, Any] = queue.get(timeout=1.0)
        except Empty:
            if process.is_alive() or not queue.empty():
                continue
            return {
                "error": f"its process ended with status {process.exitcode}",
                "seconds": 0.0,
                "peak_mib": 0.0,
            }
        process.join()
        return outcome


def main() -> int:
    """Run what the command line names (all by default), print a table, write JSON; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"which: {', '.join(_names())} (default: all)")
    parser.add_argument("--quick", action="store_true", help="smaller inputs, to see that everything runs")
    parser.add_argument("--json", type=Path, default=Path("bench.json"), help="where the figures go")
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(_names()))
    if unknown:
        parser.error(f"no benchmark named {unknown[0]}; there are {', '.join(_names())}")
    console = Console()
    context = multiprocessing.get_context("spawn")
    results: dict[str, Any] = {}
    failed = False
    for name in options.names or _names():
        console.print(f"[bold]{name}[/] ...")
        queue = context.Queue()
        process = context.Process(target=run_named, args=(name, options.quick, queue))
        process.start()
        outcome = _await(process, queue)
        results[name] = outcome
        if "error" in outcome:
            failed = True
            console.print(f"  failed: {outcome['error']}")
            continue
        table = Table("what", "ours", "twin", "unit", "ratio", "target", title_justify="left")
        for row in outcome["rows"]:
            cells = [f"{row[k]:.4g}" if row[k] is not None else "-" for k in ("ours", "twin")]
            ratio = f"{row['ratio']:.2f}" if row["ratio"] is not None else "-"
            table.add_row(row["what"], *cells, row["unit"], ratio, row["target"] or "-")
        console.print(table)
        console.print(f"  {outcome['seconds']:.1f} s, peak memory {outcome['peak_mib']:.0f} MiB\n")
    machine = {"python": platform.python_version(), "cores": os.cpu_count(), "system": platform.platform()}
    options.json.write_text(
        json.dumps({"machine": machine, "quick": options.quick, "results": results}, indent=2)
    )
    console.print(f"wrote {options.json}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
