"""Which photographs a run is on: class folders, a list, an archive of either; looked at before anything is written."""

from __future__ import annotations

import os
from pathlib import Path

from retrain import storage
from retrain.config import RunConfig
from retrain.config.inputs import MIB, archive_kind, system_problems, unpack_place
from retrain.config.sky import is_on
from retrain.console import Console
from retrain.dataset.catalog import Catalog
from retrain.dataset.guards import Bounds
from retrain.dataset.label_files import scan_label_files
from retrain.dataset.listing import scan_list
from retrain.dataset.remote import scan_photographs
from retrain.dataset.scan import scan_folder, suffixes_for
from retrain.dataset.unpacking import inspect_archive, step_into, unpack_archive, unpacked_folder
from retrain.errors import UsageError


def find_photographs(config: RunConfig) -> tuple[list[str], Catalog | None]:
    """List the photographs, without writing anything.

    Args:
        config: what a run is told; what its own checks find is not said again.

    Returns:
        One sentence a problem, and what was found; None where that cannot be known, or not before it is unpacked.
    """
    image_dir = config.image_dir
    if config.image_list and not os.path.isfile(config.image_list):  # noqa: PTH113
        return [], None
    if archive_kind(image_dir):
        place = unpack_place(config.bottleneck_dir)
        try:
            folder = unpacked_folder(image_dir, place)
        except UsageError as error:
            return list(error.problems), None
        if not folder.is_dir():
            return inspect_archive(image_dir, place, _bounds(config)), None
        image_dir = str(folder)
    elif not _can_be_listed(config):
        return [], None
    catalog = _catalog_in(image_dir, config)
    return list(catalog.problems), catalog


def unpack_photographs(config: RunConfig, console: Console) -> None:
    """Unpack the archive that --image_dir is, so that find_photographs lists it.

    Args:
        config: what a run is told; nothing was wrong with it.
        console: shown how far it is.

    Raises:
        UsageError: the archive or its photographs are not to be used; nothing of it is left.
    """
    if not archive_kind(config.image_dir):
        raise UsageError(
            f"expected --image_dir={config.image_dir} to be there still; it has vanished while it was looked at"
        )
    place = unpack_place(config.bottleneck_dir)
    console.line(f"Unpacking {config.image_dir} into {place}, once.")
    unpack_archive(
        config.image_dir, place, _bounds(config), console, lambda unpacked: _catalog_in(unpacked, config).problems
    )


def find_folder(image_dir: str, bottleneck_dir: str, max_files: int, max_mb: int, console: Console) -> str:
    """Say where the photographs of an earlier run lie, unpacking its archive again where that is gone.

    Args:
        image_dir: a folder, a URL or an archive.
        bottleneck_dir: the cache, beside which archives are unpacked.
        max_files: --archive_max_files of that run.
        max_mb: its --archive_max_mb.
        console: shown how far it is.

    Returns:
        The folder or URL.

    Raises:
        UsageError: the archive cannot be read.
    """
    if not archive_kind(image_dir):
        return image_dir
    place, bounds = unpack_place(bottleneck_dir), Bounds(max_files, max_mb * MIB)
    return str(unpack_archive(image_dir, place, bounds, console, lambda _: ()))


def _can_be_listed(config: RunConfig) -> bool:
    folder = config.image_dir
    if config.image_list:
        return not folder or storage.is_folder(folder)
    return storage.is_folder(folder) and (storage.is_url(folder) or not system_problems(folder))


def _bounds(config: RunConfig) -> Bounds:
    return Bounds(config.archive_max_files, config.archive_max_mb * MIB)


def _catalog_in(folder: str, config: RunConfig) -> Catalog:
    """What a list names in a folder, or what its class folders hold; the archive's own folder is stepped into."""
    if config.image_list:
        return scan_list(config.image_list, folder, config.label_style, several=config.multi_label)
    splits, suffixes = config.subfolder_splits, suffixes_for(sky=is_on(config))
    if config.multi_label:
        return scan_label_files(folder, config.label_style, suffixes)
    if archive_kind(config.image_dir):
        folder = str(step_into(Path(folder)))
    if config.recursive:
        return scan_folder(folder, config.label_style, subfolder_splits=splits, recursive=True, suffixes=suffixes)
    return scan_photographs(folder, config.label_style, subfolder_splits=splits, suffixes=suffixes)
