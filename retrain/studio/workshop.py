"""What the studio knows: the folder, the run over it, and the head as it stands; one job at a time changes it.

Pages ask for what is known, from many threads, and get a Standing that never changes under them; jobs make the next.
A correction leaves a job behind that trains the head again, and one that cross-validates it; a newer correction takes
the place of both.
"""

from __future__ import annotations

import contextlib
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Event

from retrain.config import RunConfig
from retrain.console import Advance
from retrain.dataset import Catalog, find_photographs, plan_problems
from retrain.errors import ModelError, RetrainError, UsageError
from retrain.publish.told import metrics_path, told_config
from retrain.studio.events import Events
from retrain.studio.refitting import Examined, Fitted, Flip, Overtaken, examine, fit, flips
from retrain.studio.settling import Settled, settle
from retrain.studio.telling import PacedConsole


@dataclass(frozen=True, eq=False)
class Standing:
    """What is known at one moment.

    Args:
        revision: grows with each change of the folder.
        catalog: the folder; None where it cannot be read at all.
        problems: why no run could start on it, a sentence each.
        fitted: the head as it stands; None before there is one.
        examined: what cross-validation adds to it; None until that is done.
        flips: photographs that the newest head names differently than the one before.
        trouble: why the newest head could not be trained or examined; empty where it was, and while it is.
        fitted_revision: of the folder that the head was trained on.
    """

    revision: int = 0
    catalog: Catalog | None = None
    problems: tuple[str, ...] = ()
    fitted: Fitted | None = None
    examined: Examined | None = None
    flips: tuple[Flip, ...] = ()
    trouble: str = ""
    fitted_revision: int = -1


@dataclass(frozen=True)
class _Job:
    """What is to be done about one state of the folder.

    Args:
        standing: the folder as it was found.
        config: of the run as it was then.
        stop: set when something newer is to be done.
    """

    standing: Standing
    config: RunConfig
    stop: Event


class Workshop:
    """Knows a run folder and keeps a head on it.

    Args:
        config: of the next run; where there was one, what that was told.
        events: told of each change.
    """

    def __init__(self, config: RunConfig, events: Events) -> None:
        self.config, self.events = config, events
        self.standing = Standing()
        self._lock = threading.Lock()
        # One looks at the folder at a time: else an older look could take the place of a newer one.
        self._looking = threading.Lock()
        self._stop = Event()
        self._settled: Settled | None = None
        self._wanted: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="workshop", daemon=True)
        self._thread.start()

    @property
    def root(self) -> Path:
        """The image folder."""
        return Path(self.config.image_dir)

    def close(self) -> None:
        """Begin no further job, and end the one that runs where it next looks."""
        self._stop.set()
        self._wanted.put(None)
        self._thread.join(timeout=2)

    # What changes the folder calls this, from whatever thread.

    def look_again(self) -> Standing:
        """Read the folder as it is now, and have the head trained again where one can be.

        Returns:
            What is known now; the head follows.
        """
        with self._looking:
            problems, catalog = find_photographs(self.config)
            if catalog is not None and not problems:
                problems = plan_problems(self.config, catalog)
            with self._lock:
                self._stop.set()
                self._stop = Event()
                revision = self.standing.revision + 1
                self.standing = replace(
                    self.standing, revision=revision, catalog=catalog, problems=tuple(problems), trouble=""
                )
                job = _Job(self.standing, self.config, self._stop)
            self.events.tell("folder", revision=revision)
            self._wanted.put(lambda: self._refit(job))
        return job.standing

    def take(self, config: RunConfig) -> Standing:
        """Go on with another config, as a run that just ended was told it.

        Args:
            config: of the run.

        Returns:
            What is known now.
        """
        with self._lock:
            # Trap: what was settled is known by this very object; the run may have left another backbone behind.
            self.config = replace(config)
        return self.look_again()

    def _work(self) -> None:
        while (job := self._wanted.get()) is not None:
            with contextlib.suppress(Overtaken):
                job()

    def _refit(self, job: _Job) -> None:
        with self._in_trouble(job):
            fitted = self._fit(job)
            if fitted is not None:
                self._put(job, fitted)
                self._wanted.put(lambda: self._examine(job, fitted))

    def _fit(self, job: _Job) -> Fitted | None:
        standing, config = job.standing, job.config
        if not metrics_path(config.output_graph).exists():
            return None  # nothing has been trained yet, which is no trouble
        if standing.problems or standing.catalog is None:
            raise UsageError(standing.problems or ["the image folder cannot be read; is it there?"])
        console = _Telling(self.events, "fitting", job.stop)
        self.events.tell("fitting", revision=standing.revision)
        if self._settled is None or self._settled.given is not config:
            self._settled = settle(config, console)
        settled = self._settled
        return fit(settled.config, standing.catalog, settled.backbone, settled.recipe, console, job.stop)

    def _put(self, job: _Job, fitted: Fitted) -> None:
        revision = job.standing.revision
        with self._lock:
            if job.stop.is_set():
                raise Overtaken
            before = self.standing.fitted
            changed = tuple(flips(before, fitted)) if before is not None else ()
            self.standing = replace(
                self.standing, fitted=fitted, examined=None, flips=changed, fitted_revision=revision
            )
        self.events.tell("fitted", revision=revision, seconds=round(fitted.seconds, 3))

    def _examine(self, job: _Job, fitted: Fitted) -> None:
        with self._in_trouble(job):
            examined = examine(fitted, job.stop)
            with self._lock:
                if job.stop.is_set():
                    raise Overtaken
                self.standing = replace(self.standing, examined=examined)
            self.events.tell("examined", revision=job.standing.revision, seconds=round(examined.seconds, 3))

    @contextlib.contextmanager
    def _in_trouble(self, job: _Job) -> Iterator[None]:
        """Say what went wrong with a job, unless a newer one will say how it went."""
        try:
            yield
        except Overtaken:
            raise
        except RetrainError as error:
            text = "\n".join(error.problems) if isinstance(error, UsageError) else str(error)
        except Exception:  # noqa: BLE001 - a flaw of ours must not end the thread that all pages wait for
            text = f"an error of the studio itself:\n{traceback.format_exc()}"
        else:
            return
        with self._lock:
            if job.stop.is_set():
                raise Overtaken
            self.standing = replace(self.standing, trouble=text)
        self.events.tell("trouble", text=text)


class _Telling(PacedConsole):
    """Tells pages how far a stage of a fit is, and ends it where something newer is to be done."""

    def __init__(self, events: Events, kind: str, stop: Event) -> None:
        super().__init__(partial(events.tell, kind), ends=False)
        self._stop = stop

    @contextlib.contextmanager
    def stage(self, title: str, total: int, unit: str) -> Iterator[Advance]:
        """As that of PacedConsole."""
        with super().stage(title, total, unit) as tell:

            def advance(count: int = 1, note: str = "") -> None:
                if self._stop.is_set():
                    raise Overtaken
                tell(count, note)

            yield advance


def config_of(output_graph: str, image_dir: str) -> RunConfig:
    """Find what the next run is to be told: what the last one was, or the defaults.

    Args:
        output_graph: path of the model.
        image_dir: the photographs; empty: those of the last run.

    Returns:
        The config.

    Raises:
        UsageError: there was no run, and no folder is named; or its photographs are no folder of class folders here.
    """
    try:
        config = told_config(output_graph)
    except ModelError:
        if metrics_path(output_graph).exists():
            raise
        config = RunConfig(output_graph=output_graph)
    config = replace(config, image_dir=image_dir or config.image_dir, output_graph=output_graph)
    if config.image_list or config.split_file:
        raise UsageError(
            "expected a run over class folders, got one of --image_list or --split_file, whose tables the studio would "
            "put out of step by moving photographs; use the command line for it"
        )
    if not config.image_dir:
        raise UsageError("expected --image_dir, the folder of photographs (it may be empty), got none")
    return config
