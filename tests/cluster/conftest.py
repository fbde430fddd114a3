"""Two nodes of Ray on this machine, one core each, which all tests here share."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from extractors import HERE, PYTHONPATH

from retrain.bottlenecks import Job
from retrain.config.cluster import RAY_COMMAND, is_ray_installed


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == HERE:
            item.add_marker(pytest.mark.ray)
            if not is_ray_installed():
                item.add_marker(pytest.mark.skip(reason=f"Ray is not installed: {RAY_COMMAND}"))
            elif sys.platform == "win32":
                item.add_marker(pytest.mark.skip(reason="Ray has no clusters on Windows"))


class Nodes:
    """The cluster.

    Args:
        cluster: Ray's own helper.
    """

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster
        self.address = cluster.address
        self.second = self.add()

    def add(self) -> Any:
        self.second = self._cluster.add_node(num_cpus=1, node_ip_address="127.0.0.1")
        return self.second

    def kill_second(self) -> None:
        self._cluster.remove_node(self.second, allow_graceful=False)


@pytest.fixture(scope="session")
def nodes() -> Iterator[Nodes]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", PYTHONPATH)
        for name, value in {
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # nodes and drivers stay on the loopback interface
            "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
            "RAY_DEDUP_LOGS_SKIP_REGEX": ".",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
        }.items():
            patch.setenv(name, value)
        from ray.cluster_utils import Cluster

        # By default Ray takes half a minute to miss a node.
        missing = {
            "health_check_period_ms": 1000,
            "health_check_timeout_ms": 10_000,
            "health_check_failure_threshold": 3,
        }
        head = {"num_cpus": 1, "include_dashboard": False, "node_ip_address": "127.0.0.1", "_system_config": missing}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        yield Nodes(cluster)
        cluster.shutdown()


@pytest.fixture(scope="session")
def joined(nodes: Nodes) -> Iterator[Nodes]:
    """This process is a driver of the cluster, so that a test need not wait for it."""
    import ray

    from retrain.engines.ray_session import session

    with session(nodes.address, 1):
        yield nodes
    assert not ray.is_initialized()


@pytest.fixture
def write_jobs(tmp_path: Path):
    """Make photographs of given contents, and the jobs to read them."""

    def write(contents: list[bytes]) -> list[Job]:
        for number, content in enumerate(contents):
            (tmp_path / f"{number}.jpg").write_bytes(content)
        return [Job(number, str(tmp_path / f"{number}.jpg")) for number in range(len(contents))]

    return write
