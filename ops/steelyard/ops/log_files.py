"""The files that processes of ours write their words to, kept from growing for ever."""

import os
import shutil
from pathlib import Path
from typing import Final

#: From here on a file's words are moved aside, in the place of what was moved aside before: a process takes
#: twice as much for its words, and what it writes between two looks.
LOG_BYTES_MAX: Final = 16 << 20


def bound_log(path: Path) -> bool:
    """Move the words of a log that is too long to ``<name>.1``; return whether it was.

    Its process writes on, at the new end, for it has the file open for appending.  What it writes in the
    instant between copying and emptying is lost, and on a full disk all of it: words are for people, no claim
    rests on them, and whoever looks after processes must not end because of them.
    """
    try:
        if path.stat().st_size < LOG_BYTES_MAX:
            return False
    except FileNotFoundError:
        return False
    older = path.with_name(path.name + ".1")
    copied = path.with_name(path.name + ".new")
    try:
        shutil.copyfile(path, copied)
    except OSError:
        copied.unlink(missing_ok=True)
    else:
        copied.replace(older)
    os.truncate(path, 0)
    return True
