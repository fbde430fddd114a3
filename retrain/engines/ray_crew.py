"""The workers of a run on Ray: hired one a core, checked before they get work, replaced when they are lost."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Container, Sequence
from types import ModuleType
from typing import Any

from retrain.engines.digests import shippable
from retrain.engines.ray_worker import Introduction, Worker, versions
from retrain.errors import RetrainError, UsageError
from retrain.extraction import ExtractFunction

# How often it is looked whether there are more cores: nodes join and leave.
LOOK_EVERY_S = 5.0
# A worker that has not started by then may wait for a node that is down, and that Ray takes half a minute to miss.
_OVERDUE_S = 10.0
# How long to go without a single worker: other people's jobs may hold all cores.
NO_WORKER_S = 120.0
_POLL_S = 1.0
# Workers lost one after the other without a single answer, beyond twice their number.
_LOST_IN_A_ROW = 20


class Member:
    """One worker.

    Args:
        handle: Ray's.
        hired: when, on the monotonic clock, seconds.
    """

    def __init__(self, handle: Any, hired: float) -> None:  # noqa: ANN401
        self.handle, self.hired = handle, hired
        self.load = 0
        self.alone = False


class Crew:
    """All workers of a run.

    Args:
        ray: the module, connected.
        extract_one: shipped once.
        known: digests that need no vector, shipped once.
        folders: that each worker must see.
    """

    def __init__(
        self, ray: ModuleType, extract_one: ExtractFunction, known: Container[bytes], folders: Sequence[str]
    ) -> None:
        self._ray, self._folders, self._versions = ray, folders, versions()
        self._kind = ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0)(Worker)
        self._goods = (ray.put(extract_one), ray.put(shippable(known)))
        self._starting: dict[Any, Member] = {}
        self._looked = self._had_member = time.monotonic()
        self._lost_in_a_row = 0
        self.members: list[Member] = []

    def cores(self) -> int:
        """Count the cores of all nodes.

        Returns:
            At least 1.
        """
        return max(1, int(self._ray.cluster_resources().get("CPU", 0)))

    def fill(self, useful: int) -> None:
        """Hire until there is a worker a core.

        Args:
            useful: no more workers than this are of use.
        """
        now = time.monotonic()
        if (self.members or self._starting) and now - self._looked < LOOK_EVERY_S:
            return
        self._looked, cores = now, self.cores()
        hired = len(self.members) + sum(now - member.hired < _OVERDUE_S for member in self._starting.values())
        for _ in range(hired, min(cores, max(1, useful), 3 * cores - len(self._starting))):
            member = Member(self._kind.remote(*self._goods), now)
            self._starting[member.handle.introduce.remote(self._folders)] = member

    def wait(self, blocks: Collection[Any]) -> list[Any]:
        """Wait until something happens, a second at most.

        Args:
            blocks: references to blocks that are out.

        Returns:
            Those that are done, or lost.

        Raises:
            UsageError: a worker that has started cannot be used.
            RetrainError: there has been no worker for long.
        """
        references = [*blocks, *self._starting]
        done, _ = self._ray.wait(references, num_returns=1, timeout=_POLL_S)
        if done:
            done, _ = self._ray.wait(references, num_returns=len(references), timeout=0)
        for reference in [r for r in done if r in self._starting]:
            self._greet(reference)
        self._check_there_is_one()
        return [r for r in done if r in blocks]

    def _greet(self, reference: Any) -> None:  # noqa: ANN401
        member = self._starting.pop(reference)
        try:
            introduction = self._ray.get(reference)
        except self._ray.exceptions.RayActorError as error:
            if getattr(error, "actor_init_failed", False):
                raise UsageError(_start_failure(str(error))) from error
            self._count_loss(error)
            return
        problems = self._problems(introduction)
        if problems:
            raise UsageError(problems)
        self.members.append(member)

    def _problems(self, introduction: Introduction) -> list[str]:
        host, theirs = introduction.host, introduction.versions
        differ = [f"{n} {theirs.get(n)} there, {own} here" for n, own in self._versions.items() if theirs.get(n) != own]
        problems = [
            f"expected the node {host} to see the folder {folder}, as this machine does; mount it there under the same "
            "path, or give a URL (s3://bucket/photos)"
            for folder in introduction.unseen
        ]
        if differ:
            problems.append(
                f"expected the node {host} to run what runs here, got {'; '.join(differ)}; install the same version "
                "of this package with the same constraints.txt on every node"
            )
        return problems

    def lose(self, member: Member, error: Exception) -> None:
        """Take out a worker that died, or can no longer be reached.

        Args:
            member: which; nothing happens when it is out already.
            error: what Ray said.

        Raises:
            RetrainError: one worker after the other dies.
        """
        if member in self.members:
            self.members.remove(member)
            self._dismiss(member)
            self._count_loss(error)

    def _count_loss(self, error: Exception) -> None:
        self._looked = -LOOK_EVERY_S  # hire another at once
        self._lost_in_a_row += 1
        if self._lost_in_a_row > _LOST_IN_A_ROW + 2 * self.cores():
            raise RetrainError(
                f"{self._lost_in_a_row} workers of Ray died one after the other without an answer; what came back is "
                f"kept. The last one: {' '.join(str(error).split())}"
            ) from error

    def praise(self) -> None:
        """Note that a worker answered."""
        self._lost_in_a_row = 0

    def _check_there_is_one(self) -> None:
        now = time.monotonic()
        if self.members:
            self._had_member = now
        elif now - self._had_member > NO_WORKER_S:
            free, total = (f().get("CPU", 0) for f in (self._ray.available_resources, self._ray.cluster_resources))
            raise RetrainError(
                f"expected a worker of Ray within {NO_WORKER_S:.0f} s, got none; {free:g} of {total:g} cores are free: "
                "wait for the others' jobs, or add a node"
            )

    def close(self) -> None:
        """End all workers."""
        for member in [*self.members, *self._starting.values()]:
            self._dismiss(member)
        self.members.clear()
        self._starting.clear()

    def _dismiss(self, member: Member) -> None:
        with contextlib.suppress(self._ray.exceptions.RayError, ValueError):  # gone already
            self._ray.kill(member.handle, no_restart=True)


def _start_failure(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    if "No module named 'retrain'" in said:
        return "the workers of Ray cannot import retrain; install this package, the same version, on every node"
    return f"a worker of Ray could not start: {lines[-1] if lines else said}; see its log on that node"
