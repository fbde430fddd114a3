"""Ray itself: started on this machine or joined, quiet, telling nobody of it, and ended again."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from retrain.config.cluster import RAY_COMMAND, is_ray_installed
from retrain.errors import UsageError

# Ray reads these when it is imported, started, or starts a worker.
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # it would report to its makers
    "RAY_DISABLE_IMPORT_WARNING": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # a FutureWarning about graphics cards
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # "(raylet) A worker died" on standard output; we say what matters ourselves
}
# One a process: Ray keeps the first that it sees.
_TOKEN = secrets.token_hex(32)


@contextlib.contextmanager
def session(address: str, cores: int) -> Iterator[ModuleType]:
    """Be connected to Ray.

    Args:
        address: "auto" or host:port of a cluster to join; empty starts Ray on this machine, for this block alone.
        cores: of this machine, for a Ray that is started.

    Yields:
        The module ray. A session that this process has already is used and left as it is.

    Raises:
        UsageError: the cluster cannot be joined.
    """
    if not is_ray_installed():
        raise UsageError(f"this engine needs Ray, which is not installed: {RAY_COMMAND}")
    with _environment(_QUIET if address else _QUIET | _own_environment()):
        import ray

        if ray.is_initialized():
            yield ray
            return
        _connect(ray, address, cores)
        try:
            yield ray
        finally:
            ray.shutdown()


def _connect(ray: ModuleType, address: str, cores: int) -> None:
    # A Ray of our own is bound to the loopback interface: nobody else can reach it.
    where = (
        {"address": address} if address else {"address": "local", "num_cpus": cores, "_node_ip_address": "127.0.0.1"}
    )
    logging.getLogger("ray").setLevel(logging.ERROR)
    try:
        with _kept_sigterm():
            ray.init(
                **where,
                include_dashboard=None if address else False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                configure_logging=False,
            )
    except (ConnectionError, RuntimeError, ValueError, OSError, ray.exceptions.RayError) as error:
        what = f"join Ray at --ray_address={address}" if address else "start Ray on this machine"
        raise UsageError(
            f"cannot {what}: {str(error).strip() or type(error).__name__}; look at it with `ray status`, or leave "
            "--engine=ray away"
        ) from error


def _own_environment() -> dict[str, str]:
    # Workers of a Ray of our own import the package that runs here, wherever it lies.
    paths = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    variables = {"PYTHONPATH": os.pathsep.join(paths)}
    if "RAY_AUTH_MODE" not in os.environ:
        # Ray would make a token of its own, and keep it in the home folder.
        variables |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": _TOKEN}
    return variables


@contextlib.contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _kept_sigterm() -> Iterator[None]:
    """Ray puts its own handler in place of ours, and SIGTERM would no longer end with the exit code 143."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)
