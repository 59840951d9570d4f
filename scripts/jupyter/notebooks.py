"""Executes every notebook of a folder with nbclient, as CI systems and
publishing tools do, and compares the kinds of output with those stored.

    python notebooks.py --binary build/loris notebooks

Values are the business of `loris run --check`; here it counts that a client
which we did not write sees the same outputs, that display updates arrive, and
that only those cells fail which are tagged raises-exception."""

import argparse
import copy
import re
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from loriskernel import private_kernelspec

MEASURED, FAILS = "loris:measured", "raises-exception"


def kinds(cell):
    """What a cell's outputs are, streams joined by name: how a stream is cut is
    chance."""
    found, streams = [], set()
    for o in cell.outputs:
        if o.output_type == "stream":
            if o.name not in streams:
                found.append("stream " + o.name)
            streams.add(o.name)
        elif o.output_type == "error":
            found.append("error " + o.ename)
        else:
            found.append(o.output_type + " " + " ".join(sorted(o.data)))
    return found


def faults(stored, fresh):
    """What is wrong with an executed notebook, a line for each."""
    count = 0
    for i, (old, new) in enumerate(zip(stored.cells, fresh.cells)):
        if new.cell_type != "code":
            continue
        count += 1
        if new.execution_count != count:
            yield f"cell {i}: execution count {new.execution_count}, want {count}"
        failed = any(o.output_type == "error" for o in new.outputs)
        if failed != (FAILS in new.metadata.get("tags", [])):
            yield f"cell {i}: " + ("fails" if failed else f"is tagged {FAILS} and does not fail")
        if MEASURED not in new.metadata.get("tags", []) and kinds(old) != kinds(new):
            yield f"cell {i}: shows {kinds(new)}, stored is {kinds(old)}"
        for o in new.outputs:
            progress = re.search(r"\d+/\d+ · (\d+) %", o.get("data", {}).get("text/plain", ""))
            if progress and progress[1] != "100":
                yield f"cell {i}: its last progress update did not arrive: {progress[0]}"
    try:
        nbformat.validate(fresh)
    except nbformat.ValidationError as e:
        yield f"not valid nbformat: {e.message}"


def execute(path, kernel, timeout):
    stored = nbformat.read(path, as_version=4)
    fresh = copy.deepcopy(stored)
    for cell in fresh.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    client = NotebookClient(
        fresh, kernel_name=kernel, timeout=timeout, resources={"metadata": {"path": str(path.parent)}},
    )
    start = time.monotonic()
    try:
        client.execute()
    except CellExecutionError as e:
        return [str(e)], time.monotonic() - start, fresh
    return list(faults(stored, fresh)), time.monotonic() - start, fresh


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    p.add_argument("--binary", required=True)
    p.add_argument("--timeout", type=int, default=300, help="seconds for one cell")
    p.add_argument("folder", type=Path)
    args = p.parse_args()
    paths = sorted(args.folder.glob("*.ipynb"))
    if not paths:
        raise SystemExit(f"no notebooks in {args.folder}")
    bad = 0
    with private_kernelspec(args.binary) as kernel:
        for path in paths:
            found, seconds, fresh = execute(path, kernel, args.timeout)
            cells = sum(c.cell_type == "code" for c in fresh.cells)
            print(f"{path}: {cells} cells, {seconds:.1f} s, {'ok' if not found else 'FAILED'}")
            for line in found:
                print("  " + line)
            bad += bool(found)
    print(f"notebooks by nbclient: {len(paths)} run, {bad} failed")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
