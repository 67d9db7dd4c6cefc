"""A job object of Windows: processes in it end when the last handle to it is closed, which the owner's end does."""

from __future__ import annotations

import sys

if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    _KILL_ON_JOB_CLOSE = 0x2000
    _EXTENDED_LIMITS = 9
    _ASSIGN_AND_END = 0x0101
    """PROCESS_SET_QUOTA and PROCESS_TERMINATE: what a process must allow to be put into a job."""

    class _Basic(ctypes.Structure):
        _fields_ = (
            ("per_process_user_time", ctypes.c_int64),
            ("per_job_user_time", ctypes.c_int64),
            ("limit_flags", wintypes.DWORD),
            ("minimum_working_set", ctypes.c_size_t),
            ("maximum_working_set", ctypes.c_size_t),
            ("active_process_limit", wintypes.DWORD),
            ("affinity", ctypes.c_size_t),
            ("priority_class", wintypes.DWORD),
            ("scheduling_class", wintypes.DWORD),
        )

    class _Extended(ctypes.Structure):
        _fields_ = (
            ("basic", _Basic),
            ("io_counters", ctypes.c_uint64 * 6),
            ("process_memory", ctypes.c_size_t),
            ("job_memory", ctypes.c_size_t),
            ("peak_process_memory", ctypes.c_size_t),
            ("peak_job_memory", ctypes.c_size_t),
        )

    def tie(pid: int) -> int | None:
        """Put a process, and what it will start, into a job that ends with us; `None` where Windows refuses."""
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.CreateJobObjectW.restype = kernel.OpenProcess.restype = wintypes.HANDLE
        limits = _Extended()
        limits.basic.limit_flags = _KILL_ON_JOB_CLOSE
        job = kernel.CreateJobObjectW(None, None)
        process = kernel.OpenProcess(_ASSIGN_AND_END, False, pid)
        tied = (
            job
            and process
            and kernel.SetInformationJobObject(
                wintypes.HANDLE(job), _EXTENDED_LIMITS, ctypes.byref(limits), ctypes.sizeof(limits)
            )
            and kernel.AssignProcessToJobObject(wintypes.HANDLE(job), wintypes.HANDLE(process))
        )
        if process:
            kernel.CloseHandle(wintypes.HANDLE(process))
        if job and not tied:
            kernel.CloseHandle(wintypes.HANDLE(job))
        return int(job) if tied else None

    def end(job: int) -> None:
        """Close the handle: everything in the job ends."""
        ctypes.WinDLL("kernel32").CloseHandle(wintypes.HANDLE(job))
