"""Directories that behave like mounts that are no whole file system, for one process at a time."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tests.support.programs import program

if TYPE_CHECKING:
    from pathlib import Path

NO_UPDATE = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>

static int refused(const char *path, int flags) {
    static int opened = 0;
    return (flags & O_ACCMODE) == O_RDWR && !(flags & O_CREAT)
        && strncmp(path, PLACE, strlen(PLACE)) == 0 && opened++ >= ADMITTED;
}

#define OPEN(name)                                                              \\
    int name(const char *path, int flags, ...) {                                \\
        va_list more;                                                           \\
        va_start(more, flags);                                                  \\
        int mode = flags & O_CREAT ? va_arg(more, int) : 0;                     \\
        va_end(more);                                                           \\
        if (refused(path, flags)) { errno = EPERM; return -1; }                 \\
        int (*next)(const char *, int, ...) = dlsym(RTLD_NEXT, #name);          \\
        return next(path, flags, mode);                                         \\
    }

OPEN(open)
OPEN(open64)
"""
"""Lets files below a directory be opened for update, other than by making them, only so-and-so
often: a mount of rclone without a cache does not open one that is there already."""


def no_update(place: Path, library: Path, *, admitted: int) -> dict[str, str]:
    """Variables of a process for which files below a directory cannot be opened for update.

    Args:
        place: The directory.
        library: Where the shared library goes that does it.
        admitted: How often the process can nevertheless.
    """
    subprocess.run(
        [
            program("gcc"), "-shared", "-fPIC", f'-DPLACE="{place}/"', f"-DADMITTED={admitted}",
            "-o", str(library), "-x", "c", "-", "-ldl",
        ],
        input=NO_UPDATE,
        text=True,
        check=True,
    )  # fmt: skip
    return {"LD_PRELOAD": str(library)}
