"""The whole examination in its order: the folders, the files, the clock, the photographs as a set."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from retrain import storage
from retrain.backbones import BackboneSpec, PreparedBackbone, find_backbone
from retrain.config import RunConfig
from retrain.console import Console
from retrain.dataset import Catalog, find_photographs, plan_problems, unpack_photographs
from retrain.doctor.checkup import file_findings, look_at_files
from retrain.doctor.files import Memory
from retrain.doctor.kept import kept_facts
from retrain.doctor.report import Report
from retrain.doctor.timing import predict
from retrain.doctor.together import features_of, look_together
from retrain.errors import RetrainError, UsageError
from retrain.images.sky import sky_of
from retrain.outset import date_problems, prepare
from retrain.survey import STOPS, Finding, Survey, layout_findings, merged, survey_folder

_T = TypeVar("_T")


def diagnose(config: RunConfig, console: Console, output_dir: Path | None = None, *, keep: bool = False) -> Report:
    """Look at an image folder.

    Args:
        config: what a run would be told; its image_dir can be listed, its architecture is there.
        console: where to say how it goes.
        output_dir: where files that become unreadable meanwhile are listed; None: the photographs' features are left
            out, and near duplicates are found by looks alone.
        keep: whether what is found of the files is kept beside the bottleneck cache, for the next look.

    Returns:
        All that was found; the folder is not changed, and nothing is fetched.

    Raises:
        UsageError: there is no such architecture, or no such folder, list or archive.
    """
    spec = find_backbone(config.architecture)
    catalog = _photographs(config, console)
    survey = _survey(config, catalog)
    found = _settings(config, catalog) + _of_names(config, catalog, survey)
    with _memory(config, catalog, console, keep=keep) as memory:
        tally, prints = look_at_files(catalog, survey, console, memory, sky_of(config))
    found += file_findings(tally, catalog, config.max_skipped_percentage)
    backbone, unpredicted = _prepared(config, spec, catalog, console)
    prediction = None
    readable = replace(catalog, records=tuple(catalog.records[place] for place in prints.places))
    if backbone and readable.records:
        prediction, unpredicted = _tried(lambda: predict(config, readable, backbone))
    if prediction:
        console.line(prediction.sentence())
    features, why_not = None, "--no_features" if output_dir is None else unpredicted
    if backbone and output_dir and readable.records:
        folder = output_dir
        features, why_not = _tried(lambda: features_of(config, readable, backbone, folder, console))
    console.line(f"Comparing {len(prints):,} photographs with each other")
    together = look_together(config, catalog, prints, features, backbone)
    found += together.findings
    return Report(
        config.image_dir,
        catalog.labels,
        tuple(catalog.count_with_label()),
        tuple(tally.readable[label] for label in range(len(catalog.labels))),
        dict(tally.formats.most_common()),
        tuple(merged(found)),
        tuple(tally.bad),
        together.duplicates,
        prediction,
        unpredicted,
        _compared(spec, why_not, is_used=features is not None),
        features is not None,
        together.split,
        (len(catalog.records), len(catalog.records) - tally.lost) if catalog.label_sets else None,
    )


def _memory(
    config: RunConfig, catalog: Catalog, console: Console, *, keep: bool
) -> AbstractContextManager[Memory | None]:
    if not keep or not catalog.records:
        return nullcontext()
    return kept_facts(config.bottleneck_dir, catalog.root, console, verify=config.verify_cache)


def _photographs(config: RunConfig, console: Console) -> Catalog:
    problems, catalog = find_photographs(config)
    if catalog is None and not problems:  # an archive that is not unpacked yet
        unpack_photographs(config, console)
        problems, catalog = find_photographs(config)
    if catalog is None:
        raise UsageError(problems or config.problems())
    return catalog


def _survey(config: RunConfig, catalog: Catalog) -> Survey:
    """All that lies around; of a URL and of a list no more is known than what they name."""
    place = storage.local_path(catalog.root)
    return Survey(catalog.root) if config.image_list or not place else survey_folder(place)


def _of_names(config: RunConfig, catalog: Catalog, survey: Survey) -> list[Finding]:
    """What is wrong with how the folders lie; where these mean nothing, with the labels alone."""
    if not config.multi_label:
        return layout_findings(catalog, survey, config.label_style, config.outputs())
    return [Finding(STOPS, "labels", problem, "") for problem in catalog.problems]


def _settings(config: RunConfig, catalog: Catalog) -> list[Finding]:
    """What a run with these flags, and its defaults for the others, would refuse."""
    problems = config.problems() + plan_problems(config, catalog) + date_problems(config, catalog)
    return [Finding(STOPS, "settings", problem, "") for problem in problems]


def _prepared(
    config: RunConfig, spec: BackboneSpec, catalog: Catalog, console: Console
) -> tuple[PreparedBackbone | None, str]:
    if not catalog.records:
        return None, "there are no photographs"
    # Offline: looking at a folder must not fetch weights of 500 MB; a run does that.
    return _tried(lambda: prepare(replace(config, offline=True), spec, console))


def _tried(make: Callable[[], _T]) -> tuple[_T | None, str]:
    """What cannot be had for want of weights or of a sound cache is said in the report, whose findings still hold."""
    try:
        return make(), ""
    except RetrainError as error:
        return None, str(error).splitlines()[0]
    except OSError as error:
        return None, f"{error.filename or 'disk'}: {error.strerror or error}"


def _compared(spec: BackboneSpec, why_not: str, *, is_used: bool) -> str:
    if is_used:
        return f"Near duplicates were looked for by looks and by the features of {spec.name}, which are cached now."
    because = f" ({why_not})" if why_not else ""
    return (
        f"Near duplicates were looked for by looks alone{because}: with features, more copies that were cut are found."
    )
