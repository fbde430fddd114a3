"""The requests of Train, Review, Try and Use."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from retrain.config import FORMATS, RunConfig
from retrain.errors import UsageError
from retrain.exporters.making import problems_of_formats
from retrain.head.recipe import AUTO, KINDS
from retrain.outset import find_problems
from retrain.publish.told import metrics_path
from retrain.studio import addressed, review, using
from retrain.studio.answers import Handler, Refused, answer, json_of, query_of, text_in
from retrain.studio.api import body_of, judged_facts
from retrain.studio.choices import architectures, with_architecture
from retrain.studio.desk import Desk
from retrain.studio.editing import LIMITS
from retrain.studio.refitting import Fitted

# What a page may set of a run; all else stays as the last run was told it.
_SETTABLE = ("architecture", "head", "how_many_training_steps", "learning_rate", "testing_percentage",
             "validation_percentage", "seed", "cross_validation_repeats", "learning_curve")  # fmt: skip


class ModelRoutes:
    """Answers the pages about the model.

    Args:
        desk: what all routes share.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def table(self) -> list[tuple[str, str, Handler]]:
        """List address below /studio, method and handler."""
        return [
            ("train", "GET", self.training),
            ("train", "POST", self.train),
            ("train/cancel", "POST", self.cancel),
            ("review", "GET", self.review),
            ("review/cell", "GET", self.cell),
            ("review/near", "GET", self.near),
            ("review/heat", "GET", self.heat),
            ("review/confirm", "POST", self.confirm),
            ("try", "POST", self.try_it),
            ("try/url", "POST", self.try_url),
            ("try/heat", "POST", self.try_heat),
            ("use", "GET", self.use),
            ("use/export", "POST", self.export),
            ("use/download", "GET", self.download),
        ]

    async def training(self, request: Request) -> Response:
        """Say how the run is doing, and what can be set of the next."""
        config = self._desk.workshop.config
        listed = await self._desk.turns.run(partial(architectures, config))
        facts = {
            "told": self._desk.events.so_far,
            "progress": asdict(self._desk.trainer.progress),
            "settings": {name: getattr(config, name) for name in _SETTABLE},
            "architectures": listed,
            "heads": [*KINDS, AUTO],
            "curve": review.learning_curve(config.output_graph),
        }
        return answer(facts)

    async def train(self, request: Request) -> Response:
        """Start a run: ``{"architecture": ..., "head": ..., ...}``; what is not said stays as it was."""
        facts = await json_of(request)
        # In the queue of changes, so that none is under way when the run begins to read.
        await self._desk.changes.run(partial(self._start, facts))
        return answer({"started": True}, 202)

    def _start(self, facts: dict[str, Any], more: tuple[str, ...] = ()) -> None:
        config = _with_settings(self._desk.workshop.config, facts)
        config = replace(config, export=",".join(using.formats_of_next(config, more)))
        problems = find_problems(config)[0]
        if problems:
            raise UsageError(problems)
        self._desk.trainer.start(config)

    async def cancel(self, request: Request) -> Response:
        """End the run as Ctrl-C would."""
        return answer({"cancelled": self._desk.trainer.cancel()})

    async def review(self, request: Request) -> Response:
        """Say what there is to look at again."""
        desk = self._desk
        told = desk.events.so_far
        look = partial(review.overview, desk.workshop.standing, desk.rejected.read())
        return answer({"told": told, **await desk.picture_turns.run(look)})

    async def cell(self, request: Request) -> Response:
        """List the photographs of a cell of a confusion matrix: ``?truth=&guess=&of=test|crossed``."""
        truth, guess = (_index(request, name) for name in ("truth", "guess"))
        of = query_of(request).get("of", "")
        look = partial(review.cell, self._desk.workshop.standing, truth, guess, of)
        items = await self._desk.picture_turns.run(look)
        return answer({"items": items})

    async def near(self, request: Request) -> Response:
        """List the photographs most alike to one: ``?path=``."""
        path = query_of(request).get("path", "")
        items = await self._desk.picture_turns.run(partial(review.neighbours, self._desk.workshop.standing, path))
        return answer({"items": items})

    async def heat(self, request: Request) -> Response:
        """Show what in a photograph speaks for a label: ``?path=&label=``."""
        query = query_of(request)
        make = partial(review.heat_png, self._desk.workshop.standing, query.get("path", ""), query.get("label", ""))
        return Response(await self._desk.turns.run(make), 200, {"cache-control": "no-store"}, "image/png")

    async def confirm(self, request: Request) -> Response:
        """Confirm the label of a suspect, or take that back: ``{"path": ..., "right": true|false}``."""
        facts = await json_of(request)
        path, right = text_in(facts, "path"), facts.get("right", True)
        if not isinstance(right, bool):
            raise Refused(400, "expected 'right' to be true or false")
        await self._desk.changes.run(partial(self._confirm, path, right))
        return answer({"confirmed": right})

    def _confirm(self, path: str, right: bool) -> None:
        fitted = self._fitted()
        row = review.row_of(fitted, path)
        sha, label = fitted.features.sha256s[row], fitted.catalog.labels[fitted.catalog.records[row].label]
        if right:
            self._desk.rejected.add(sha, label)
        else:
            self._desk.rejected.drop(sha)

    async def try_it(self, request: Request) -> Response:
        """Name the photograph that the body is."""
        data = await body_of(request, LIMITS.max_bytes)
        judged = await self._desk.turns.run(partial(self._desk.models.judge, data))
        return answer(judged_facts(judged))

    async def try_url(self, request: Request) -> Response:
        """Name the photograph at an address: ``{"url": ...}``; only where the studio was told that it may."""
        url = text_in(await json_of(request), "url")
        if not self._desk.allow_urls:
            raise Refused(403, "addresses are not asked unless the studio is started with --allow_urls")
        # One turn, so that fetching and naming together end within the time of one request.
        return answer(judged_facts(await self._desk.turns.run(lambda: self._desk.models.judge(addressed.fetch(url)))))

    async def try_heat(self, request: Request) -> Response:
        """Show what in the photograph that the body is speaks for ``?label=``."""
        data, label = await body_of(request, LIMITS.max_bytes), query_of(request).get("label", "")
        made = await self._desk.turns.run(lambda: review.heat_of(self._fitted(), data, label))
        return Response(made, 200, {"cache-control": "no-store"}, "image/png")

    async def use(self, request: Request) -> Response:
        """List what the model can be used as."""
        desk, graph = self._desk, self._desk.workshop.config.output_graph
        facts = {
            "there": desk.models.is_there(),
            "model": await desk.turns.run(desk.models.facts) if desk.models.is_there() else None,
            "exports": await desk.turns.run(partial(using.exports, graph)),
            "files": using.files(graph),
            "commands": using.commands(graph, desk.address, wants_token=desk.wants_token),
        }
        return answer(facts)

    async def export(self, request: Request) -> Response:
        """Write a further format: ``{"format": "onnx"}``; of the model as it is, if it is one of these photographs."""
        name = text_in(await json_of(request), "format", 40)
        if name not in FORMATS:
            raise UsageError(f"expected a format among {', '.join(FORMATS)}, got {name!r}")
        trains = await self._desk.changes.run(partial(self._export, name))
        return answer({"started": True, "trains": trains}, 202)

    def _export(self, name: str) -> bool:
        """Begin to write a format; whether a run has to come before."""
        desk = self._desk
        config, standing = desk.workshop.config, desk.workshop.standing
        problems = problems_of_formats([name], config.architecture)
        if problems:
            raise UsageError(problems)
        if not desk.models.is_there():
            raise UsageError("there is no model yet; train first")
        # Where no head is fitted here (a network of its own, a folder in trouble), the model is what there is.
        fitted = None if standing.trouble else standing.fitted
        if fitted is not None and standing.fitted_revision != standing.revision:
            raise UsageError("the photographs were changed a moment ago; wait until the head is fitted again")
        if fitted is not None and not desk.models.was_trained_on(fitted.manifest):
            self._start({}, (name,))
            return True
        desk.trainer.start(config, (name,))
        return False

    async def download(self, request: Request) -> Response:
        """Send a file of the run: ``?file=``."""
        graph, name = self._desk.workshop.config.output_graph, query_of(request).get("file", "")
        data, save_as = await self._desk.turns.run(partial(using.download, graph, name))
        headers = {"content-disposition": using.disposition(save_as), "cache-control": "no-store"}
        return Response(data, 200, headers, "application/octet-stream")

    def _fitted(self) -> Fitted:
        fitted = self._desk.workshop.standing.fitted
        if fitted is None:
            raise UsageError("nothing has been trained on these photographs yet; train first")
        return fitted


def head_facts(desk: Desk) -> dict[str, Any]:
    """Say how the head stands, in short.

    Args:
        desk: what all routes share.

    Returns:
        JSON's types only.
    """
    standing = desk.workshop.standing
    fitted, examined = standing.fitted, standing.examined
    return {
        "trained": metrics_path(desk.workshop.config.output_graph).exists(),
        "model": desk.models.is_there(),
        "unsaved": fitted is not None and not desk.models.was_trained_on(fitted.manifest),
        "training": {name: value for name, value in asdict(desk.trainer.progress).items() if name != "lines"},
        "fitted_revision": standing.fitted_revision,
        "trouble": standing.trouble,
        "test": None if fitted is None else review.accuracy_facts(fitted.test.accuracy),
        "crossed": None if examined is None else review.accuracy_facts(examined.numbers.accuracy),
        "flips": len(standing.flips),
        "seconds": None if fitted is None else fitted.seconds,
    }


def _with_settings(config: RunConfig, facts: dict[str, Any]) -> RunConfig:
    strange = sorted(set(facts) - set(_SETTABLE))
    if strange:
        raise UsageError(f"expected settings among {', '.join(_SETTABLE)}, got {', '.join(strange)[:200]}")
    values: dict[str, Any] = {}
    for name, value in facts.items():
        usual = getattr(RunConfig(), name)
        if isinstance(usual, float) and type(value) is int:
            value = float(value)
        if type(value) is not type(usual):
            raise UsageError(f"expected {name} to be {type(usual).__name__}, got {str(value)[:60]!r}")
        values[name] = value
    return replace(with_architecture(config, values.pop("architecture", config.architecture)), **values)


def _index(request: Request, name: str) -> int:
    text = query_of(request).get(name, "")
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise Refused(400, f"expected {name} to be the index of a label, got {text[:20]!r}")
    return int(text)
