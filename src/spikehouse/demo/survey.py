"""The simulated survey: twelve sessions, simulated when they are needed."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import logging
from collections.abc import Callable
from functools import cache, cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from spikehouse.demo.behavior import draw_running
from spikehouse.demo.neurons import N_SCENES
from spikehouse.demo.plan import SessionPlan, draw_plan, find_session_of_probe, make_table
from spikehouse.demo.rhythms import draw_ripples
from spikehouse.demo.sessions import SESSIONS, Size, get_session_facts, get_size
from spikehouse.demo.timeline import make_timeline
from spikehouse.errors import CacheError, InvalidArgumentError, NotFoundError, describe_choices
from spikehouse.survey.file_kinds import VISUAL_CODING
from spikehouse.transfer.disk import hold_lock

if TYPE_CHECKING:
    from spikehouse.analysis import StimulusResponses

logger = logging.getLogger(__name__)

DEFAULT_SEED = 20191003
TableName = Literal["sessions", "probes", "channels", "units"]
TABLE_NAMES: tuple[TableName, ...] = ("sessions", "probes", "channels", "units")
MOVIE_NUMBERS = [int(number) for number in VISUAL_CODING.kinds["movie"].choices["number"]]
# stimuli in the released tables of metrics; functional_connectivity lacks the last two
METRICS_OF = ("_dg", "_fl", "_rf", "_ns", "_sg")
Progress = Callable[[int, int], None]


class Survey:
    """A survey like the Visual Coding one, simulated on this machine.

    Parameters
    ----------
    size
        ``"tiny"`` (two probes, two minutes), ``"small"`` (three probes, 25 minutes, at most
        40 MB a file) or ``"full"`` (six probes, 2.5 hours, about 2 GB a session).
    seed
        Seed of the simulation; another seed gives other animals with the same ids.
    folder
        Folder of the simulated files; default: the user's cache folder.

    Notes
    -----
    Tables need no simulation; metrics are computed from the file of the session. A file is
    simulated when it is first needed, written under a temporary name and then renamed, so it is
    complete if it exists. Threads and processes that need the same file wait for the first of them.

    The same seed, size and id give the same bytes.

    Methods raise NotFoundError for what the survey does not have (SessionNotFoundError for a
    session, InvalidArgumentError for a table), and CacheError if the folder cannot be written to.

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
        # the plans are drawn again, because they follow from the seed
        return partial(Survey, size=self.size, seed=self.seed, folder=self._folder), ()

    def __repr__(self) -> str:
        return f"Survey(size={self.size!r}, seed={self.seed})"

    @cached_property
    def folder(self) -> Path:
        """Folder of the files of this size and seed."""
        if self._folder is not None:
            root = self._folder
        else:
            from platformdirs import user_cache_path

            root = user_cache_path("spikehouse") / "demo"
        return root / f"{self.size}_{self.seed}_{compute_edition(Path(__file__).parent)}"

    @property
    def session_ids(self) -> list[int]:
        """Ids of the twelve sessions."""
        return list(SESSIONS)

    # ---- tables

    def read_table(self, name: TableName) -> pd.DataFrame:
        """Return one of the four tables of the survey.

        Parameters
        ----------
        name
            ``"sessions"``, ``"probes"``, ``"channels"`` or ``"units"``.

        Returns
        -------
        pandas.DataFrame
            All rows, unfiltered, with the columns of the CSV file in a cache folder and the ids in
            the index ``id``. Missing structures are None, missing CCF coordinates −1000.
        """
        if name not in TABLE_NAMES:
            choices = describe_choices(name, TABLE_NAMES)
            raise InvalidArgumentError(f"the demo survey has no table {name!r}: {choices}")
        if name not in self._tables:
            plans = [self.read_plan(session_id) for session_id in self.session_ids]
            self._tables[name] = pd.concat([make_table(plan, name) for plan in plans])
        return self._tables[name].copy()

    def read_plan(self, session_id: int) -> SessionPlan:
        """Return the plan of a session: everything but the signals.

        Parameters
        ----------
        session_id
            Id of the session.

        Returns
        -------
        SessionPlan
            Its probes, channels and units.

        Examples
        --------
        >>> plan = Survey(size="tiny").read_plan(900000001)
        >>> len(plan.probes), len(plan.units)
        (2, 40)
        """
        facts = get_session_facts(session_id)
        if facts.id not in self._plans:
            self._plans[facts.id] = draw_plan(self.seed, facts.id, self._options)
        return self._plans[facts.id]

    def read_analysis_metrics(self, session_id: int) -> pd.DataFrame:
        """Return the stimulus metrics of the units of a session.

        Parameters
        ----------
        session_id
            Id of the session.

        Returns
        -------
        pandas.DataFrame
            Index ``ecephys_unit_id``; columns as in the analysis metrics CSV of a session. As in
            the real data, there are rows for units that the units table does not have.

        Notes
        -----
        Computed from the file of the session with the published definitions, and kept beside it:
        ``session.analyze(definition="published")`` gives the same, except for the random numbers
        of p_value_rf. It takes two seconds for a small session, minutes for a full one.

        Examples
        --------
        >>> Survey(size="tiny").read_analysis_metrics(900000001)["pref_ori_dg"].head(2)
        ecephys_unit_id
        950100278    270.0
        950100292     90.0
        Name: pref_ori_dg, dtype: float64
        """
        plan = self.read_plan(session_id)
        number = plan.facts.id
        if number not in self._metrics:

            def write(path: Path) -> None:
                _make_analysis_metrics(plan, self.session_file(number)).to_parquet(path)

            path = self._provide(f"session_{number}_metrics_{_digest_definitions()}.parquet", write)
            self._metrics[number] = pd.read_parquet(path)
        return self._metrics[number].copy()

    def list_analysed_units(self, session_id: int) -> list[int]:
        """List the units in `read_analysis_metrics`, without computing the metrics.

        Parameters
        ----------
        session_id
            Id of the session.

        Returns
        -------
        list of int
            Unit ids.

        Examples
        --------
        >>> len(Survey(size="tiny").list_analysed_units(900000001))
        42
        """
        return _list_analysed_units(self.read_plan(session_id))

    def truth(self, session_id: int) -> pd.DataFrame:
        """Return the parameters that the units of a session were simulated with.

        Parameters
        ----------
        session_id
            Id of the session.

        Returns
        -------
        pandas.DataFrame
            Index ``unit_id``; the columns are described in `spikehouse.demo.TRUTH_COLUMNS`.

        Examples
        --------
        >>> truth = Survey(size="tiny").truth(900000001)
        >>> truth[["structure", "firing_rate", "latency_s"]].head(2).round(3)
                  structure  firing_rate  latency_s
        unit_id
        950100278        LP        1.541      0.000
        950100292     VISam        1.256      0.074
        """
        return self.read_plan(session_id).truth.copy()

    def ripples(self, session_id: int) -> pd.DataFrame:
        """Return the sharp-wave ripples of a session, which LFP and spikes of CA1 have.

        Parameters
        ----------
        session_id
            Id of the session.

        Returns
        -------
        pandas.DataFrame
            Index ``ripple_id``; ``start_time``, ``stop_time`` and ``peak_time`` [s],
            ``frequency`` [Hz] and ``amplitude`` [V], the largest along a probe.

        Examples
        --------
        >>> ripples = Survey(size="tiny").ripples(900000001)
        >>> ripples[["peak_time", "frequency"]].head(2).round(2)
                   peak_time  frequency
        ripple_id
        0              13.13     161.85
        1              13.54     173.05
        """
        plan = self.read_plan(session_id)
        running = draw_running(
            self.seed, plan.facts.id, make_timeline(plan).duration_s, plan.size.running_hz
        )
        return draw_ripples(self.seed, plan.facts.id, running)

    # ---- files

    def session_file(self, session_id: int, *, progress: Progress | None = None) -> Path:
        """Return the path of the NWB file of a session, which is simulated first if necessary.

        Parameters
        ----------
        session_id
            Id of the session.
        progress
            Function that is called with (done, total) during the simulation.

        Returns
        -------
        pathlib.Path
            ``session_<id>.nwb``.

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
        """Return the path of the LFP file of a probe, which is simulated first if necessary.

        Parameters
        ----------
        probe_id
            Id of the probe.
        progress
            Function that is called with (done, total) during the simulation.

        Returns
        -------
        pathlib.Path
            ``probe_<id>_lfp.nwb``.

        Notes
        -----
        The smaller sizes have fewer channels and only the minutes around the flashes; full has all
        (4.5 GB).

        Examples
        --------
        >>> Survey(size="tiny").lfp_file(910001000).name
        'probe_910001000_lfp.nwb'
        """
        plan = self._find_plan(probe_id)
        probe = plan.probes.loc[[probe_id]].iloc[0]
        if not probe["has_lfp_data"]:
            raise NotFoundError(
                f"probe {probe_id} ({probe['name']} of session {probe['ecephys_session_id']}) has "
                "no LFP data; choose a probe whose has_lfp_data is true in the probes table"
            )

        def write(path: Path) -> None:
            from spikehouse.demo.lfp import write_lfp

            write_lfp(plan, int(probe_id), path, progress)

        return self._provide(f"probe_{probe_id}_lfp.nwb", write)

    def read_scene(self, number: int) -> np.ndarray:
        """Return a natural scene.

        Parameters
        ----------
        number
            Number from 0 to 117.

        Returns
        -------
        numpy.ndarray
            (918, 1174) uint8.

        Examples
        --------
        >>> Survey(size="tiny").read_scene(5).shape
        (918, 1174)
        """
        from spikehouse.demo.images import make_scene

        return make_scene(self.seed, _check_scene(number))

    def scene_file(self, number: int) -> Path:
        """Return the path of a natural scene as a TIFF file.

        Parameters
        ----------
        number
            Number from 0 to 117.

        Returns
        -------
        pathlib.Path
            ``natural_scene_<number>.tiff``.

        Examples
        --------
        >>> Survey(size="tiny").scene_file(5).name
        'natural_scene_5.tiff'
        """
        from spikehouse.demo.images import write_scene

        return self._provide(
            f"natural_scene_{_check_scene(number)}.tiff",
            lambda path: write_scene(self.seed, number, path),
        )

    def movie_file(self, number: int) -> Path:
        """Return the path of a natural movie as a NumPy file.

        Parameters
        ----------
        number
            1 or 3.

        Returns
        -------
        pathlib.Path
            ``natural_movie_<number>.npy``: (frames, 304, 608) uint8. In the full size 900 frames
            (movie 1) or 3600 (movie 3), 167 or 666 MB; fewer in the others.

        Examples
        --------
        >>> Survey(size="tiny").movie_file(1).name
        'natural_movie_1.npy'
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
        """Functions that return the path of each file, by its key in the bucket."""

        def key(name: str, *ids: object) -> str:
            return VISUAL_CODING.file(name, *ids).key

        sessions, probes = self.read_table("sessions"), self.read_table("probes")
        with_lfp = probes.loc[probes["has_lfp_data"], "ecephys_session_id"]
        files: dict[str, Callable[[], Path]] = {}
        for name in TABLE_NAMES:
            files[key(name)] = partial(self._write_table, name)
        for kind, ids in sessions.groupby("session_type").groups.items():
            files[key("type_metrics", kind)] = partial(self._write_metrics, str(kind), ids.tolist())
        for n in self.session_ids:
            files[key("session", n)] = partial(self.session_file, n)
            files[key("session_metrics", n)] = partial(self._write_metrics, f"session_{n}", [n])
        for probe_id, n in with_lfp.items():
            files[key("lfp", n, probe_id)] = partial(self.lfp_file, probe_id)
        files |= {key("scene", n): partial(self.scene_file, n) for n in range(N_SCENES)}
        files |= {key("movie", n): partial(self.movie_file, n) for n in MOVIE_NUMBERS}
        return files

    def _write_table(self, name: TableName) -> Path:
        return self._provide(f"{name}.csv", self.read_table(name).to_csv)

    def _write_metrics(self, name: str, session_ids: list[int]) -> Path:
        def write(path: Path) -> None:
            pd.concat([self.read_analysis_metrics(n) for n in session_ids]).to_csv(path)

        return self._provide(f"{name}_metrics_{_digest_definitions()}.csv", write)

    # ---- cached files

    def _find_plan(self, probe_id: int) -> SessionPlan:
        """Find the session of a probe; draws no other session's plan if the probe exists."""
        likely = find_session_of_probe(probe_id)
        if likely in SESSIONS and probe_id in self.read_plan(likely).probes.index:
            return self.read_plan(likely)
        choices = describe_choices(probe_id, self.read_table("probes").index.tolist())
        raise NotFoundError(f"the demo survey has no probe {probe_id}: {choices}")

    def _provide(self, name: str, write: Callable[[Path], None]) -> Path:
        """Return the path of a cached file, after calling ``write`` if it does not exist."""
        # under a lock: other threads and processes wait for the first one that writes it
        path = self.folder / name
        if path.exists():
            return path
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(hold_lock(path.with_name(f".{name}.lock")))
            except CacheError as error:
                raise CacheError(
                    f"cannot keep simulated files in {self.folder} ({error}); give Survey a folder "
                    "you may write to"
                ) from error
            if not path.exists():
                logger.info("simulating %s", path)
                temporary = path.with_name(f".{path.stem}.part{path.suffix}")
                try:
                    # left by a process that was stopped; nobody is writing it, because of the lock
                    temporary.unlink(missing_ok=True)
                    write(temporary)
                    temporary.replace(path)
                finally:
                    temporary.unlink(missing_ok=True)
        return path


def _check_scene(number: int) -> int:
    if not 0 <= number < N_SCENES:
        raise NotFoundError(
            f"there is no natural scene {number}: they are numbered 0 to {N_SCENES - 1}"
        )
    return int(number)


def _list_analysed_units(plan: SessionPlan) -> list[int]:
    """List the units of a session that have metrics; the units table lacks the last two."""
    last = int(plan.units.index[-1])
    return [*plan.units.index.tolist(), last + 3, last + 7]


def _make_analysis_metrics(plan: SessionPlan, session_file: Path) -> pd.DataFrame:
    """Compute the published metrics of a session from its file."""
    # as in the real tables, there are units of an earlier sorting that the units table does not
    # have: copies of the first two
    from spikehouse.analysis import MetricOptions, StimulusResponses, compute_metrics
    from spikehouse.session import EcephysSession

    units = plan.units.index.tolist()
    with EcephysSession.from_nwb_path(session_file) as session:
        # from the file, because units that a session filters out have metrics too
        spike_times = session.api.get_spike_times()

        def respond(name: str, duration: float) -> StimulusResponses:
            shown = session.get_stimulus_table(name, missing="nan")
            return StimulusResponses(
                name, shown, units, spike_times, duration, session.running_speed
            )

        options = MetricOptions(definition="published")
        table = compute_metrics(None, respond, shown=session.stimulus_names, options=options)
    table = table.loc[[*units, *units[:2]]].set_axis(_list_analysed_units(plan))
    kept = [name for name in table.columns.astype(str) if name.endswith(METRICS_OF)]
    return table[kept].rename_axis("ecephys_unit_id").sort_index(axis="columns")


@cache
def _digest_definitions() -> str:
    """Compute a digest of the code of the metrics: those that other code computed are left."""
    digest = hashlib.sha256()
    for folder in ("analysis", "spikes"):
        for source in sorted(Path(__file__).parents[1].joinpath(folder).glob("*.py")):
            digest.update(source.read_bytes())
    return digest.hexdigest()[:8]


@cache
def compute_edition(folder: Path) -> str:
    """Compute a digest of the simulation, given the folder of its source code."""
    # Part of the name of the folder of simulated files, so that files of another version are left
    # alone and nobody has to remember to increase a number. Docstrings, comments, imports and the
    # place of a function do not count; neither do the modules that cache and serve files.
    statements: list[str] = []
    for source in folder.glob("*.py"):
        if source.name not in ("__init__.py", "server.py", "source.py", "survey.py"):
            module = ast.parse(source.read_text("utf-8"))
            statements += [_describe(node) for node in module.body if not _is_wording(node)]
    digest = hashlib.sha256("\n".join(sorted(statements)).encode())
    digest.update((folder / "specification.json").read_bytes())
    return digest.hexdigest()[:8]


def _describe(node: object) -> str:
    """Describe a node of the syntax tree; unlike `ast.dump`, the same in all Python versions."""
    if isinstance(node, list):
        return f"[{','.join(_describe(item) for item in node if not _is_wording(item))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = {name: value for name, value in vars(node).items() if name in node._fields}
    described = (f"{name}={_describe(value)}" for name, value in fields.items() if value != [])
    return f"{type(node).__name__}({','.join(described)})"


def _is_wording(node: object) -> bool:
    """Check whether a statement is a docstring, an import, or ``__all__``."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    if isinstance(node, ast.Assign):
        return isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__"
    return isinstance(node, ast.Import | ast.ImportFrom)
