"""Steady memory for `bench.py`: name it after the other adapters (`--adapter nearbits.py --adapter warm.py`).

In a virtual machine whose host takes free memory back, the first touch of a page costs many times a copy, and whoever
runs first pays for it. Every program known to the bench is wrapped: once its holder stands, as much memory as the
download will take is filled (a file is written and removed), so that all programs write into pages that are there."""
import os

from benchlib.tools import TOOLS

STEP = 1 << 20


def touch(path, size):
    block = os.urandom(STEP)
    with open(path, "wb") as f:
        for _ in range(0, size, STEP):
            f.write(block)
    os.unlink(path)


def warmed(tool):
    def hold(self):
        procs = tool.hold(self)
        touch(self.lab.origin.dir / "touched", os.path.getsize(self.file) * 3 // 2)
        return procs

    return type(tool.__name__, (tool,), {"name": tool.name, "hold": hold})


for known in list(TOOLS.values()):
    globals()["Warm" + known.__name__ + known.name] = warmed(known)
