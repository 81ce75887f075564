"""Long use: neither the page nor the server grows."""

from __future__ import annotations

from pathlib import Path

import pytest

N_SWITCHES = 100
MOST_GROWTH = 20e6


def measure(tab) -> tuple[int, int]:
    """Return the bytes in use by the page, without garbage, and by the server."""
    client = tab.page.context.new_cdp_session(tab.page)
    client.send("HeapProfiler.collectGarbage")
    page = client.send("Runtime.getHeapUsage")["usedSize"]
    client.detach()
    status = Path(f"/proc/{tab.server.process.pid}/status")
    if not status.exists():
        pytest.skip("this system has no /proc to read the server's memory from")
    (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmRSS")]
    return page, 1024 * int(line.split()[1])


def test_switching_units__leaves_no_memory_behind(open_tab, views):
    tab = open_tab(views["unit"])
    # once through the units: what is kept of them is bounded, and not a leak
    for _ in range(50):
        tab.press("j")
    before = measure(tab)
    for number in range(N_SWITCHES):
        tab.press("k" if number // 40 % 2 else "j")
    after = measure(tab)
    for start, end in zip(before, after, strict=True):
        assert end - start <= MOST_GROWTH, (before, after)
