"""Make the bundled weights: teach a small MobileNet V1 what Google's MobileNet V1 1.0_224 sees in photographs.

    python scripts/distill_backbone.py --teacher retrained_graph.pb --photographs photos/ more.tar --out work/

No labels are needed; any photographs will do, the more kinds of things are in them the better. The stages, each of
which is left out where its result is there already, so that the same command goes on after a stop:

    list      photographs -> photographs.json; exact copies, and near-copies of --keep_out, are left out
    crops     views of each photograph -> crops/ (raw uint8; --views times 77 kB a photograph)
    labels    the teacher's feature maps of them -> maps/ (--views times 26 kB)
    start     the student's first weights by least squares -> start.pt (not with --start)
    train     one cosine over --steps steps -> checkpoint.pt (to go on from), student.pt (averaged), log.jsonl
    export    mobilenet_<alpha>_224.npz and head1001.npz, checked against Keras where TensorFlow is installed

scripts/distillation/README.md says where the teacher comes from, and how long it takes.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Trap: run as a file, this folder comes first on the path, and "retrain" would be scripts/retrain.py.
_HERE = Path(__file__).resolve().parent
sys.path[:] = [str(_HERE.parent), *(entry for entry in sys.path if Path(entry or ".").resolve() != _HERE)]

from retrain.errors import EXIT_INTERRUPTED, RetrainError, UsageError  # noqa: E402
from scripts.distillation.recipe import CropRecipe, TrainingRecipe, Workshop  # noqa: E402

STAGES = ("list", "crops", "labels", "start", "train", "export")
_NO_TORCH = "PyTorch is needed for this and is no dependency of the project: pip install torch"


def main(words: Sequence[str] | None = None) -> int:
    """Run the stages.

    Args:
        words: command line; that of the process if None.

    Returns:
        An exit code of retrain.errors.
    """
    arguments = parser().parse_args(words)
    try:
        check(arguments)
        run(arguments)
    except RetrainError as error:
        print(f"distill_backbone: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("stopped; the same command goes on from the last checkpoint", file=sys.stderr)
        return EXIT_INTERRUPTED
    return 0


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    made = argparse.ArgumentParser(
        prog="distill_backbone.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    _add_inputs(made.add_argument_group("what goes in"))
    _add_crops(made.add_argument_group("crops (a new --out if one of these changes)"))
    _add_training(made.add_argument_group("training (a new --out, or no checkpoint.pt in it, if one of these changes)"))
    _add_habits(made.add_argument_group("what may change from run to run"))
    return made


def _add_inputs(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--teacher", type=Path, required=True, metavar="FILE.pb", help="frozen graph of MobileNet 1.0")
    group.add_argument("--photographs", type=Path, nargs="+", required=True, metavar="PATH", help="folders or tars")
    group.add_argument(
        "--keep_out",
        type=Path,
        nargs="+",
        default=[],
        metavar="PATH",
        help="folders or tars, such as sets that the weights will be measured on: photographs that are near-copies of "
        "theirs (at most 4 of 64 bits of a difference hash differ, mirrored or not) are not learnt from",
    )
    group.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where everything is written")
    group.add_argument(
        "--start", type=Path, metavar="FILE.pt", help="go on from a student.pt instead of the least squares"
    )


def _add_crops(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--size", type=int, default=160, help="height and width, px; a multiple of 32 (default: 160)")
    group.add_argument("--views", type=int, default=8, help="crops a photograph (default: 8)")
    group.add_argument("--seed", type=int, default=0, help="of crops and of their order (default: 0)")
    group.add_argument(
        "--held_out_every", type=int, default=40, help="one photograph in so many is for evaluation only (default: 40)"
    )


def _add_training(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--alpha", type=float, default=0.5, help="width of the student (default: 0.5)")
    group.add_argument(
        "--steps", type=int, default=20_000, help="of the one cosine; fixed, not minutes (default: 20000)"
    )
    group.add_argument("--batch", type=int, default=32, help="crops a step and process (default: 32)")
    group.add_argument("--processes", type=int, default=2, help="one a core (default: 2)")
    group.add_argument("--peak_rate", type=float, default=1e-3, help="highest learning rate (default: 1e-3)")
    group.add_argument("--final_rate", type=float, default=1e-5, help="learning rate at the end (default: 1e-5)")
    group.add_argument("--warmup_steps", type=int, default=300, help="steps of rising rate (default: 300)")
    group.add_argument(
        "--still_layers",
        type=int,
        default=3,
        help="first layers (of 27) that stay as they start: the first three take a fifth of the time and have least to "
        "learn (default: 3)",
    )
    for name, value in (("map", 1.0), ("pooled", 1.0), ("logits", 0.5)):
        group.add_argument(f"--{name}_weight", type=float, default=value, help=f"of that loss (default: {value})")
    group.add_argument("--temperature", type=float, default=2.0, help="of the logits (default: 2)")
    group.add_argument("--weight_decay", type=float, default=0.01, help="AdamW's (default: 0.01)")
    group.add_argument(
        "--averaging", type=float, default=0.998, help="decay of the average of weights (default: 0.998)"
    )


def _add_habits(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--until", choices=STAGES, default=STAGES[-1], help="last stage to run (default: export)")
    group.add_argument("--max_gb", type=float, default=20.0, help="of crops and feature maps at most (default: 20)")
    group.add_argument("--start_crops", type=int, default=1024, help="for the least squares (default: 1024)")
    group.add_argument("--log_every", type=int, default=100, help="steps (default: 100)")
    group.add_argument("--save_every", type=int, default=500, help="steps between checkpoints (default: 500)")
    group.add_argument("--evaluate_every", type=int, default=2000, help="steps between evaluations (default: 2000)")


def check(arguments: argparse.Namespace) -> None:
    """Check everything that can be checked before anything is written.

    Raises:
        UsageError: all problems together.
    """
    paths = [arguments.teacher, *arguments.photographs, *arguments.keep_out]
    paths += [arguments.start] if arguments.start else []
    problems = [f"there is no {path}" for path in paths if not path.exists()]
    if arguments.size % 32 or arguments.size < 64:
        problems.append(f"expected a --size of 64, 96, 128 ..., got {arguments.size}")
    counts = ("views", "steps", "batch", "processes", "held_out_every", "log_every", "save_every", "evaluate_every")
    problems += [
        f"expected --{name} of 1 or more, got {getattr(arguments, name)}"
        for name in counts
        if getattr(arguments, name) < 1
    ]
    if STAGES.index(arguments.until) >= STAGES.index("labels") and importlib.util.find_spec("torch") is None:
        problems.append(_NO_TORCH)
    if problems:
        raise UsageError(problems)


def run(arguments: argparse.Namespace) -> None:
    """Run all stages up to --until, leaving out those that are done."""
    from scripts.distillation import stages

    crops = CropRecipe(arguments.size, arguments.views, arguments.seed, arguments.held_out_every)
    training = TrainingRecipe(**{name: getattr(arguments, name) for name in TrainingRecipe.__dataclass_fields__})
    given: dict[str, Any] = {name: getattr(arguments, name) for name in Workshop.__dataclass_fields__}
    for name in ("photographs", "keep_out"):
        given[name] = tuple(given[name])
    shop = Workshop(**given)
    # One thread a process: the processes are as many as the cores.
    os.environ["OMP_NUM_THREADS"] = "1"
    last = STAGES.index(arguments.until)
    shop.out.mkdir(parents=True, exist_ok=True)
    photographs = stages.list_stage(shop, crops)
    if last >= STAGES.index("crops"):
        stages.crops_stage(shop, crops, photographs, arguments.max_gb)
    if last >= STAGES.index("labels"):
        stages.labels_stage(shop, crops, photographs)
    if last >= STAGES.index("start"):
        stages.start_stage(shop, crops, training, photographs)
    if last >= STAGES.index("train"):
        with tempfile.TemporaryDirectory(prefix="distill-") as folder:
            stages.train_stage(shop, crops, training, photographs, Path(folder) / "meeting")
    if last >= STAGES.index("export"):
        stages.export_stage(shop, training)


if __name__ == "__main__":
    sys.exit(main())
