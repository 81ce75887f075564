"""The simulated survey: twelve sessions, made when they are asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from spikehouse.demo.keeping import provide
from spikehouse.demo.metrics import list_analysed_units, make_analysis_metrics
from spikehouse.demo.plan import SessionPlan, draw_plan, find_session_of_probe, make_table
from spikehouse.demo.sessions import SESSIONS, get_session_facts
from spikehouse.demo.sizes import Size, get_size
from spikehouse.errors import InvalidArgumentError, NotFoundError, describe_choices

__all__ = ["DEFAULT_SEED", "Survey"]

DEFAULT_SEED = 20191003
TableName = Literal["sessions", "probes", "channels", "units"]
TABLE_NAMES: tuple[TableName, ...] = ("sessions", "probes", "channels", "units")
N_SCENES = 118
MOVIE_NUMBERS = (1, 3)
Progress = Callable[[int, int], None]


class Survey:
    """A survey like the Visual Coding one, simulated on this machine.

    Parameters
    ----------
    size
        ``"tiny"`` (two probes, two minutes), ``"small"`` (three probes, 25 minutes, at most
        40 MB a file) or ``"full"`` (six probes, 2.5 hours, about 2 GB a session).
    seed
        Other seeds give other animals with the same ids.
    folder
        Where simulated files are kept; the user's cache folder by default.

    Notes
    -----
    Tables cost no simulation; metrics are computed from the session's file. A file is simulated
    when it is first asked for, written under a temporary name and renamed: what has its final name
    is complete. Two threads or processes that ask for the same file wait for one another.

    The same seed, size and id give the same bytes.

    Examples
    --------
    >>> from spikehouse.demo import Survey
    >>> survey = Survey(size="tiny")
    >>> survey.session_ids[0]
    900000001
    >>> survey.read_table("sessions").loc[900000003, "genotype"]
    'Pvalb-IRES-Cre/wt;Ai32(RCL-ChR2(H134R)_EYFP)/wt'
    """

    def __init__(
        self, *, size: Size = "small", seed: int = DEFAULT_SEED, folder: Path | None = None
    ) -> None:
        self._options = get_size(size)
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise InvalidArgumentError(f"seed must be a whole number from 0 up, not {seed!r}")
        self.size: Size = size
        self.seed = seed
        self._folder = None if folder is None else Path(folder)
        self._plans: dict[int, SessionPlan] = {}
        self._tables: dict[str, pd.DataFrame] = {}
        self._metrics: dict[int, pd.DataFrame] = {}

    def __reduce__(self) -> tuple[Callable[[], Survey], tuple[()]]:
        # the plans are drawn again: they follow from the seed
        return partial(Survey, size=self.size, seed=self.seed, folder=self._folder), ()

    def __repr__(self) -> str:
        return f"Survey(size={self.size!r}, seed={self.seed})"

    @cached_property
    def folder(self) -> Path:
        """Where the files of this size and seed are kept."""
        if self._folder is not None:
            root = self._folder
        else:
            from platformdirs import user_cache_path

            root = user_cache_path("spikehouse") / "demo"
        return root / f"{self.size}_{self.seed}_{_edition()}"

    @property
    def session_ids(self) -> list[int]:
        """Ids of the twelve sessions."""
        return list(SESSIONS)

    # ---- tables

    def read_table(self, name: TableName) -> pd.DataFrame:
        """Give one of the survey's four tables.

        Parameters
        ----------
        name
            ``"sessions"``, ``"probes"``, ``"channels"`` or ``"units"``.

        Returns
        -------
        pandas.DataFrame
            All rows, unfiltered: the columns of that CSV file in a cache folder, ids in the
            index ``id``. Missing structures are None, missing CCF coordinates −1000.

        Raises
        ------
        InvalidArgumentError
            If there is no such table.
        """
        if name not in TABLE_NAMES:
            choices = describe_choices(name, TABLE_NAMES)
            raise InvalidArgumentError(f"the demo survey has no table {name!r}: {choices}")
        if name not in self._tables:
            plans = [self.read_plan(session_id) for session_id in self.session_ids]
            self._tables[name] = pd.concat([make_table(plan, name) for plan in plans])
        return self._tables[name].copy()

    def read_plan(self, session_id: int) -> SessionPlan:
        """Give the plan of a session: everything about it but the signals.

        Parameters
        ----------
        session_id
            The session.

        Returns
        -------
        SessionPlan
            Its probes, channels and units.

        Raises
        ------
        SessionNotFoundError
            If there is no such session.
        """
        facts = get_session_facts(session_id)
        if facts.id not in self._plans:
            self._plans[facts.id] = draw_plan(self.seed, facts.id, self._options)
        return self._plans[facts.id]

    def read_analysis_metrics(self, session_id: int) -> pd.DataFrame:
        """Give the stimulus metrics of a session's units.

        Parameters
        ----------
        session_id
            The session.

        Returns
        -------
        pandas.DataFrame
            Index ``ecephys_unit_id``; columns as in a session's analysis metrics CSV. As in the
            real data there are rows for units that the units table does not have.

        Raises
        ------
        SessionNotFoundError
            If there is no such session.

        Notes
        -----
        Computed from the session's file, which is simulated if need be, with the published
        definitions: ``session.analyze(definition="published")`` gives the same, but for the draws
        of p_value_rf. They are kept in memory. Two seconds for a small session, minutes for a full
        one.
        """
        plan = self.read_plan(session_id)
        number = plan.facts.id
        if number not in self._metrics:
            self._metrics[number] = make_analysis_metrics(plan, self.session_file(number))
        return self._metrics[number].copy()

    def list_analysed_units(self, session_id: int) -> list[int]:
        """List the units that `read_analysis_metrics` has, without computing anything.

        Parameters
        ----------
        session_id
            The session.

        Returns
        -------
        list of int
            Unit ids.

        Raises
        ------
        SessionNotFoundError
            If there is no such session.
        """
        return list_analysed_units(self.read_plan(session_id))

    def truth(self, session_id: int) -> pd.DataFrame:
        """Give the parameters a session's units were simulated with.

        Parameters
        ----------
        session_id
            The session.

        Returns
        -------
        pandas.DataFrame
            Index ``unit_id``; the columns are described in `spikehouse.demo.TRUTH_COLUMNS`.

        Raises
        ------
        SessionNotFoundError
            If there is no such session.
        """
        return self.read_plan(session_id).truth.copy()

    # ---- files

    def session_file(self, session_id: int, *, progress: Progress | None = None) -> Path:
        """Give the NWB file of a session, simulating it if need be.

        Parameters
        ----------
        session_id
            The session.
        progress
            Called with (done, total) while it is simulated.

        Returns
        -------
        pathlib.Path
            ``session_<id>.nwb``.

        Raises
        ------
        SessionNotFoundError
            If there is no such session.
        CacheError
            If the folder cannot be written to.

        Notes
        -----
        On two cores: tiny about 1 s, small 2 s, full half a minute and 0.8 GB of memory.
        """
        plan = self.read_plan(session_id)

        def write(path: Path) -> None:
            from spikehouse.demo.session_writer import write_session

            write_session(plan, path, progress)

        return self._provide(f"session_{plan.facts.id}.nwb", write)

    def lfp_file(self, probe_id: int, *, progress: Progress | None = None) -> Path:
        """Give the LFP file of a probe, simulating it if need be.

        Parameters
        ----------
        probe_id
            The probe.
        progress
            Called with (done, total) while it is simulated.

        Returns
        -------
        pathlib.Path
            ``probe_<id>_lfp.nwb``.

        Raises
        ------
        NotFoundError
            If there is no such probe, or if it has no LFP.
        CacheError
            If the folder cannot be written to.

        Notes
        -----
        The smaller sizes keep the minutes around the flashes and fewer channels; full keeps all
        (4.5 GB).
        """
        plan = self._find_plan(probe_id)
        probe = plan.probes.loc[[probe_id]].iloc[0]
        if not probe["has_lfp_data"]:
            raise NotFoundError(
                f"probe {probe_id} ({probe['name']} of session {probe['ecephys_session_id']}) has "
                "no LFP data; choose a probe whose has_lfp_data is true in the probes table"
            )

        def write(path: Path) -> None:
            from spikehouse.demo.lfp_writer import write_lfp

            write_lfp(plan, int(probe_id), path, progress)

        return self._provide(f"probe_{probe_id}_lfp.nwb", write)

    def read_scene(self, number: int) -> np.ndarray:
        """Make the template of a natural scene.

        Parameters
        ----------
        number
            0 … 117.

        Returns
        -------
        numpy.ndarray
            (918, 1174) uint8.

        Raises
        ------
        NotFoundError
            If there is no such scene.
        """
        from spikehouse.demo.images import make_scene

        if not 0 <= number < N_SCENES:
            raise NotFoundError(f"there is no natural scene {number}: they are numbered 0 to 117")
        return make_scene(self.seed, int(number))

    def scene_file(self, number: int) -> Path:
        """Give the template of a natural scene as a TIFF file.

        Parameters
        ----------
        number
            0 … 117.

        Returns
        -------
        pathlib.Path
            ``natural_scene_<number>.tiff``.

        Raises
        ------
        NotFoundError
            If there is no such scene.
        """

        def write(path: Path) -> None:
            from tifffile import imwrite

            imwrite(path, self.read_scene(number), metadata=None, software="", datetime=False)

        if not 0 <= number < N_SCENES:
            self.read_scene(number)
        return self._provide(f"natural_scene_{number}.tiff", write)

    def movie_file(self, number: int) -> Path:
        """Give the template of a natural movie as a NumPy file.

        Parameters
        ----------
        number
            1 or 3.

        Returns
        -------
        pathlib.Path
            ``natural_movie_<number>.npy``: (frames, 304, 608) uint8. In the full size 900 frames
            (movie 1) or 3600 (movie 3), 167 or 666 MB; fewer in the others.

        Raises
        ------
        NotFoundError
            If there is no such movie.
        """
        frames = {1: self._options.n_movie_one_frames, 3: self._options.n_movie_three_frames}
        if number not in frames:
            raise NotFoundError(f"there is no natural movie {number}: there are 1 and 3")

        def write(path: Path) -> None:
            from spikehouse.demo.images import write_movie

            write_movie(self.seed, number, frames[number], path)

        return self._provide(f"natural_movie_{number}.npy", write)

    @cached_property
    def files(self) -> dict[str, Callable[[], Path]]:
        """The files by their key in the bucket: functions that return the path of each."""
        from spikehouse.survey.sources.layout import (
            METRICS_FILES,
            lfp_key,
            movie_key,
            scene_key,
            session_key,
            session_metrics_key,
            table_key,
        )

        sessions, probes = self.read_table("sessions"), self.read_table("probes")
        with_lfp = probes.loc[probes["has_lfp_data"], "ecephys_session_id"]
        files: dict[str, Callable[[], Path]] = {}
        for name in TABLE_NAMES:
            files[table_key(name)] = partial(self._write_table, name)
        for kind, ids in sessions.groupby("session_type").groups.items():
            key = table_key(METRICS_FILES[str(kind)])
            files[key] = partial(self._write_metrics, str(kind), ids.tolist())
        for n in self.session_ids:
            files[session_key(n)] = partial(self.session_file, n)
            files[session_metrics_key(n)] = partial(self._write_metrics, f"session_{n}", [n])
        for probe_id, n in with_lfp.items():
            files[lfp_key(n, probe_id)] = partial(self.lfp_file, probe_id)
        files |= {scene_key(n): partial(self.scene_file, n) for n in range(N_SCENES)}
        files |= {movie_key(n): partial(self.movie_file, n) for n in MOVIE_NUMBERS}
        return files

    def _write_table(self, name: TableName) -> Path:
        return self._provide(f"{name}.csv", self.read_table(name).to_csv)

    def _write_metrics(self, name: str, session_ids: list[int]) -> Path:
        def write(path: Path) -> None:
            pd.concat([self.read_analysis_metrics(n) for n in session_ids]).to_csv(path)

        return self._provide(f"{name}_analysis_metrics.csv", write)

    # ---- keeping them

    def _find_plan(self, probe_id: int) -> SessionPlan:
        """Find the session of a probe; draws no other session's plan if the probe exists."""
        likely = find_session_of_probe(probe_id)
        if likely in SESSIONS and probe_id in self.read_plan(likely).probes.index:
            return self.read_plan(likely)
        choices = describe_choices(probe_id, self.read_table("probes").index.tolist())
        raise NotFoundError(f"the demo survey has no probe {probe_id}: {choices}")

    def _provide(self, name: str, write: Callable[[Path], None]) -> Path:
        return provide(self.folder / name, write)


@cache
def _edition() -> str:
    """Tell the simulation's versions apart by its own source.

    It is part of the folder's name, so that files of another version are left alone, and nobody
    has to remember to count a number up.
    """
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        if not source.name.startswith(("server", "metrics", "source", "keeping", "__init__")):
            digest.update(source.read_bytes())
    return digest.hexdigest()[:8]
