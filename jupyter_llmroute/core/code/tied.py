"""Run by path, never imported: becomes a program that ends when the process that started it does, however that ends.

Arguments: the process id of the one who started it, then the command. A pipe that ends would not do: a process that the
owner forked holds it open. On Linux the kernel is asked for a signal; elsewhere this process stays, and looks.
"""

import os
import signal
import subprocess
import sys

PR_SET_PDEATHSIG = 1
LOOK_S = 1.0


def become(owner: int, command: list[str]) -> None:
    """Turn into `command`, with a signal ordered for the owner's end."""
    import ctypes

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != owner:
        sys.exit(0)  # the owner ended before the signal was ordered
    os.execvp(command[0], command)


def watch(owner: int, command: list[str]) -> int:
    """Run `command` until it ends, or the owner has; its group ends with it."""
    child = subprocess.Popen(command)
    while True:
        try:
            return child.wait(LOOK_S)
        except subprocess.TimeoutExpired:
            if sys.platform != "win32" and os.getppid() != owner:
                os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    if sys.platform == "linux":
        become(int(sys.argv[1]), sys.argv[2:])
    sys.exit(watch(int(sys.argv[1]), sys.argv[2:]))
