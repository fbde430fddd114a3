"""seccomp: the kernel answers only the system calls that calculating needs. Linux 3.17 and later; needs no privilege.

A list of what is allowed: sockets, new processes, io_uring, ptrace, signals to others and all that changes a file are
not on it, nor is whatever a later kernel brings. The filter is a program of the kernel's packet filter (classic BPF):
https://docs.kernel.org/userspace-api/seccomp_filter.html.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys

# Name -> its number on x86_64 and on arm64; None: arm64 has no such call.
_ALLOWED: dict[str, tuple[int, int | None]] = {
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "stat": (4, None), "fstat": (5, 80), "lstat": (6, None),
    "poll": (7, None), "lseek": (8, 62), "mmap": (9, 222), "mprotect": (10, 226), "munmap": (11, 215),
    "brk": (12, 214), "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139),
    "pread64": (17, 67), "readv": (19, 65), "writev": (20, 66), "access": (21, None), "pipe": (22, None),
    "select": (23, None), "sched_yield": (24, 124), "mremap": (25, 216), "mincore": (27, 232), "madvise": (28, 233),
    "dup": (32, 23), "dup2": (33, None), "nanosleep": (35, 101), "getpid": (39, 172), "exit": (60, 93),
    "uname": (63, 160), "getcwd": (79, 17), "readlink": (89, None), "gettimeofday": (96, 169), "getrlimit": (97, 163),
    "getrusage": (98, 165), "sysinfo": (99, 179), "times": (100, 153), "getuid": (102, 174), "getgid": (104, 176),
    "geteuid": (107, 175), "getegid": (108, 177), "getppid": (110, 173), "getpgrp": (111, None),
    "sigaltstack": (131, 132), "statfs": (137, 43), "fstatfs": (138, 44), "sched_getparam": (143, 121),
    "sched_getscheduler": (145, 120), "sched_get_priority_max": (146, 125), "sched_get_priority_min": (147, 126),
    "arch_prctl": (158, None), "gettid": (186, 178), "readahead": (187, 213), "time": (201, None),
    "futex": (202, 98), "sched_setaffinity": (203, 122), "sched_getaffinity": (204, 123), "getdents64": (217, 61),
    "set_tid_address": (218, 96), "restart_syscall": (219, 128), "fadvise64": (221, 223), "clock_gettime": (228, 113),
    "clock_getres": (229, 114), "clock_nanosleep": (230, 115), "exit_group": (231, 94), "epoll_wait": (232, None),
    "epoll_ctl": (233, 21), "get_mempolicy": (239, 236), "newfstatat": (262, 79), "readlinkat": (267, 78),
    "faccessat": (269, 48), "pselect6": (270, 72), "ppoll": (271, 73), "set_robust_list": (273, 99),
    "epoll_pwait": (281, 22), "eventfd2": (290, 19), "epoll_create1": (291, 20), "dup3": (292, 24), "pipe2": (293, 59),
    "preadv": (295, 69), "getcpu": (309, 168), "getrandom": (318, 278), "membarrier": (324, 283), "preadv2": (327, 286),
    "statx": (332, 291), "rseq": (334, 293), "close_range": (436, 436), "faccessat2": (439, 439),
    "epoll_pwait2": (441, 441), "futex_waitv": (449, 449),
}  # fmt: skip
_OPEN, _OPENAT, _CLONE, _CLONE3 = (2, None), (257, 56), (56, 220), (435, 435)
_IOCTL, _FCNTL, _PRCTL, _PRLIMIT, _TGKILL = (16, 29), (72, 25), (157, 167), (302, 261), (234, 131)

_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
_KILL, _ERROR, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
# Instructions: load a word of the call, compare it, compare bits of it, answer.
_LOAD, _EQUAL, _ANY_BIT, _ANSWER = 0x20, 0x15, 0x45, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16

# os.O_* are this processor's own numbers.
_WRITING = os.O_WRONLY | os.O_RDWR | getattr(os, "O_CREAT", 0) | getattr(os, "O_TRUNC", 0)
_CLONE_THREAD = 0x10000
# Is it a terminal, and how much is there to read.
_HARMLESS_IOCTLS = (0x5401, 0x541B)
# Copies of a descriptor, and its flags read. Not who gets its signals.
_HARMLESS_FCNTLS = (0, 1, 2, 3, 1030)
# Names of threads and of memory.
_HARMLESS_PRCTLS = (15, 16, 0x53564D41)

_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP = {"x86_64": 317, "aarch64": 277}
_SET_MODE_FILTER, _ALL_THREADS = 1, 1


def allow_calculating_only() -> None:
    """Have the kernel refuse this process, all its threads, every system call that calculating does not need.

    Raises:
        OSError: the kernel cannot, or the processor's numbers are not known here.
    """
    machine = platform.machine()
    if sys.platform != "linux" or machine not in _ARCHITECTURES or sys.maxsize < 2**32:
        raise OSError(f"no list of system calls for {sys.platform} on {machine}")
    code = filter_program(machine, os.getpid())
    buffer = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("@HP", len(code) // 8, ctypes.addressof(buffer))
    library = ctypes.CDLL(None, use_errno=True)
    library.syscall.restype = ctypes.c_long
    if library.prctl(_PR_SET_NO_NEW_PRIVS, *map(ctypes.c_ulong, (1, 0, 0, 0))):
        raise OSError(ctypes.get_errno(), "no_new_privs is refused")
    words = map(ctypes.c_ulong, (_SECCOMP[machine], _SET_MODE_FILTER, _ALL_THREADS))
    if library.syscall(*words, ctypes.c_char_p(program)):
        raise OSError(ctypes.get_errno(), "the kernel takes no filter of system calls")


def filter_program(machine: str, process: int) -> bytes:
    """Write the filter.

    Args:
        machine: "x86_64" or "aarch64".
        process: the id of the process, which may signal itself.

    Returns:
        Instructions of 8 bytes.
    """
    column, architecture = _ARCHITECTURES[machine]
    program = [
        _step(_LOAD, _ARCHITECTURE_AT), _step(_EQUAL, architecture, 1, 0), _step(_ANSWER, _KILL),
        _step(_LOAD, _NUMBER_AT),
    ]  # fmt: skip
    for numbers in _ALLOWED.values():
        program += _rule(numbers[column], [_step(_ANSWER, _ALLOW)])
    for numbers, argument in ((_OPEN, 1), (_OPENAT, 2)):
        program += _rule(numbers[column], _unless_bits(argument, _WRITING))
    program += _rule(_CLONE[column], _if_bits(0, _CLONE_THREAD))
    # The library then takes clone, whose flags can be seen here.
    program += _rule(_CLONE3[column], [_refusal(errno.ENOSYS)])
    program += _rule(_IOCTL[column], _if_one_of(1, _HARMLESS_IOCTLS))
    program += _rule(_FCNTL[column], _if_one_of(1, _HARMLESS_FCNTLS))
    program += _rule(_PRCTL[column], _if_one_of(0, _HARMLESS_PRCTLS))
    program += _rule(_PRLIMIT[column], _if_limits_are_only_read())
    program += _rule(_TGKILL[column], _if_one_of(0, (process,)))
    return b"".join([*program, _refusal(errno.EPERM)])


def _step(code: int, word: int, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("=HBBI", code, then, otherwise, word)


def _refusal(number: int) -> bytes:
    return _step(_ANSWER, _ERROR | number)


def _argument(index: int, *, upper: bool = False) -> bytes:
    return _step(_LOAD, _ARGUMENTS_AT + 8 * index + (4 if upper else 0))


def _rule(number: int | None, answer: list[bytes]) -> list[bytes]:
    """What to do at one call; the others pass by. Every way through ``answer`` must end in it."""
    return [] if number is None else [_step(_EQUAL, number, 0, len(answer)), *answer]


def _unless_bits(argument: int, bits: int) -> list[bytes]:
    return [_argument(argument), _step(_ANY_BIT, bits, 0, 1), _refusal(errno.EACCES), _step(_ANSWER, _ALLOW)]


def _if_bits(argument: int, bits: int) -> list[bytes]:
    return [_argument(argument), _step(_ANY_BIT, bits, 0, 1), _step(_ANSWER, _ALLOW), _refusal(errno.EPERM)]


def _if_one_of(argument: int, words: tuple[int, ...]) -> list[bytes]:
    tests = [step for word in words for step in (_step(_EQUAL, word, 0, 1), _step(_ANSWER, _ALLOW))]
    return [_argument(argument), *tests, _refusal(errno.EPERM)]


def _if_limits_are_only_read() -> list[bytes]:
    """Nothing is to be set: the pointer to the new limits is null, both halves."""
    return [
        _argument(2), _step(_EQUAL, 0, 0, 3), _argument(2, upper=True), _step(_EQUAL, 0, 0, 1), _step(_ANSWER, _ALLOW),
        _refusal(errno.EPERM),
    ]  # fmt: skip
