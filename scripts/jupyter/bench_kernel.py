"""Times the kernel beside ipykernel, interleaved on the same machine.

    python bench_kernel.py --binary build/loris --json build/kernel.json [--rounds 5]

Rows are medians over the rounds: answers (start to the first reply), ready (start
to the end of wait_for_ready, of which jupyter_client sleeps 200 ms), trivial cell
p50 and p99 (request to idle), 100,000 printed lines (all received in order, or
the row fails), interrupt of an endless loop to idle (variables kept, or the row
fails). `ratio` is ipykernel / loris: above 1 means loris is faster.
"""

import argparse
import platform
import statistics
import sys
import time

import ipykernel
import jupyter_client

from loriskernel import NAME, Kernel, private_kernelspec, text, write_json

LINES = 100_000
CELLS = {
    "loris": {
        "kernel": NAME,
        "trivial": "1 + 1",
        "lines": f"for i := range {LINES} {{\n\tfmt.Println(i)\n}}",
        "set": "kept := 42",
        "get": "kept",
        "endless": "for {\n}",
    },
    "ipykernel": {
        "kernel": "python3",
        "trivial": "1 + 1",
        "lines": f"for i in range({LINES}): print(i)",
        "set": "kept = 42",
        "get": "kept",
        "endless": "while True: pass",
    },
}
TRIVIAL = 200


def timed_cell(k, code):
    begin = time.perf_counter()
    msg_id = k.kc.execute(code)
    messages = k.iopub(msg_id, 120)
    took = time.perf_counter() - begin
    reply = k.reply("shell", msg_id, 30)
    assert reply["content"]["status"] == "ok", reply["content"]
    return took, messages


def interrupt(k, cells):
    timed_cell(k, cells["set"])
    msg_id = k.kc.execute(cells["endless"])
    time.sleep(0.5)
    begin = time.perf_counter()
    k.km.interrupt_kernel()
    k.iopub(msg_id, 30)
    took = time.perf_counter() - begin
    assert k.reply("shell", msg_id)["content"]["status"] == "error"
    _, messages = timed_cell(k, cells["get"])
    values = [m["content"]["data"]["text/plain"] for m in messages if m["msg_type"] == "execute_result"]
    assert values == ["42"], f"after the interrupt the variable is {values}"
    return took


def one_round(cells):
    row = {}
    begin = time.perf_counter()
    with Kernel(cells["kernel"]) as k:
        row["ready"] = time.perf_counter() - begin
        row["answers"] = k.answered - begin
        for _ in range(10):
            timed_cell(k, cells["trivial"])
        times = sorted(timed_cell(k, cells["trivial"])[0] for _ in range(TRIVIAL))
        row["trivial_p50"] = times[len(times) // 2]
        row["trivial_p99"] = times[int(len(times) * 0.99)]
        row["lines_100k"], messages = timed_cell(k, cells["lines"])
        assert text(messages) == "".join(f"{i}\n" for i in range(LINES)), "lines are missing or out of order"
        row["interrupt_to_idle"] = interrupt(k, cells)
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--json", help="file for the rows")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    samples = {name: [] for name in CELLS}
    with private_kernelspec(args.binary):
        for i in range(args.rounds):
            order = list(CELLS) if i % 2 == 0 else list(reversed(CELLS))
            for name in order:
                samples[name].append(one_round(CELLS[name]))
    rows = []
    print(f"{'':20}{'loris':>12}{'ipykernel':>12}{'ratio':>8}   milliseconds, median of {args.rounds}")
    for key in samples["loris"][0]:
        ours, theirs = (statistics.median(r[key] for r in samples[n]) * 1e3 for n in ("loris", "ipykernel"))
        rows.append({"name": key, "loris_ms": ours, "ipykernel_ms": theirs, "ratio": theirs / ours,
                     "loris_samples_ms": [r[key] * 1e3 for r in samples["loris"]],
                     "ipykernel_samples_ms": [r[key] * 1e3 for r in samples["ipykernel"]]})
        print(f"{key:20}{ours:12.2f}{theirs:12.2f}{theirs / ours:8.2f}")
    if args.json:
        write_json(args.json, {
            "provenance": {
                "python": platform.python_version(), "platform": platform.platform(),
                "ipykernel": ipykernel.__version__, "jupyter_client": jupyter_client.__version__,
                "rounds": args.rounds, "trivial_cells": TRIVIAL,
            },
            "rows": rows,
        })
    return 0


if __name__ == "__main__":
    sys.exit(main())
