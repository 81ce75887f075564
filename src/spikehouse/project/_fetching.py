"""Planning what to fetch, and fetching it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from spikehouse.errors import (
    CacheError,
    InvalidArgumentError,
    NotFoundError,
    SourceError,
    TransferError,
)
from spikehouse.project._adopting import adopt_folder
from spikehouse.project._choosing import (
    MOVIES,
    N_SCENES,
    LfpChoice,
    choose_lfp,
    choose_numbers,
    list_targets,
    list_values,
)
from spikehouse.project._executing import fetch_targets
from spikehouse.project._files import ProjectFiles
from spikehouse.project._housekeeping import (
    Leftover,
    find_files_of_session,
    find_leftovers,
    remove_leftovers,
)
from spikehouse.project._looking import gather_facts, measure_free_space
from spikehouse.project.plan import FetchItem, FetchPlan, describe_bytes, plan_items
from spikehouse.remote.cache.store import Target
from spikehouse.remote.cache.verify import find_targets, repair_file, verify_files
from spikehouse.remote.progress import Progress
from spikehouse.remote.transfer.records import read_record

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ProjectFetching"]


class ProjectFetching(ProjectFiles):
    """The survey's tables and files, and getting many of them at once."""

    def plan(
        self,
        session_ids: int | Iterable[int] | None = None,
        *,
        lfp: bool | str | int | Iterable[str | int] = False,
        scenes: bool | int | Iterable[int] = False,
        movies: bool | int | Iterable[int] = False,
        tables: bool = True,
    ) -> FetchPlan:
        """Say what fetching would mean: which files, from where, how many bytes.

        Parameters
        ----------
        session_ids
            Sessions whose files are wanted, of the index of :meth:`get_session_table`; none by
            default. All of them have 146.5 GB.
        lfp
            Probes whose LFP files are wanted (0.9 to 2.7 GB each): True for all of the sessions,
            or names ("probeC", of each session) and probe ids. Probe ids can be given without
            sessions.
        scenes
            Images of the natural scenes: True for all 118, or their numbers.
        movies
            Movies: True for both, or their numbers (1, 3).
        tables
            Whether the tables of sessions, probes, channels and units are wanted.

        Returns
        -------
        FetchPlan
            Prints as a table; to be given to :meth:`fetch`. Nothing of it is fetched yet.

        Raises
        ------
        SessionNotFoundError
            If there is no such session.
        NotFoundError
            If there is no such probe, image or movie, or if a probe that was named has no LFP.
            Probes that were not named and have none are left out, and the plan says so.
        InvalidArgumentError
            If an id is not a whole number, or probes are named and no session.

        Notes
        -----
        What is in the folder is found by looking; for what is not, the sources are asked for
        the length, several files at once. A file nobody has is in the plan with the reason.
        The tables of sessions and probes are fetched if they are needed to know the ids.
        """
        sessions = [] if session_ids is None else list_values(session_ids, what="session id")
        numbers = list(dict.fromkeys(self._require_session(value) for value in sessions))
        choice = LfpChoice()
        if lfp is not False:
            choice = choose_lfp(lfp, self._store.read_table("probes"), numbers)
        targets = list_targets(
            self._store,
            session_ids=numbers,
            lfp=choice,
            scenes=choose_numbers(scenes, range(N_SCENES), what="natural scene"),
            movies=choose_numbers(movies, MOVIES, what="natural movie"),
            tables=tables,
        )
        folder = self._store.folder.manifest.folder
        return FetchPlan(
            folder=folder,
            items=plan_items(gather_facts(self._store, targets), folder=folder),
            n_bytes_free=measure_free_space(folder),
            notes=choice.notes,
        )

    def fetch(self, plan: FetchPlan) -> list[Path]:
        """Fetch what a plan lists and the folder does not have.

        Parameters
        ----------
        plan
            What :meth:`plan` gave, of this cache.

        Returns
        -------
        list of Path
            Every file of the plan, in its order.

        Raises
        ------
        TransferError
            If some files could not be fetched: the message names each and its reason. All
            others are there then, and calling again goes on from what has arrived.
        CacheError
            If there is not enough free space for all of it; nothing is fetched then.
        InvalidArgumentError
            If it is no plan, or that of another cache folder.

        Notes
        -----
        Four files at once (eight if they are small), each from the first source that delivers
        it. Ctrl-C stops all of them within a second and keeps what has arrived. Every file is
        checked (length, digest where one is published, structure) before it gets its name.
        """
        targets = [self._target_of(item) for item in self._check_plan(plan)]
        # the bars count what is there already, too: the whole length of every file to fetch
        lengths = [item.n_bytes for item in plan.items if item.state != "cached"]
        known = [length for length in lengths if length is not None]
        return fetch_targets(
            self._store,
            targets,
            n_bytes=sum(known) if len(known) == len(lengths) else None,
            shown=self._store.folder.progress,
        )

    def verify(self, *, repair: bool = False, published: bool = False) -> pd.DataFrame:
        """Look whether the files of the folder are what they were when they came.

        Parameters
        ----------
        repair
            Fetch those again that are not. A file is replaced when the new one is complete; one
            whose bytes changed, but that is whole, or that was not fetched by this package, is
            kept beside it as ``<name>.bad-<n>``.
        published
            Ask the sources for published digests of files without a record (DANDI has them).

        Returns
        -------
        DataFrame
            One row a file; columns file, n_bytes, state, reason, advice. States are "sound",
            "no record", "changed", "cut short", "not HDF5", "damaged", "unreadable", and with
            ``repair`` "repaired". A file that could not be repaired keeps its state, is where it
            was, and its advice says why.

        Notes
        -----
        Reads every file with a record once. Without ``repair`` nothing is changed. A table
        that was read before stays in memory as it was: open the cache anew after a repair.
        """
        import pandas as pd

        folder = self._store.folder
        rows = []
        targets = find_targets(self._store)
        n_bytes = sum(target.path.stat().st_size for target in targets)
        progress = Progress(folder.progress)
        with progress, progress.file("verifying", n_bytes) as bar:
            for report in verify_files(self._store, targets, published=published, bar=bar):
                n_bytes, state, advice = report.n_bytes, str(report.state), report.advice
                if repair and report.is_bad:
                    try:
                        kept = repair_file(self._store, report, progress=progress)
                    except (CacheError, NotFoundError, SourceError, TransferError) as error:
                        if isinstance(error, CacheError) and self._store.sources:
                            raise  # the folder cannot be written to
                        # the other files are verified and repaired all the same
                        advice = f"could not be repaired: {error}"
                    else:
                        n_bytes, state = report.target.path.stat().st_size, "repaired"
                        advice = "" if kept is None else f"the old one is {kept.name}"
                rows.append((self._name(report.target.path), n_bytes, state, report.reason, advice))
        return pd.DataFrame(rows, columns=["file", "n_bytes", "state", "reason", "advice"])

    def adopt(self, folder: str | Path) -> pd.DataFrame:
        """Take files that are on this machine already into the folder.

        Parameters
        ----------
        folder
            Any folder with files named as in a cache folder (AllenSDK's too) or as on DANDI;
            the cache folder itself, to record the digests of files that came otherwise.

        Returns
        -------
        DataFrame
            One row a file; columns origin, path, outcome ("linked", "copied", "recorded",
            "there already", "refused"), reason.

        Raises
        ------
        CacheError
            If there is no such folder, or this one cannot be written to.

        Notes
        -----
        On one disk a file gets a second name and no second copy; else it is copied and checked.
        Nothing in the other folder is changed, and no file is replaced.
        """
        import pandas as pd

        rows = []
        progress = Progress(self._store.folder.progress)
        with progress, progress.file("adopting", None) as bar:
            for found in adopt_folder(self._store, Path(folder).expanduser(), bar=bar):
                rows.append((found.origin, found.path, found.outcome, found.reason))
        return pd.DataFrame(rows, columns=["origin", "path", "outcome", "reason"])

    def list_files(self) -> pd.DataFrame:
        """List what is in the folder.

        Returns
        -------
        DataFrame
            One row a file; columns file, n_bytes, kind ("session", "lfp", "scene", "movie",
            "table"; "part", "blocks", "repair", "replaced" for what is not of the survey), source,
            fetched_at. The last two are empty without a record.
        """
        import pandas as pd

        rows: list[tuple[str, int, str, str, str]] = []
        for target in find_targets(self._store):
            record = read_record(self._store.folder.records, target.path)
            known = ("", "") if record is None else (record.source, record.fetched_at)
            size = target.path.stat().st_size
            rows.append((self._name(target.path), size, target.kind, *known))
        rows += [
            (self._name(found.paths[0]), found.n_bytes, found.kind, "", "")
            for found in find_leftovers(self._store)
        ]
        return pd.DataFrame(rows, columns=["file", "n_bytes", "kind", "source", "fetched_at"])

    def list_leftovers(
        self, session_ids: Iterable[int] = (), *, recent: bool = False
    ) -> list[Leftover]:
        """List what may be removed from the folder.

        Parameters
        ----------
        session_ids
            Sessions whose files may go as well.
        recent
            Whether to list unfinished downloads of the last 24 hours, too.

        Returns
        -------
        list of Leftover
            Unfinished downloads, streamed blocks, files that a repair replaced, and what was
            named.

        Raises
        ------
        NotFoundError
            If no file of a named session is here.
        """
        found = [part for part in find_leftovers(self._store) if recent or not part.is_recent]
        return [*found, *find_files_of_session(self._store, session_ids)]

    def remove_leftovers(self, leftovers: Iterable[Leftover]) -> int:
        """Remove what was listed.

        Parameters
        ----------
        leftovers
            Of :meth:`list_leftovers`.

        Returns
        -------
        int
            How many bytes are free again.

        Raises
        ------
        CacheError
            If something cannot be removed. If something lies outside the folder; nothing is
            removed then.
        """
        return remove_leftovers(self._store, leftovers)

    def _name(self, path: Path) -> str:
        folder = self._store.folder.manifest.folder
        return (path.relative_to(folder) if path.is_relative_to(folder) else path).as_posix()

    def _check_plan(self, plan: FetchPlan) -> tuple[FetchItem, ...]:
        if not isinstance(plan, FetchPlan):
            raise InvalidArgumentError(
                f"{plan!r} is not a plan: make one first, as in "
                "cache.fetch(cache.plan([791319847]))"
            )
        folder = self._store.folder.manifest.folder
        if plan.folder != folder:
            raise InvalidArgumentError(
                f"this plan was made for {plan.folder}, and this cache is {folder}: plan again here"
            )
        n_free = measure_free_space(folder)
        if plan.n_bytes_missing > n_free and not self._is_there(plan):
            raise CacheError(
                f"{describe_bytes(plan.n_bytes_missing)} are to fetch and {folder} has "
                f"{describe_bytes(n_free)} free: plan fewer files, free some space, or choose "
                "another folder with manifest=…; nothing was fetched"
            )
        return plan.items

    def _is_there(self, plan: FetchPlan) -> bool:
        # an old plan: what it lists may have been fetched since
        return all((plan.folder / item.file).exists() for item in plan.items)

    def _target_of(self, item: FetchItem) -> Target:
        """Find the file that an item of a plan stands for."""
        store = self._store
        match item.kind, item.ids:
            case "session", (int(session_id),):
                return store.target_session(session_id)
            case "lfp", (int(session_id), int(probe_id)):
                return store.target_lfp(session_id, probe_id)
            case "scene", (int(number),):
                return store.target_scene(number)
            case "movie", (int(number),):
                return store.target_movie(number)
            case "table", (("sessions" | "probes" | "channels" | "units") as name,):
                return store.target_table(name)
        raise InvalidArgumentError(f"the plan holds {item.kind} {item.ids!r}, which is no file")
