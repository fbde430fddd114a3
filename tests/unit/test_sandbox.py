"""The sandbox without TensorFlow: what a locked-down process cannot do any more, and a process that lies."""

from __future__ import annotations

import errno
import io
import os
import platform
import signal
import struct
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from retrain.errors import ModelError
from retrain.sandbox import Bounds, SandboxedModel, landlock, lockdown, model, seccomp
from retrain.sandbox.lockdown import Lockdown
from retrain.sandbox.wire import MAX_JSON, WireError, receive, send

TESTS = Path(__file__).resolve().parents[1]
PICTURE = np.zeros((1, 2, 2, 3), np.float32)
linux = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"), reason="Linux enforces these limits"
)


@pytest.fixture
def opened(tmp_path, monkeypatch):
    """Opens models whose process is tests/lying_child.py."""
    monkeypatch.setattr(model, "CHILD", "lying_child")
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    models = []

    def start(how, **bounds):
        path = tmp_path / f"{how}.pb"
        path.write_bytes(b"x")
        models.append(SandboxedModel(path, bounds=Bounds(**{"load_s": 30.0, "call_s": 30.0, **bounds})))
        return models[-1]

    yield start
    for one in models:
        one.close()


# A process that lies.


def test_an_honest_answer_is_believed(opened):
    with opened("good") as sandboxed:
        assert sandboxed.scores(PICTURE).tolist() == [0.25, 0.75]
        assert sandboxed.scores(PICTURE).dtype == np.float32
        assert (sandboxed.input_node, sandboxed.output_node) == ("input:0", "y:0")
        assert sandboxed.input_shape == (-1, 2, 2, 3)
        assert sandboxed.limits[0] == "everything"


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("nan", "finite"),
        ("two_rows", r"\[2, 2\]"),
        ("short", "one row"),
        ("no_shape", "one row"),
        ("odd_shape", "one row"),
        ("text_shape", "one row"),
        ("nothing", "one row"),
        ("error", r"to be a model to be run, got: \\x1b\[2Jno\\nway"),
        ("too_many", "something else than agreed"),
        ("claims", "4294967295"),
        ("claims_json", "4294967295"),
        ("list", "JSON object, got list"),
        ("nested", "expected JSON"),
        ("noise", "something else than agreed"),
        ("ends", "exit code 3"),
        ("shouts", "SIGABRT"),
    ],
)
def test_a_lie_is_an_error_and_never_a_score(opened, how, says):
    sandboxed = opened(how)
    with pytest.raises(ModelError, match=says) as raised:
        sandboxed.scores(PICTURE)
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 2000


def test_a_process_that_hangs_is_killed_and_the_next_question_says_so(opened):
    sandboxed = opened("hangs", call_s=0.3)
    with pytest.raises(ModelError, match=r"a picture took more than 0\.3 s"):
        sandboxed.scores(PICTURE)
    with pytest.raises(ModelError, match="SIGKILL"):
        sandboxed.scores(PICTURE)


def test_a_model_that_never_opens_is_killed(opened):
    with pytest.raises(ModelError, match=r"opening it took more than 0\.5 s"):
        opened("silent", load_s=0.5)


def test_a_model_that_tensorflow_refuses_is_an_error(opened):
    with pytest.raises(ModelError, match="TensorFlow opens in the sandbox, got: cannot be opened"):
        opened("refused")


def test_the_process_is_told_nothing_of_the_environment(opened, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("HOME", "/root")
    told = opened("environment").limits
    assert "TF_CPP_MIN_LOG_LEVEL" in told
    assert not {"AWS_SECRET_ACCESS_KEY", "HOME", "PATH"} & set(told)


@pytest.mark.parametrize("batch", [PICTURE[0], PICTURE.astype(np.float64), np.zeros((2, 2, 2, 3), np.float32),
                                   np.zeros((1, 2, 2, 4), np.float32), np.zeros((1, 0, 2, 3), np.float32)])  # fmt: skip
def test_a_batch_of_another_kind_never_reaches_it(opened, batch):
    with pytest.raises(ValueError, match=r"expected float32 \(1, H, W, 3\)"):
        opened("good").scores(batch)


def test_what_is_no_model_starts_no_process(tmp_path, monkeypatch):
    monkeypatch.setattr(model, "CHILD", "no.such.module")
    with pytest.raises(ModelError, match="neither"):
        SandboxedModel(tmp_path / "missing.pb")
    with pytest.raises(ModelError, match="neither"):
        SandboxedModel(tmp_path)
    large = tmp_path / "large.pb"
    large.write_bytes(bytes(100))
    with pytest.raises(ModelError, match="at most 99 bytes"):
        SandboxedModel(large, bounds=Bounds(file_bytes=99))
    (tmp_path / "saved_model.pb").write_bytes(b"x")
    (tmp_path / "variables").symlink_to("/etc")
    with pytest.raises(ModelError, match="leads out"):
        SandboxedModel(tmp_path)


@linux
@pytest.mark.parametrize("how", ["busy", "locked"])
def test_it_dies_with_a_parent_that_is_killed_whatever_it_is_doing(tmp_path, how):
    path = tmp_path / f"{how}.pb"
    path.write_bytes(b"x")
    code = f"""
import threading, time, numpy as np
from pathlib import Path
from retrain.sandbox import SandboxedModel, model
model.CHILD = "lying_child"
made = []
# The thread that starts it ends: that must not matter.
starter = threading.Thread(target=lambda: made.append(SandboxedModel(Path({str(path)!r}))))
starter.start(); starter.join()
print(made[0].scores(np.zeros((1, 2, 2, 3), "f4")) if {how != "busy"} else "", flush=True)
print(made[0]._child._process.pid, flush=True)
made[0].scores(np.zeros((1, 2, 2, 3), "f4"))
time.sleep(60)
"""
    environment = {**os.environ, "PYTHONPATH": f"{TESTS.parent}{os.pathsep}{TESTS}"}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment) as parent:
        parent.stdout.readline()
        child = int(parent.stdout.readline())
        time.sleep(0.2)
        os.kill(child, 0)
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 5
    while alive(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(child)


def alive(process: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False


# A process that is locked down.

ATTEMPTS = {
    "read a file": "open('/etc/hostname').read()",
    "list a folder": "os.listdir('/')",
    "read another process": "open(f'/proc/{os.getppid()}/status').read()",
    "write a file": "open(sys.argv[1] + '/written', 'w')",
    "append to a file": "open(sys.argv[1] + '/there', 'a')",
    "write what may be read": "open(sys.argv[2] + '/file', 'r+')",
    "make a file beside what may be read": "open(sys.argv[2] + '/new', 'w')",
    "make a folder": "os.mkdir(sys.argv[1] + '/folder')",
    "delete": "os.unlink(sys.argv[1] + '/there')",
    "rename": "os.rename(sys.argv[1] + '/there', sys.argv[1] + '/renamed')",
    "link": "os.symlink('/', sys.argv[1] + '/link')",
    "truncate": "os.truncate(sys.argv[1] + '/there', 0)",
    "change the mode": "os.chmod(sys.argv[1] + '/there', 0)",
    "change times": "os.utime(sys.argv[1] + '/there')",
    "make a file of memory": "os.memfd_create('x')",
    "connect": "socket.socket()",
    "connect to a file": "socket.socket(socket.AF_UNIX)",
    "ask netlink": "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
    "fork": "os.fork()",
    "start a program": "os.execv('/bin/true', ['true'])",
    "spawn": "os.posix_spawn('/bin/true', ['true'], {})",
    "signal its parent": "os.kill(os.getppid(), 0)",
    "signal everything": "os.kill(-1, 0)",
    "raise its limits": "resource.setrlimit(resource.RLIMIT_DATA, (1 << 40, 1 << 40))",
    "raise its parent's limits": "resource.prlimit(os.getppid(), resource.RLIMIT_CPU, (1, 1))",
    "become somebody": "os.setuid(1)",
    "leave its root": "os.chroot('/')",
    "mount": "call('mount', b'none', b'/', b'tmpfs', 0, None)",
    "trace": "call('ptrace', 16, os.getppid(), None, None)",
    "undo the filter": "call('prctl', 22, 0, 0, 0, 0)",
    "a namespace": "call('unshare', 0x10000000)",
    "io_uring": "call('syscall', 425, 1, None)",
    "files by handle": "call('syscall', 437, -100, b'/', None, 0)",
    "give its signals away": "fcntl.fcntl(0, fcntl.F_SETOWN, os.getppid())",
}
LOCKED = """
import ctypes, fcntl, json, os, resource, socket, sys, threading
from pathlib import Path
from retrain.sandbox.bounds import Bounds
from retrain.sandbox.lockdown import lock_down
library = ctypes.CDLL(None, use_errno=True)
def call(name, *words):
    if getattr(library, name)(*words) < 0:
        raise OSError(ctypes.get_errno(), name)
attempts, held = json.loads(sys.argv[3]), os.pipe()
done = lock_down([Path(sys.argv[2])], Bounds(memory_bytes=1 << 30), 1, held[0])
said = {"limits": done.limits, "unenforced": done.unenforced}
def thread():
    said["thread"] = sum(range(1000))
one = threading.Thread(target=thread); one.start(); one.join()
said["allowed"] = open(sys.argv[2] + "/file").read()
for name, code in attempts.items():
    try:
        said[name] = repr(eval(code))
    except (OSError, ValueError) as error:  # ValueError: what Python makes of a refused setrlimit
        said[name] = f"refused: {error}"
try:
    said["memory"] = len(bytearray(2 << 30))
except MemoryError:
    said["memory"] = "refused"
os.write(1, json.dumps(said).encode())
"""


def locked_down(tmp_path: Path, prefix: tuple[str, ...] = ()) -> dict[str, object]:
    import json

    for name in ("closed", "open"):
        (tmp_path / name).mkdir()
    (tmp_path / "closed" / "there").write_text("as it was")
    (tmp_path / "open" / "file").write_text("may be read")
    words = [
        *prefix,
        sys.executable,
        "-c",
        LOCKED,
        str(tmp_path / "closed"),
        str(tmp_path / "open"),
        json.dumps(ATTEMPTS),
    ]
    environment = {**os.environ, "PYTHONPATH": str(TESTS.parent), "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def judge(said: dict[str, object], tmp_path: Path) -> None:
    assert said["unenforced"] == []
    assert len(said["limits"]) == 10
    assert (said["thread"], said["allowed"], said["memory"]) == (499500, "may be read", "refused")
    assert {name: said[name] for name in ATTEMPTS if not str(said[name]).startswith("refused")} == {}
    assert (tmp_path / "closed" / "there").read_text() == "as it was"
    assert [path.name for path in (tmp_path / "closed").iterdir()] == ["there"]


@linux
@pytest.mark.skipif(sys.platform == "linux" and not landlock.landlock_version(), reason="the kernel has no Landlock")
def test_a_locked_down_process_calculates_and_nothing_else(tmp_path):
    judge(locked_down(tmp_path), tmp_path)


@linux
@pytest.mark.skipif(sys.platform == "linux" and not landlock.landlock_version(), reason="the kernel has no Landlock")
def test_an_ordinary_user_is_locked_down_as_well(tmp_path):
    # In a namespace of its own as user 1000: without any of root's privileges, and the owner of the same files.
    prefix = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
    tried = subprocess.run([*prefix, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"no namespace of users here: {tried.stderr.strip()}")
    judge(locked_down(tmp_path, prefix), tmp_path)


def test_what_a_system_cannot_refuse_is_said(monkeypatch):
    monkeypatch.setattr(landlock, "landlock_version", lambda: 0)
    with pytest.raises(OSError, match="no Landlock"):
        landlock.allow_reading_only([])
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(OSError, match="riscv64"):
        seccomp.allow_calculating_only()
    done = Lockdown()
    assert not done.step("it writes no file", lambda: landlock.allow_reading_only([]))
    assert done.step("it leaves no memory dump", lambda: None)
    assert done.unenforced == ["it writes no file: the kernel has no Landlock"]
    assert done.limits == ["it leaves no memory dump"]


def test_on_another_system_each_missing_limit_is_named(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    for name in ("_limit", "_read_only"):
        monkeypatch.setattr(lockdown, name, lambda *words, **options: (_ for _ in ()).throw(OSError("not here")))
    done = lockdown.lock_down([], Bounds(), 1, None)
    assert done.limits == []
    assert len(done.unenforced) == 10
    assert all(": " in sentence for sentence in done.unenforced)


# The filter of system calls, run by an interpreter of its own.


def decide(program: bytes, architecture: int, number: int, *arguments: int) -> tuple[str, int]:
    """What the kernel would answer: ("allow", 0), ("error", errno) or ("kill", 0)."""
    call = struct.pack("<iIQ6Q", number, architecture, 0, *(*arguments, *[0] * 6)[:6])
    steps, position, held = [program[i : i + 8] for i in range(0, len(program), 8)], 0, 0
    while True:
        code, then, otherwise, word = struct.unpack("<HBBI", steps[position])
        position += 1
        if code == 0x20:
            (held,) = struct.unpack_from("<I", call, word)
        elif code == 0x15:
            position += then if held == word else otherwise
        elif code == 0x45:
            position += then if held & word else otherwise
        else:
            kind = {0x80000000: "kill", 0x00050000: "error", 0x7FFF0000: "allow"}[word & 0xFFFF0000]
            return kind, word & 0xFFFF


@pytest.mark.parametrize(
    ("machine", "architecture", "numbers"),
    [
        ("x86_64", 0xC000003E, {"socket": 41, "execve": 59, "kill": 62, "io_uring_setup": 425, "openat": 257, "clone": 56,
                                "clone3": 435, "read": 0, "tgkill": 234, "prlimit": 302, "openat2": 437, "x32 read": 1 << 30}),
        ("aarch64", 0xC00000B7, {"socket": 198, "execve": 221, "kill": 129, "io_uring_setup": 425, "openat": 56,
                                 "clone": 220, "clone3": 435, "read": 63, "tgkill": 131, "prlimit": 261, "openat2": 437}),
    ],
)  # fmt: skip
def test_the_filter_answers_as_it_should_on_both_processors(machine, architecture, numbers):
    program = seccomp.filter_program(machine, 4711)
    for name in ("socket", "execve", "kill", "io_uring_setup", "openat2", "x32 read"):
        if name in numbers:
            assert decide(program, architecture, numbers[name]) == ("error", errno.EPERM), name
    assert decide(program, architecture, numbers["read"], 0) == ("allow", 0)
    assert decide(program, architecture ^ 1, numbers["read"]) == ("kill", 0)
    at, path = 0xFFFFFF9C, 0x7FFF00000000
    assert decide(program, architecture, numbers["openat"], at, path, os.O_RDONLY | os.O_CLOEXEC) == ("allow", 0)
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_CREAT, os.O_TRUNC, os.O_WRONLY | os.O_APPEND):
        assert decide(program, architecture, numbers["openat"], at, path, flags) == ("error", errno.EACCES), flags
    assert decide(program, architecture, numbers["clone"], 0x3D0F00) == ("allow", 0)
    assert decide(program, architecture, numbers["clone"], 17) == ("error", errno.EPERM)
    assert decide(program, architecture, numbers["clone3"]) == ("error", errno.ENOSYS)
    assert decide(program, architecture, numbers["tgkill"], 4711, 4712, 6) == ("allow", 0)
    assert decide(program, architecture, numbers["tgkill"], 1, 1, 9) == ("error", errno.EPERM)
    assert decide(program, architecture, numbers["prlimit"], 0, 7, 0, path) == ("allow", 0)
    assert decide(program, architecture, numbers["prlimit"], 0, 7, 1 << 32, path) == ("error", errno.EPERM)
    assert decide(program, architecture, numbers["prlimit"], 0, 7, 8, path) == ("error", errno.EPERM)


# Messages.


def test_a_message_comes_back_as_it_was_sent():
    stream = io.BytesIO()
    send(stream, {"shape": [1, 2]}, b"payload")
    stream.seek(0)
    assert receive(stream, 7) == ({"shape": [1, 2]}, b"payload")
    with pytest.raises(EOFError):
        receive(stream, 7)


def test_a_message_larger_than_agreed_is_not_read():
    stream = io.BytesIO()
    send(stream, {}, b"payload")
    stream.seek(0)
    with pytest.raises(WireError, match=r"2 \+ 7"):
        receive(stream, 6)
    with pytest.raises(WireError, match="at most"):
        send(stream, {"x": "y" * MAX_JSON})


def test_bounds_travel_as_json_and_give_processor_seconds():
    bounds = Bounds(call_s=1.5)
    assert Bounds(**asdict(bounds)) == bounds
    assert bounds.cpu_s(1.5, 4) == 12
    assert bounds.cpu_s(0.01, 1) == 2


def test_importing_it_is_cheap():
    code = "import sys, retrain.sandbox; print({'tensorflow', 'tensorflow.python', 'subprocess', 'PIL', 'google.protobuf'} & set(sys.modules))"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=TESTS.parent)
    assert child.stdout == "set()\n"
