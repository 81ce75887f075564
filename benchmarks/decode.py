"""Time the tutorial's decode against a plain loop over its folds, in one run.

    python benchmarks/decode.py

5950 presentations × 93 units of simulated counts, 118 images and blank, 5 folds, an RBF support
vector machine. Fails if one predicted label differs.
"""

from __future__ import annotations

import time

import numpy as np
from sklearn.model_selection import KFold
from sklearn.svm import SVC

from spikehouse import decode

N_CLASSES, N_REPEATS, N_UNITS = 119, 50, 93


def main() -> None:
    """Measure, and print the row of benchmarks/RESULTS.md."""
    rng = np.random.default_rng(1)
    targets = rng.permutation(np.repeat(np.arange(N_CLASSES), N_REPEATS))
    tuning = rng.gamma(1.0, 2.0, size=(N_CLASSES, N_UNITS))
    design = rng.poisson(tuning[targets]).astype(float)

    begin = time.perf_counter()
    predictions = np.empty_like(targets)
    for train, test in KFold(n_splits=5).split(design):
        machine = SVC(gamma="scale", kernel="rbf").fit(design[train], targets[train])
        predictions[test] = machine.predict(design[test])
    loop = time.perf_counter() - begin

    begin = time.perf_counter()
    result = decode(design, targets)
    ours = time.perf_counter() - begin
    assert (result.predictions["predicted"].to_numpy() == predictions).all()
    print("| plain loop [s] | `decode` [s] | ratio | accuracy |")
    print("| --- | --- | --- | --- |")
    print(f"| {loop:.1f} | {ours:.1f} | {loop / ours:.2f} | {result.mean_accuracy:.3f} |")


if __name__ == "__main__":
    main()
