#!/usr/bin/env python3
"""Makes internal/devicetest/parity/testdata/parity.gz: what PyTorch computes, in
float64, for random calls of every op, random graphs and training steps.

    python3 -m venv build/parity-venv
    build/parity-venv/bin/python -m pip install torch numpy
    build/parity-venv/bin/python scripts/parity/generate.py

`make parity-refresh` does this (torch is a download of several GB). The same
seed and version give the same file. The tests only read the file.
"""
import argparse
import collections
import os
import random
import sys
import time

import torch

sys.dont_write_bytecode = True

import calls
import calls_basic  # noqa: F401 (fills calls.CALLS, as the next does)
import calls_layers  # noqa: F401
import fixture
import graphs
import program
import training

OUT = os.path.join(os.path.dirname(__file__), "..", "..", "internal", "devicetest", "parity", "testdata", "parity.gz")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default=OUT)
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--training", type=int, default=90)
    parser.add_argument("--graphs", type=int, default=400)
    options = parser.parse_args()
    torch.set_num_threads(1)
    began = time.time()
    writer = fixture.Writer(torch.__version__.split("+")[0], options.seed)
    rejected = collections.Counter()
    reasons = {}

    for name, (count, make) in calls.CALLS.items():
        rng = random.Random(f"{options.seed} {name}")
        made = 0
        while made < count:
            case = make(rng)
            try:
                results = program.expected(case, writer.number(), 2000)
            except program.Rejected as e:
                rejected[name] += 1
                reasons[name] = str(e).splitlines()[0][:200]
                if rejected[name] > 20 * count:
                    sys.exit(f"{name}: no case is accepted: {reasons[name]}")
                continue
            writer.add(case, results)
            made += 1
    for case, results in training.make(options.seed, writer.number(), options.training):
        writer.add(case, results)
    print(f"{writer.number()} calls, {time.time() - began:.0f} s")

    def reject(reason):
        rejected["graphs"] += 1
        reasons["graphs"] = reason.splitlines()[0][:200]

    for case, results in graphs.make(options.seed, writer.number(), options.graphs, reject):
        writer.add(case, results)
    print(f"{options.graphs} graphs, {time.time() - began:.0f} s")
    for name, n in rejected.most_common():
        print(f"rejected {n:4} of {name}: {reasons[name]}")
    writer.save(options.out)
    print(f"{os.path.getsize(options.out)} bytes")


if __name__ == "__main__":
    main()
