"""Run the quick start."""

from __future__ import annotations

import contextlib
from pathlib import Path

from spikehouse.quickstart import responses, survey
from spikehouse.quickstart.options import QuickstartOptions
from spikehouse.quickstart.survey import Recording
from spikehouse.report import Log, make_folder, write_page


def run_quickstart(options: QuickstartOptions, *, log: Log | None = None) -> Path:
    """Run the quick start, from the list of sessions to decoded images.

    Parameters
    ----------
    options
        Source, session, area and folders.
    log
        Log to print to; default: a new one on the standard output.

    Returns
    -------
    Path
        The report ``report.html``. Its folder also holds ``psth.png``, ``raster.png``,
        ``confusion.png`` and ``images.png``.

    Raises
    ------
    SpikehouseError
        If the source, the session, the area or a folder cannot be used.
    """
    log = log if log is not None else Log()
    out = make_folder(options.out)
    with contextlib.ExitStack() as resources:
        recording = _open_recording(log, options, resources)
        _analyse(log, recording, out)
    report = write_page(
        log,
        out / "report.html",
        title=recording.title,
        kind="quick start",
        about=f"The quick start of spikehouse, {_describe_source(options)}.",
        command=options.command,
    )
    log.end(f"Wrote {report} ({log.seconds:.1f} s in total). Run again with: {options.command}")
    return report


def _describe_source(options: QuickstartOptions) -> str:
    if options.path is not None:
        return f"on the file {options.path.name}"
    if options.source == "demo":
        return f"on the demo survey ({options.size})"
    names = {"s3": "the public bucket", "dandi": "the DANDI Archive"}
    name = names.get(options.source, "the Allen warehouse")
    return f"on {name} at {options.host}" if options.host else f"on {name}"


def _open_recording(
    log: Log, options: QuickstartOptions, resources: contextlib.ExitStack
) -> Recording:
    """Open the session and select its units; ``resources`` closes everything at the end."""
    read_template = None
    if options.path is not None:
        with log.step("The session file"):
            session = resources.enter_context(survey.open_file(log, options.path))
        file = options.path.name
    else:
        cache = resources.enter_context(survey.open_cache(options))
        read_template = cache.get_natural_scene_template
        with log.step("List the sessions"):
            sessions = survey.show_sessions(log, cache)
        with log.step("Choose a session and get its file"):
            session_id = survey.pick_session(log, sessions, options)
            session = resources.enter_context(cache.get_session_data(session_id))
            file = f"session_{session_id}.nwb"
    with log.step("Metadata of the session"):
        survey.show_session(log, session, file=file)
    with log.step("Units of each structure"):
        units = survey.select_units(log, session, options.area, file=file)
    return Recording(
        session=session,
        session_id=session.ecephys_session_id,
        file=file,
        area=options.area,
        units=units,
        unit_rule=f"{len(units)} {survey.describe_unit_rule(options.area)}",
        read_template=read_template,
    )


def _analyse(log: Log, recording: Recording, out: Path) -> None:
    with log.step("Responses to flashes"):
        responses.show_flash_responses(log, recording, out)
    stimulus = survey.choose_stimulus(recording.session)
    with log.step(f"Spikes during {stimulus.title}"):
        if not stimulus.has_images:
            log.notice(
                "This session shows no natural scenes "
                f"({recording.session.session_type}); {stimulus.title} are decoded instead."
            )
        design, presentations, stimulus = responses.show_scene_spikes(log, recording, stimulus, out)
    with log.step(f"Decode the {stimulus.short_name}"):
        result = responses.show_decoding(
            log, recording, design, presentations[stimulus.parameter], stimulus, out
        )
    with log.step(f"The most and the least decodable {stimulus.short_name}"):
        responses.show_best_and_worst(log, recording, result, stimulus, out)
