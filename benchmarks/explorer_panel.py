"""The job of benchmarks/explorer.py in Panel: choose one of ten units, see raster and PSTH.

    panel-python benchmarks/explorer_panel.py FILE.nwb STIMULUS START,STOP BIN UNIT_ID,UNIT_ID,…

prints its address on one line and serves until it is killed. It needs panel, h5py and numpy only:
an environment of its own keeps Panel's 100 MB out of ours.
"""

from __future__ import annotations

import sys

import h5py
import numpy as np
import panel as pn
from bokeh.models import ColumnDataSource
from bokeh.plotting import figure


def read(path: str, stimulus: str, unit_ids: list[int]) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """Read the onsets of a stimulus and the spike times of some units."""
    with h5py.File(path) as file:
        onsets = file[f"intervals/{stimulus}_presentations/start_time"][:]
        units = file["units"]
        ends = np.r_[0, units["spike_times_index"][:].astype(int)]
        rows = {unit: row for row, unit in enumerate(units["id"][:].tolist())}
        times = units["spike_times"]
        return onsets, {u: times[ends[rows[u]] : ends[rows[u] + 1]] for u in unit_ids}


def align(
    spikes: np.ndarray, onsets: np.ndarray, window: tuple[float, float], bin_s: float
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return the spikes around the onsets with their rows, and the rate in bins."""
    first, last = (np.searchsorted(spikes, onsets + edge) for edge in window)
    counts = last - first
    rows = np.repeat(np.arange(onsets.size), counts)
    places = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    times = spikes[np.repeat(first, counts) + places] - onsets[rows]
    edges = np.linspace(*window, round((window[1] - window[0]) / bin_s) + 1)
    rate = np.histogram(times, edges)[0] / (onsets.size * bin_s)
    return {"x": times, "y": rows}, {"x": (edges[1:] + edges[:-1]) / 2, "y": rate}


def make_app(
    path: str, stimulus: str, window: tuple[float, float], bin_s: float, unit_ids: list[int]
) -> pn.viewable.Viewable:
    """Return the page: a list of units, the raster and the PSTH of the chosen one."""
    onsets, spikes = read(path, stimulus, unit_ids)
    choice = pn.widgets.Select(name="unit", options=unit_ids)
    points, line = align(spikes[unit_ids[0]], onsets, window, bin_s)
    sources = ColumnDataSource(points), ColumnDataSource(line)
    raster = figure(width=700, height=420, title=str(unit_ids[0]), name="raster")
    raster.scatter("x", "y", source=sources[0], size=2, line_color=None)
    psth = figure(width=700, height=200, x_range=raster.x_range)
    psth.step("x", "y", source=sources[1], mode="center")

    def show(event: object) -> None:
        found = align(spikes[event.new], onsets, window, bin_s)
        for source, data in zip(sources, found, strict=True):
            source.data = data
        # last, so that the benchmark sees it when the data are there
        raster.title.text = str(event.new)

    choice.param.watch(show, "value")
    return pn.Column(choice, pn.pane.Bokeh(raster), pn.pane.Bokeh(psth))


def main() -> None:
    """Serve it."""
    path, stimulus, window, bin_s, unit_ids = sys.argv[1:]
    start, stop = map(float, window.split(","))
    ids = [int(one) for one in unit_ids.split(",")]
    pn.extension()
    server = pn.serve(
        lambda: make_app(path, stimulus, (start, stop), float(bin_s), ids),
        port=0, address="127.0.0.1", websocket_origin="*", show=False, start=False, verbose=False,
    )  # fmt: skip
    print(f"http://127.0.0.1:{server.port}/", flush=True)
    server.start()
    server.io_loop.start()


if __name__ == "__main__":
    main()
