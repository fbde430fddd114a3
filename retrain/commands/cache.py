"""``python -m retrain cache``: what is in the bottleneck caches, whether it is whole, what can go, in and out."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from retrain import storage
from retrain.bottlenecks import BottleneckStore, cache_path
from retrain.bottlenecks import transfer as texts
from retrain.bottlenecks.export import load_export, write_npz, write_parquet, write_texts
from retrain.bottlenecks.maintain import ALBUM, DOCTOR, CacheStats, check_cache, find_caches, stats_of
from retrain.bottlenecks.prune import DAMAGED, prune
from retrain.bottlenecks.trial import TOLERANCE, try_out
from retrain.commandline import Parser
from retrain.commands.common import add_model_dir, add_photographs, command_parser, photographs_of, read_flags
from retrain.commands.kept_files import delete_file, named_file, tell_pixels
from retrain.commands.unpacked import prune_unpacked, tell_unpacked
from retrain.config import RunConfig
from retrain.config.inputs import archive_kind
from retrain.console import Console, printable
from retrain.dataset import Catalog
from retrain.errors import CacheError, RetrainError, UsageError

ACTIONS = ("stats", "verify", "prune", "export", "import")
FORMATS = ("npz", "parquet", "text")
# At most so many of a list are told one by one.
_SHOWN = 20
_MB = 1e6

_PHOTOGRAPHS = ("verify", "export", "import")
# Which action each flag belongs to: a flag that would be ignored is refused.
_BELONGS = {
    "image_dir": _PHOTOGRAPHS,
    "image_list": _PHOTOGRAPHS,
    "recursive": _PHOTOGRAPHS,
    "multi_label": _PHOTOGRAPHS,
    "architecture": ("verify", "import"),
    "backbone_graph": ("verify", "import"),
    "bottleneck_tensor": ("verify", "import"),
    "recompute": ("verify",),
    "dry_run": ("prune",),
    "delete_cache": ("prune",),
    "output": ("export",),
    "format": ("export",),
    "suffix": ("import",),
}

_DESCRIPTION = """\
Look after the bottleneck caches.

    cache stats [NAME ...]      what is in each cache file, and what it takes on the disk; which photographs lie
                                decoded, which archives unpacked
    cache verify [NAME ...]     SQLite's own check and every checksum; with --image_dir also the contents of its files;
                                with --recompute, imported bottlenecks are computed again. Exit code 5: damage
    cache prune [NAME ...]      takes out what nothing refers to any more, and gives the room back to the disk;
                                without a NAME also what was unpacked of archives that are gone or hold other things
    cache export [NAME]         writes the vectors of an image folder for other programs
    cache import TEXT_DIR       takes in the text files of the original retrain.py

A NAME is that of a file in --bottleneck_dir, with or without .sqlite; none means all of them.
The photographs are named as for a run: --image_dir (folder or archive), --image_list, --recursive, --multi_label."""


def cache(words: Sequence[str], console: Console) -> int:
    """List, verify, prune, export or import caches."""
    given = _read(words)
    actions = {"stats": _stats, "verify": _verify, "prune": _prune, "export": _export, "import": _import}
    return actions[given.action](given, console)


def _read(words: Sequence[str]) -> argparse.Namespace:
    given = read_flags(_parser(), words)
    problems = [
        f"--{name} belongs to cache {' and '.join(actions)}, not to cache {given.action}; leave it away"
        for name, actions in _BELONGS.items()
        if getattr(given, name) not in (None, False, "") and given.action not in actions
    ]
    if given.action in ("export", "import") and len(given.names) > 1:
        problems.append(f"expected one name for cache {given.action}, got {' '.join(given.names)}")
    if problems:
        raise UsageError(problems)
    return given


def _parser() -> Parser:
    parser = command_parser("cache", _DESCRIPTION)
    parser.add_argument("action", choices=ACTIONS, help="what to do")
    parser.add_argument("names", nargs="*", metavar="NAME", help="cache files, or the folder to import")
    home = RunConfig().bottleneck_dir
    parser.add_argument("--bottleneck_dir", default=home, metavar="DIR", help=f"folder of the caches (default: {home})")
    add_photographs(parser, "verify, export, import: the photographs")
    add_model_dir(parser)
    backbone = "verify --recompute, import: the backbone that the text files are said to be of"
    parser.add_argument("--architecture", metavar="NAME", help=backbone)
    parser.add_argument("--backbone_graph", metavar="FILE", help="the same, as a frozen graph")
    parser.add_argument("--bottleneck_tensor", metavar="NAME", help="where the features of --backbone_graph are")
    parser.add_argument(
        "--recompute", type=int, metavar="N", help="verify: compute N imported bottlenecks again; -1: all of them"
    )
    parser.add_argument("--dry_run", action="store_true", help="prune: only say what would go")
    parser.add_argument("--delete_cache", action="append", metavar="NAME", help="prune: delete this whole cache file")
    parser.add_argument("--output", metavar="PATH", help="export: the file, or for text the new folder, to write")
    parser.add_argument("--format", choices=FORMATS, help="export: default npz")
    parser.add_argument("--suffix", metavar="TEXT", help="import: which, where text files of several backbones lie")
    return parser


def _stats(given: argparse.Namespace, console: Console) -> int:
    paths = find_caches(given.bottleneck_dir, given.names)
    for path in paths:
        console.line("\n".join(_describe(stats_of(path))))
    for path in sorted(Path(given.bottleneck_dir).glob(f"*{DAMAGED}*")):
        console.line(f"{path.name}: set aside as damaged, {_size(path.stat().st_size)}; cache prune --delete_cache")
    if not paths:
        console.line(f"no cache in {given.bottleneck_dir}")
    if not given.names:
        tell_pixels(given.bottleneck_dir, console)
        tell_unpacked(given.bottleneck_dir, console)
    return 0


def _describe(stats: CacheStats) -> list[str]:
    folders = [f"  {count:,} files of {printable(folder)}" for folder, count in stats.folders.items()]
    if stats.architecture == DOCTOR:
        found = f"  what the doctor found of {stats.vectors:,} photographs; {_size(stats.size)} on the disk"
        return [stats.path.name, found, *folders]
    if stats.architecture == ALBUM:
        small = f"  small pictures of {stats.pictures:,} photographs; {_size(stats.size)} on the disk"
        return [stats.path.name, small, *folders]
    total = stats.vectors + stats.views + stats.unverified
    parts = [f"{stats.vectors:,} vectors"]
    parts += [f"{stats.views:,} of distorted views"] * bool(stats.views)
    parts += [f"{stats.unverified:,} unverified"] * bool(stats.unverified)
    lines = [
        stats.path.name,
        f"  architecture {stats.architecture}, fingerprint {stats.fingerprint}, {stats.width} numbers a vector",
        f"  {', '.join(parts)}; {_size(stats.size)} on the disk, {stats.size // max(1, total):,} bytes a vector",
    ]
    lines += [f"  imported: {printable(stats.source)}"] * bool(stats.source)
    return lines + folders


def _size(size: int) -> str:
    return f"{size / _MB:,.1f} MB"


def _verify(given: argparse.Namespace, console: Console) -> int:
    if given.recompute is not None:
        return _recompute(given, console)
    for name in ("architecture", "backbone_graph", "bottleneck_tensor"):
        if getattr(given, name):
            raise UsageError(f"--{name} belongs to --recompute, got it without; add --recompute=-1 or leave it away")
    if storage.is_url(given.image_dir):
        raise UsageError(
            f"expected --image_dir to lie on this machine, got {given.image_dir}; photographs under a URL are "
            "checked by a run with --verify_cache"
        )
    root, faults = _root(given, console), 0
    for path in find_caches(given.bottleneck_dir, given.names):
        try:
            found = check_cache(path, root)
        except CacheError as error:
            console.line(f"{path.name}: {error}")
            faults += 1
            continue
        faults += len(found.damage)
        files = f", {found.files:,} files read again" if root else ""
        later = f", {found.outdated:,} changed or gone since (a run notices)" if found.outdated else ""
        console.line(
            f"{path.name}: {found.rows:,} {_rows_of(path)}{files}, {len(found.damage) or 'nothing'} wrong{later}"
        )
        for text in found.damage:
            console.line(f"  {text}")
    if faults:
        raise CacheError(
            f"found {faults} damages in {given.bottleneck_dir}; python -m retrain --verify_cache mends what it needs, "
            "and what SQLite itself cannot read is set aside by the next run"
        )
    return 0


def _rows_of(path: Path) -> str:
    return "pictures" if path.name.startswith(f"{ALBUM}-") else "vectors"


def _prune(given: argparse.Namespace, console: Console) -> int:
    doomed = [named_file(given.bottleneck_dir, name) for name in given.delete_cache or ()]
    # Named caches only to delete: the others are not pruned along.
    paths = find_caches(given.bottleneck_dir, given.names) if given.names or not doomed else []
    would, freed = "would free about" if given.dry_run else "freed", 0
    for path in paths:
        gone = prune(path, dry_run=given.dry_run)
        freed += gone.freed
        rows = f"{gone.vectors + gone.pictures:,} {_rows_of(path)}"
        rows += f", {gone.views:,} of distorted views" if gone.views else ""
        console.line(
            f"{path.name}: {gone.entries:,} entries of files that are gone, {rows}; {would} {gone.freed:,} bytes"
        )
        for folder in gone.kept_folders:
            console.line(f"  kept what is known of {folder}, which is not there now (a disk not plugged in?)")
    for path in doomed:
        size = path.stat().st_size if given.dry_run else delete_file(path)
        freed += size
        console.line(f"{path.name}: the whole file; {would} {size:,} bytes")
    if not given.names and not doomed:
        freed += prune_unpacked(given.bottleneck_dir, console, dry_run=given.dry_run)
    console.line(f"{would} {freed:,} bytes in all")
    return 0


def _export(given: argparse.Namespace, console: Console) -> int:
    if not given.output:
        raise UsageError("expected --output for cache export, got none; name the file or folder to write")
    paths = [
        one
        for one in find_caches(given.bottleneck_dir, given.names)
        if not one.name.startswith((f"{ALBUM}-", f"{DOCTOR}-"))
    ]
    if len(paths) != 1:
        found = ", ".join(path.name for path in paths) or "none"
        raise UsageError(f"expected the name of one cache, got {len(given.names) or 'none'}; there are: {found}")
    writers = {"npz": write_npz, "parquet": write_parquet, "text": write_texts}
    export = load_export(paths[0], _root(given, console))
    writers[given.format or "npz"](export, Path(given.output))
    count, width = export.vectors.shape
    console.line(f"wrote {count:,} vectors of {width} to {given.output}")
    return 0


def _root(given: argparse.Namespace, console: Console) -> str:
    """The folder that the photographs' names in a cache are relative to; empty where none are named."""
    if not given.image_dir and not given.image_list:
        return ""
    # A folder need not be one of class folders any more, nor be there: what the cache knows of it is asked for.
    if not given.image_list and not archive_kind(given.image_dir):
        return _existing(given.image_dir) if given.action == "verify" else str(given.image_dir)
    return photographs_of(_config(given), console).root


def _existing(folder: str) -> str:
    if Path(folder).is_dir():
        return folder
    raise UsageError(f"expected --image_dir to be a folder or an archive, got {folder}; check the spelling")


def _import(given: argparse.Namespace, console: Console) -> int:
    if not given.names or not Path(given.names[0]).is_dir():
        raise UsageError(f"expected a folder of text bottlenecks, got {' '.join(given.names) or 'none'}")
    catalog = _catalog(given, console)
    chosen = texts.choose_suffix(texts.find_texts(Path(given.names[0]), catalog), given.suffix or "")
    width = texts.usual_width(chosen)
    store, ours = _store_for(given, chosen[0].suffix, width, console)
    with store:
        done = texts.import_texts(chosen, catalog, store, own_cache=not ours)
    _tell_import(done, console)
    if ours:
        console.line("They are used only with --use_unverified, until cache verify --recompute has tried them")
    else:
        console.line("No run uses them: they can be exported, and no model is right without the backbone they are of")
    return 0


def _catalog(given: argparse.Namespace, console: Console) -> Catalog:
    catalog = photographs_of(_config(given), console)
    if catalog.problems:
        raise UsageError(catalog.problems)
    return catalog


def _store_for(given: argparse.Namespace, suffix: str, width: int, console: Console) -> tuple[BottleneckStore, bool]:
    """Open the cache of the backbone named, if the texts can be of it, or else one of their own."""
    if not given.architecture and not given.backbone_graph:
        return texts.imported_cache(given.bottleneck_dir, suffix, width), False
    config = _config(given)
    from retrain.outset import check, prepare

    spec, _ = check(config)
    if spec.feature_width != width:
        console.warn(
            f"the text files have {width} numbers and {spec.name} has {spec.feature_width} features, so they are of "
            "something else: they get a cache of their own"
        )
        return texts.imported_cache(given.bottleneck_dir, suffix, width), False
    backbone = prepare(config, spec, console)
    path = cache_path(given.bottleneck_dir, backbone.spec.name, backbone.fingerprint)
    return BottleneckStore(path, backbone.fingerprint, width), True


def _config(given: argparse.Namespace) -> RunConfig:
    names = (
        "image_dir", "image_list", "recursive", "multi_label", "archive_max_files", "archive_max_mb", "bottleneck_dir",
        "model_dir", "architecture", "backbone_graph", "bottleneck_tensor",
    )  # fmt: skip
    return RunConfig(**{name: getattr(given, name) for name in names if getattr(given, name)})


def _tell_import(done: texts.Imported, console: Console) -> None:
    for text in done.rejected[:_SHOWN]:
        console.warn(printable(text))
    if len(done.rejected) > _SHOWN:
        console.warn(f"and {len(done.rejected) - _SHOWN} more text files that were not taken")
    if done.older:
        console.warn(f"{done.older} text files are older than their photograph, which may have been edited since")
    console.line(
        f"imported {done.kept:,} vectors of {done.width} numbers (*_{printable(done.suffix)}.txt) into {done.cache}, "
        f"unverified; {done.known:,} not needed, {len(done.rejected):,} not taken, {done.absent:,} photographs without"
    )


def _recompute(given: argparse.Namespace, console: Console) -> int:
    named = given.image_dir or given.image_list
    if not named or not (given.architecture or given.backbone_graph) or given.recompute == 0:
        raise UsageError(
            "expected --image_dir (or --image_list), --architecture (or --backbone_graph) and a number of at least 1, "
            f"or -1, with --recompute, got --recompute={given.recompute}; see python -m retrain cache --help"
        )
    from retrain.gather import engine_of, extractor_of
    from retrain.outset import check, prepare

    config = _config(given)
    spec, catalog = check(config)
    backbone = prepare(config, spec, console)
    path = cache_path(given.bottleneck_dir, backbone.spec.name, backbone.fingerprint)
    if not path.exists():
        raise UsageError(f"expected the cache {path}, which cache import makes, got none")
    with (
        BottleneckStore(path, backbone.fingerprint, backbone.spec.feature_width) as store,
        extractor_of(config, backbone) as extract_one,
    ):
        trial = try_out(store, catalog, engine_of(config, extract_one), given.recompute)
    if not trial.tested:
        raise RetrainError(f"expected unverified bottlenecks of {named} in {path}, got none; import them first")
    console.line(
        f"{trial.tested:,} computed again: the worst differs by {trial.worst:.2g} of its length, {TOLERANCE:g} is "
        f"allowed; {trial.promoted:,} others are taken as verified, {trial.dropped:,} dropped"
    )
    return 0
