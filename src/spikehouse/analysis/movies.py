"""Tuning to the frames of a natural movie."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.analysis.checks import divide
from spikehouse.analysis.images import movie_repeats
from spikehouse.analysis.inputs import StimulusResponses
from spikehouse.analysis.variability import compute_lifetime_sparseness
from spikehouse.errors import InvalidArgumentError, describe_value
from spikehouse.spikes import count_spikes

# Units are tuned whose sparsity is so many standard deviations above that of shifted repeats.
TUNED_Z = 2.0


def compute_movie_tuning(
    responses: StimulusResponses, *, delay: float = 0.0, n_resamples: int = 100, seed: int = 0
) -> pd.DataFrame:
    """Compute how sparse the response to a movie is, against repeats shifted in time.

    Parameters
    ----------
    responses
        Responses to one movie, such as
        ``session.get_responses("natural_movie_one_more_repeats", 1 / 30)``.
    delay
        Time by which the spikes of a frame are counted later than it is shown [s]. It matters only
        where the frames come in another order in every repeat.
    n_resamples, seed
        Number and seed of the shifted data sets.

    Returns
    -------
    DataFrame
        Index unit_id: firing_rate while the movie is shown [spikes/s]; sparsity, 0–1; z_score of
        the sparsity; is_tuned, whether that is above 2. Sparsity and z_score are NaN without spikes
        in two or more complete repeats; z_score is also NaN where all shifts are equally sparse.

    Notes
    -----
    With r the mean number of spikes in each of n frames, over the complete repeats,
    sparsity = (1 − (Σr / n)² / (Σr² / n)) / (1 − 1 / n), which is `compute_lifetime_sparseness`
    over frames. It grows with the noise of r, so it is compared with that of a null:
    z_score = (sparsity − mean) / sd over ``n_resamples`` data sets without tuning.

    In these, each repeat is shifted in time, around its end, by a random number of frames of its
    own. A unit keeps its rate in every repeat, bursts and slow changes, and loses only what
    repeats share. A permutation of single spikes or frames would also destroy bursts, and call
    units tuned for these. How the authors shuffled is not known to us. All units get the same
    shifts, so that the result of one does not depend on which others there are.

    References
    ----------
    Purandare & Mehta (2023), eLife 12, RP85069, doi:10.7554/eLife.85069, for sparsity as a z-score
    and the limit of 2; Vinje & Gallant (2000), Science 287, 1273,
    doi:10.1126/science.287.5456.1273, for the formula.

    Examples
    --------
    >>> frame = np.tile(np.arange(60), 10)  # ten repeats
    >>> starts = np.arange(600) / 30
    >>> shown = pd.DataFrame(
    ...     {"start_time": starts, "stop_time": starts + 1 / 30, "stimulus_condition_id": frame}
    ... )
    >>> spikes = {7: starts[frame == 20] + 0.01}
    >>> responses = StimulusResponses("movie", shown, [7], spikes, trial_duration=1 / 30)
    >>> compute_movie_tuning(responses)[["firing_rate", "sparsity", "is_tuned"]].round(2)
             firing_rate  sparsity  is_tuned
    unit_id
    7                0.5       1.0      True
    """
    if not isinstance(responses, StimulusResponses):
        raise InvalidArgumentError(
            f"responses is {describe_value(responses)}; give a StimulusResponses, such as "
            'session.get_responses("natural_movie_one_more_repeats", 1 / 30)'
        )
    if n_resamples < 2:
        raise InvalidArgumentError(
            f"n_resamples is {n_resamples}; a standard deviation needs 2 or more, such as 100"
        )
    if not np.isfinite(delay):
        raise InvalidArgumentError(f"delay is {delay}; give a time [s], such as 0 or 0.05")
    rows = movie_repeats(responses.condition_of)
    n_repeats, n_frames = rows.shape
    unit_ids = np.asarray(responses.unit_ids).tolist()
    shown = responses.presentations[["start_time", "stop_time"]].to_numpy(dtype=np.float64)
    rate, sparsity, mean, spread = (np.full(len(unit_ids), np.nan) for _ in range(4))
    if n_repeats >= 2:
        counts = responses.shown_counts
        if delay:
            counts = count_spikes(responses.spike_times, unit_ids, shown + delay)[:, 0]
        # [repeat, place in the repeat], and the frame that is there
        places = np.sort(rows, axis=1)
        frames = np.argsort(rows - places[:, :1], axis=1)
        rng = np.random.default_rng(seed)
        shifts = rng.integers(0, n_frames, size=(n_resamples, n_repeats))
        duration = (shown[:, 1] - shown[:, 0])[places].sum()
        for unit, own in enumerate(counts.T):
            spikes = own[places]
            rate[unit] = divide(spikes.sum(), duration)
            curve = np.bincount(frames.ravel(), spikes.ravel(), minlength=n_frames)
            sparsity[unit] = compute_lifetime_sparseness(curve)
            null = compute_lifetime_sparseness(_shift(spikes, frames, shifts))
            mean[unit], spread[unit] = null.mean(), null.std()
    z_score = np.where(spread > 1e-12, divide(sparsity - mean, spread), np.nan)
    return pd.DataFrame(
        {
            "firing_rate": rate,
            "sparsity": sparsity,
            "z_score": z_score,
            "is_tuned": z_score > TUNED_Z,
        },
        index=pd.Index(unit_ids, name="unit_id", dtype=np.int64),
    )


def _shift(
    spikes: npt.NDArray[np.int32], frames: npt.NDArray[np.intp], shifts: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Sum the spikes of each frame over repeats that are shifted: (n_frames, n_resamples)."""
    n_frames, n_resamples = frames.shape[1], len(shifts)
    # most frames of a repeat have no spike
    repeat, place = np.nonzero(spikes)
    moved = frames[repeat, (place + shifts[:, repeat]) % n_frames]
    at = moved * n_resamples + np.arange(n_resamples)[:, None]
    weights = np.broadcast_to(spikes[repeat, place], at.shape)
    sums = np.bincount(at.ravel(), weights.ravel(), minlength=n_frames * n_resamples)
    return sums.reshape(n_frames, n_resamples).astype(np.float64)
