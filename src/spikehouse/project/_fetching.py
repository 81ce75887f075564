"""Plan, download, verify, import and remove files of the cache folder."""

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
from spikehouse.survey.store import Target
from spikehouse.survey.verify import find_targets, repair_file, verify_files
from spikehouse.transfer.progress import Progress
from spikehouse.transfer.records import read_record

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ProjectFetching"]


class ProjectFetching(ProjectFiles):
    """Tables and files of the data set, and operations on many files."""

    def plan(
        self,
        session_ids: int | Iterable[int] | None = None,
        *,
        lfp: bool | str | int | Iterable[str | int] = False,
        scenes: bool | int | Iterable[int] = False,
        movies: bool | int | Iterable[int] = False,
        tables: bool = True,
    ) -> FetchPlan:
        """Plan a download: list the files, their sources and their sizes.

        Parameters
        ----------
        session_ids
            Ids of the sessions whose files to download, from the index of
            :meth:`get_session_table`; none by default. All of them have 146.5 GB.
        lfp
            Probes whose LFP files to download (0.9 to 2.7 GB each): True for all probes of the
            sessions, or names ("probeC", in each session) and probe ids. Probe ids need no
            sessions.
        scenes
            Natural scenes: True for all 118 images, or their numbers.
        movies
            Natural movies: True for both, or their numbers (1, 3).
        tables
            Whether to include the tables of sessions, probes, channels and units.

        Returns
        -------
        FetchPlan
            The plan, for :meth:`fetch`; it prints as a table. None of it is downloaded yet.

        Raises
        ------
        SessionNotFoundError
            If a session does not exist.
        NotFoundError
            If a probe, image or movie does not exist, or a probe given by name or id has no LFP.
            With ``lfp=True`` probes without LFP are left out, with a note in the plan.
        InvalidArgumentError
            If an id is not a whole number, or probe names are given without sessions.

        Notes
        -----
        The sources are asked for the length of each missing file, several at once. A file that
        no source has is in the plan with the reason. The tables of sessions and probes are
        downloaded if they are needed to look up ids.
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
        """Download the missing files of a plan.

        Parameters
        ----------
        plan
            Plan that :meth:`plan` of this cache returned.

        Returns
        -------
        list of Path
            Paths of all files of the plan, in its order.

        Raises
        ------
        TransferError
            If some files could not be downloaded; the message lists each with the reason. All
            others are cached, and another call resumes from the bytes that have arrived.
        CacheError
            If the disk has too little free space for the whole plan; nothing is downloaded.
        InvalidArgumentError
            If the argument is not a plan, or is a plan for another cache folder.

        Notes
        -----
        Four files are downloaded at once (eight if they are small), each from the first source
        that has it. Ctrl-C stops within a second and keeps the bytes that have arrived. Every
        file is checked (length, published digest if there is one, structure) before it gets its
        name.
        """
        targets = [self._target_of(item) for item in self._check_plan(plan)]
        # the bars show whole files, with the bytes that are there already counted as done
        lengths = [item.n_bytes for item in plan.items if item.state != "cached"]
        known = [length for length in lengths if length is not None]
        return fetch_targets(
            self._store,
            targets,
            n_bytes=sum(known) if len(known) == len(lengths) else None,
            shown=self._store.folder.progress,
        )

    def verify(self, *, repair: bool = False, published: bool = False) -> pd.DataFrame:
        """Verify the cached files against the digests recorded when they were downloaded.

        Parameters
        ----------
        repair
            Whether to download bad files again. A file is replaced when the new one is complete;
            a changed but structurally intact file, or one that was not downloaded by this
            package, is kept beside it as ``<name>.bad-<n>``.
        published
            Whether to ask the sources for published digests of files without a record (DANDI
            has them).

        Returns
        -------
        DataFrame
            One row per file; columns file, n_bytes, state, reason, advice. States are "sound",
            "no record", "changed", "cut short", "not HDF5", "damaged", "unreadable", and with
            ``repair`` "repaired". A file that could not be repaired keeps its state and place,
            and its advice gives the reason.

        Notes
        -----
        Reads every file with a record once. Without ``repair`` nothing is changed. A table that
        was read before stays in memory: create the cache object again after a repair.
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
                        # the other files are still verified and repaired
                        advice = f"could not be repaired: {error}"
                    else:
                        n_bytes, state = report.target.path.stat().st_size, "repaired"
                        advice = "" if kept is None else f"the old one is {kept.name}"
                rows.append((self._name(report.target.path), n_bytes, state, report.reason, advice))
        return pd.DataFrame(rows, columns=["file", "n_bytes", "state", "reason", "advice"])

    def adopt(self, folder: str | Path) -> pd.DataFrame:
        """Import files that are on this machine already into the cache folder.

        Parameters
        ----------
        folder
            Folder with files named as in a cache folder (also AllenSDK's) or as on DANDI; or the
            cache folder itself, to record the digests of files that were put there otherwise.

        Returns
        -------
        DataFrame
            One row per file; columns origin, path, outcome ("linked", "copied", "recorded",
            "there already", "refused"), reason.

        Raises
        ------
        CacheError
            If ``folder`` does not exist, or the cache folder cannot be written to.

        Notes
        -----
        On the same disk files are hard-linked, otherwise copied and checked. Nothing in the
        other folder is changed, and no cached file is replaced.
        """
        import pandas as pd

        rows = []
        progress = Progress(self._store.folder.progress)
        with progress, progress.file("adopting", None) as bar:
            for found in adopt_folder(self._store, Path(folder).expanduser(), bar=bar):
                rows.append((found.origin, found.path, found.outcome, found.reason))
        return pd.DataFrame(rows, columns=["origin", "path", "outcome", "reason"])

    def list_files(self) -> pd.DataFrame:
        """List the files in the cache folder.

        Returns
        -------
        DataFrame
            One row per file; columns file, n_bytes, kind ("session", "lfp", "scene", "movie",
            "table"; "part", "streamed", "repair", "replaced" for leftovers), source, fetched_at.
            The last two are empty without a record.
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
        """List what may be removed from the cache folder.

        Parameters
        ----------
        session_ids
            Ids of sessions whose files to list as well.
        recent
            Whether to list also unfinished downloads of the last 24 hours.

        Returns
        -------
        list of Leftover
            Unfinished downloads, streamed bytes, files that a repair replaced, and the files of
            ``session_ids``.

        Raises
        ------
        NotFoundError
            If a session of ``session_ids`` has no cached file.
        """
        found = [part for part in find_leftovers(self._store) if recent or not part.is_recent]
        return [*found, *find_files_of_session(self._store, session_ids)]

    def remove_leftovers(self, leftovers: Iterable[Leftover]) -> int:
        """Remove leftovers from the cache folder.

        Parameters
        ----------
        leftovers
            What to remove, as :meth:`list_leftovers` returned it.

        Returns
        -------
        int
            Number of freed bytes.

        Raises
        ------
        CacheError
            If a file cannot be removed, or lies outside the folder; in the latter case nothing
            is removed.
        """
        return remove_leftovers(self._store, leftovers)

    def _name(self, path: Path) -> str:
        folder = self._store.folder.manifest.folder
        return (path.relative_to(folder) if path.is_relative_to(folder) else path).as_posix()

    def _check_plan(self, plan: FetchPlan) -> tuple[FetchItem, ...]:
        if not isinstance(plan, FetchPlan):
            raise InvalidArgumentError(
                f"{plan!r} is not a plan: create one with plan(), as in "
                "cache.fetch(cache.plan([791319847]))"
            )
        folder = self._store.folder.manifest.folder
        if plan.folder != folder:
            raise InvalidArgumentError(
                f"this plan is for {plan.folder}, but this cache is {folder}: create a new plan"
            )
        n_free = measure_free_space(folder)
        if plan.n_bytes_missing > n_free and not self._is_there(plan):
            raise CacheError(
                f"{describe_bytes(plan.n_bytes_missing)} must be downloaded, but {folder} has "
                f"{describe_bytes(n_free)} free: plan fewer files, free some space, or choose "
                "another folder with manifest=…; nothing was downloaded"
            )
        return plan.items

    def _is_there(self, plan: FetchPlan) -> bool:
        # an old plan: what it lists may have been fetched since
        return all((plan.folder / item.file).exists() for item in plan.items)

    def _target_of(self, item: FetchItem) -> Target:
        """Return the target of an item of a plan."""
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
        raise InvalidArgumentError(
            f"the plan contains {item.kind} {item.ids!r}, which is not a file"
        )
