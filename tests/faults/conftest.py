"""Puts the modules that these tests and the page's script share on the path."""

from __future__ import annotations

import sys
from pathlib import Path

# pytest imports test files by path (importmode=importlib), so neighbours do not see each other
sys.path.insert(0, str(Path(__file__).parent))
