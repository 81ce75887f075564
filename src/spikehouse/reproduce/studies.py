"""The studies that can be reproduced."""

from __future__ import annotations

from collections.abc import Mapping

from spikehouse.reproduce import purandare2023, siegle2021
from spikehouse.reproduce.study import Study

STUDIES: Mapping[str, Study] = {
    "siegle2021": siegle2021.STUDY,
    "purandare2023": purandare2023.STUDY,
}
"""Name → study; a further one is a module with a `Study`, a row here, and rows of published.csv."""
