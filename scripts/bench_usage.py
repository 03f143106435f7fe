"""What a process uses, processor time and memory, as Linux has them (None elsewhere); and how fast the disk is."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path


def cpu_seconds(root: int) -> float | None:
    """User and system time of a process, its descendants, and those of them that have ended."""
    if not sys.platform.startswith("linux"):
        return None
    parents, ended = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # it has just ended; its parent has its time
                words = (entry / "stat").read_text().rpartition(")")[2].split()
                parents[int(entry.name)] = int(words[1])
                ended[int(entry.name)] = (int(words[13]) + int(words[14])) / os.sysconf("SC_CLK_TCK")
    tree = {root}
    while more := {pid for pid, parent in parents.items() if parent in tree} - tree:
        tree |= more
    total = 0.0
    for pid in tree & parents.keys():
        with contextlib.suppress(OSError):
            # The clock that clock_getcpuclockid(3) names: nanoseconds, where /proc has hundredths of a second.
            total += time.clock_gettime(~pid << 3 | 2) + ended[pid]
    return total


def memory(pid: int) -> float | None:
    """Bytes that a process has in memory."""
    if not sys.platform.startswith("linux"):
        return None
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * float(os.sysconf("SC_PAGE_SIZE"))


def durable_writes(folder: Path, count: int = 200) -> list[float]:
    """Seconds that the disk takes to keep a small file for good. Whatever keeps something waits at least so long."""
    seconds = []
    for number in range(count):
        begin = time.perf_counter()
        with open(folder / f"durable-{number}", "wb") as file:
            file.write(b"x" * 1000)
            file.flush()
            os.fsync(file.fileno())
        seconds.append(time.perf_counter() - begin)
    return seconds
