"""Runs a module in a process that ends with its parent, even if the parent is killed with SIGKILL."""

import ctypes
import os
import signal
import sys
from typing import Final

#: From ``linux/prctl.h``: the signal this process gets when its parent ends; it survives exec.
PR_SET_PDEATHSIG: Final = 1


def main() -> None:
    """Run ``python -m <arguments after the parent's number>``; do nothing if that parent has gone already."""
    parent, *arguments = sys.argv[1:]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() == int(parent):
        os.execv(sys.executable, [sys.executable, "-m", *arguments])


if __name__ == "__main__":
    main()
