"""Time decoding: the tutorial's against a plain loop over its folds, and the Poisson naive Bayes.

    python benchmarks/decode.py [--repeats 3]

5950 presentations × 93 units of simulated counts, 118 images and blank, 5 folds. Every time is
the best of the repeats, loop and `decode` taking turns. Fails if one label that the support vector
machine predicts differs from the loop's, or if the naive Bayes misses its 0.3 s.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from sklearn.model_selection import KFold
from sklearn.svm import SVC

from spikehouse.decoding import decode, decode_against_chance, decode_by_unit_count

Answer = TypeVar("Answer")

N_CLASSES, N_REPEATS, N_UNITS = 119, 50, 93
LIMIT_SECONDS = 0.3


def simulate() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    targets = rng.permutation(np.repeat(np.arange(N_CLASSES), N_REPEATS))
    tuning = rng.gamma(1.0, 2.0, size=(N_CLASSES, N_UNITS))
    return rng.poisson(tuning[targets]).astype(float), targets


def loop_over_folds(design: np.ndarray, targets: np.ndarray) -> np.ndarray:
    predictions = np.empty_like(targets)
    for train, test in KFold(n_splits=5).split(design):
        machine = SVC(gamma="scale", kernel="rbf").fit(design[train], targets[train])
        predictions[test] = machine.predict(design[test])
    return predictions


def timed(run: Callable[[], Answer]) -> tuple[float, float, Answer]:
    """Give the seconds that passed, those that the cores worked, and the answer."""
    begin, worked = time.perf_counter(), time.process_time()
    answer = run()
    return time.perf_counter() - begin, time.process_time() - worked, answer


def compare_with_loop(design: np.ndarray, targets: np.ndarray, repeats: int) -> None:
    loops, ours = [], []
    for _ in range(repeats):
        *times, predictions = timed(lambda: loop_over_folds(design, targets))
        loops.append(times)
        *times, result = timed(lambda: decode(design, targets))
        ours.append(times)
        assert (result.predictions["predicted"].to_numpy() == predictions).all()
    (loop, loop_worked), (own, own_worked) = min(loops), min(ours)
    print("| | plain loop | `decode` | ratio |")
    print("| --- | --- | --- | --- |")
    print(f"| passed [s] | {loop:.1f} | {own:.1f} | {loop / own:.2f} |")
    print(f"| cores worked [s] | {loop_worked:.1f} | {own_worked:.1f} | |")


def time_the_others(design: np.ndarray, targets: np.ndarray, repeats: int) -> None:
    bayes = "poisson-naive-bayes"
    options = {"estimator": bayes, "cv": "stratified"}
    runs: dict[str, Callable[[], object]] = {
        f'`decode`, "{bayes}"': lambda: decode(design, targets, estimator=bayes),
        '`decode`, "ridge"': lambda: decode(design, targets, estimator="ridge"),
        '`decode`, "lda"': lambda: decode(design, targets, estimator="lda"),
        "`decode_by_unit_count`, naive Bayes, 8 numbers × 10 draws": lambda: decode_by_unit_count(
            design, targets, **options
        ),
        "`decode_against_chance`, naive Bayes, 100 shuffles": lambda: decode_against_chance(
            design, targets, **options
        ),
    }
    print("\n| what | [s] |\n| --- | --- |")
    best = {}
    for name, run in runs.items():
        best[name] = min(timed(run)[0] for _ in range(repeats))
        print(f"| {name} | {best[name]:.3f} |")
    assert best[f'`decode`, "{bayes}"'] <= LIMIT_SECONDS


def main() -> None:
    """Measure, and print the tables of benchmarks/RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    design, targets = simulate()
    time_the_others(design, targets, repeats)
    print()
    compare_with_loop(design, targets, repeats)


if __name__ == "__main__":
    main()
