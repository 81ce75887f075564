"""AllenSDK's import paths on top of spikehouse, for notebooks that are not to be changed.

Two ways in: ``import spikehouse.compat.allensdk`` before the first ``from allensdk…`` line, or
``python -m spikehouse.compat script.py`` (or ``notebook.ipynb``), which changes nothing in the
file. Importing this package alone does nothing.
"""

from __future__ import annotations

from spikehouse.compat.aliases import OFFERED, CompatibilityError, MissingModuleError, install

__all__ = ["OFFERED", "CompatibilityError", "MissingModuleError", "install"]
