#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Holds up a daemon's event loop, and no other thread of it: hold_loop.py PID SECONDS. SIGSTOP would stop all of them."""

import ctypes
import os
import sys
import time

PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]


def ptrace(request, pid):
    if libc.ptrace(request, pid, None, None):
        raise OSError(ctypes.get_errno(), "ptrace")


pid = int(sys.argv[1])
ptrace(PTRACE_SEIZE, pid)
ptrace(PTRACE_INTERRUPT, pid)
os.waitpid(pid, 0)  # the thread whose id is the process' is the main one
print("held", flush=True)
time.sleep(float(sys.argv[2]))
ptrace(PTRACE_DETACH, pid)
