"""``python -m spikehouse`` is the command ``spikehouse``."""

from spikehouse.cli import main

main()
