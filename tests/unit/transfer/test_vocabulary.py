"""`transfer` moves bytes: it knows nothing of what is in them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import spikehouse.transfer

WORDS = (
    "sessions?|units|lfp|nwb|allen\\w*|survey\\w*|manifest\\w*|ecephys\\w*|spikes?|neur\\w*|stimul\\w*|"
    "brain\\w*|electrodes?|recordings?|experiments?|trials?|mouse|mice|dandi|warehouse|data sets?"
)
FOLDER = Path(spikehouse.transfer.__file__).parent


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.name)
def test_transfer__has_no_word_of_the_survey(path: Path) -> None:
    found = [
        f"{number}: {line.strip()}"
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        # underscores and capitals begin words, too
        if re.search(rf"(?i)\b({WORDS})\b", re.sub(r"_|(?<=[a-z])(?=[A-Z])", " ", line))
    ]
    assert found == []
