#!/usr/bin/env python3
"""One peer library as a timing server for `make bench-peers`.

usage: peer.py numpy|pytorch|mlx

It prints one JSON line that names its version and the variants of each work it
can do, then answers one request per line on standard input:

    {"work": "gemm_1024", "variant": "eager", "min_us": 4000, "warm_us": 10000}
    {"us": 4170.3}

A sample repeats the work until min_us have passed and answers the time of one run
in microseconds, of its fastest batch. The caller interleaves the samples of all peers.
"""
import importlib
import json
import os
import sys
import time

# Some systems set these for all programs, to save memory or to make results equal
# across machines: OpenBLAS then runs kernels of another processor. A peer runs as its
# own package would choose, so they are dropped before it is imported.
for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(name, None)


BATCH_US = 200  # runs are timed in batches of at least this long


def time_runs(run, min_us, warm_us):
    """Microseconds of one run in the fastest batch within min_us, after warm_us to
    wake threads and fill caches: other programs disturb a batch or not."""
    end = time.perf_counter() + warm_us / 1e6
    while time.perf_counter() < end:
        run()
    runs, best, end = 1, float("inf"), time.perf_counter() + min_us / 1e6
    while True:
        start = time.perf_counter()
        for _ in range(runs):
            run()
        now = time.perf_counter()
        us = (now - start) * 1e6
        if us < BATCH_US:
            runs = max(runs + 1, int(runs * BATCH_US / max(us, 1.0) * 1.2))
            continue
        best = min(best, us / runs)
        if now >= end:
            return best


def serve(name, version, works):
    """works: {work: {variant: function without arguments}}"""
    variants = {work: sorted(forms) for work, forms in works.items()}
    print(json.dumps({"peer": name, "version": version, "works": variants}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            run = works[request["work"]][request["variant"]]
            answer = {"us": time_runs(run, request["min_us"], request["warm_us"])}
        except Exception as e:  # the caller reports it and goes on with the others
            answer = {"error": f"{type(e).__name__}: {e}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in ("numpy", "pytorch", "mlx"):
        sys.exit(__doc__)
    peer = importlib.import_module("works_" + sys.argv[1])
    serve(sys.argv[1], peer.version(), peer.works())
