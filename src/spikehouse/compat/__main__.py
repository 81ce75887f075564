"""Command line: ``python -m spikehouse.compat script.py|notebook.ipynb [arguments]``."""

from __future__ import annotations

import argparse
import runpy
import sys
import traceback
from pathlib import Path
from types import TracebackType

from spikehouse.compat import running
from spikehouse.compat.aliases import CompatibilityError, install
from spikehouse.compat.running import choose_backend, list_cells, run_cells, run_script
from spikehouse.errors import InvalidFileError

EXIT_UNUSABLE = 2

_OWN_FILES = {__file__, running.__file__, "<frozen runpy>", runpy.__file__}


def main(words: list[str] | None = None) -> int:
    """Run a file with AllenSDK's import paths in place; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m spikehouse.compat",
        description="Run a script or a notebook written for AllenSDK on spikehouse, unchanged.",
    )
    parser.add_argument("file", type=Path, help="a script (.py) or a notebook (.ipynb)")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="arguments passed to the file")
    options = parser.parse_args(words)
    try:
        install()
    except CompatibilityError as error:
        return _refuse(error)
    choose_backend()
    file: Path = options.file
    if not file.is_file():
        return _refuse(FileNotFoundError(f"there is no file {file}"))
    if file.suffix != ".ipynb":
        run_script(file, options.arguments)
        return 0
    try:
        cells = list_cells(file)
    except InvalidFileError as error:
        return _refuse(error)
    run_cells(cells, file, options.arguments, notify=_notify)
    return 0


def _notify(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _refuse(error: Exception) -> int:
    sys.stderr.write(f"Error: {error}\n")
    return EXIT_UNUSABLE


def _print_error(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Print a traceback that begins in the program and shows the lines of a notebook's cells."""
    # until Python 3.13 the interpreter itself shows only lines of files
    del kind
    begin = trace
    while begin is not None and begin.tb_frame.f_code.co_filename in _OWN_FILES:
        begin = begin.tb_next
    traceback.print_exception(error.with_traceback(begin or trace))


if __name__ == "__main__":
    sys.excepthook = _print_error
    sys.exit(main())
