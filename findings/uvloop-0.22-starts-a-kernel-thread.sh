#!/usr/bin/env bash
# uvloop 0.22.1 (libuv 1.48, Linux): a new event loop has the kernel start one more thread of the
# process, for io_uring; with UV_USE_IO_URING=0 it does not, and uvloop 0.23 does not either.
#
# The thread is called iou-sqp-<pid>, exists before anything is awaited, and counts against
# ulimit -u, TasksMax= and pids.max: a limit that fits the threads of the program is one too low.
#
# Guess: a loop that does nothing has no thread but the one it runs in.
# Seen (where the kernel offers io_uring):
#   0.22.1: 1 more
#   0.22.1, UV_USE_IO_URING=0: 0 more
#   0.23.0: 0 more
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
more() {
    local python=$1; shift
    env "$@" "$python" -c '
import os, uvloop
before = len(os.listdir("/proc/self/task"))
loop = uvloop.new_event_loop()
loop.call_soon(loop.stop)
loop.run_forever()
print(len(os.listdir("/proc/self/task")) - before, "more")'
}
for version in 0.22.1 0.23.0; do
    python3 -m venv "$home/$version"
    "$home/$version/bin/pip" install --quiet "uvloop==$version"
done
seen="0.22.1: $(more "$home/0.22.1/bin/python" -u UV_USE_IO_URING)
0.22.1, UV_USE_IO_URING=0: $(more "$home/0.22.1/bin/python" UV_USE_IO_URING=0)
0.23.0: $(more "$home/0.23.0/bin/python" -u UV_USE_IO_URING)"
expected="0.22.1: 1 more
0.22.1, UV_USE_IO_URING=0: 0 more
0.23.0: 0 more"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed; expected:"; echo "$expected"; exit 1; }
