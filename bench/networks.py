"""Whole networks: how good, how fast, and whether a kill changes them.

    python bench/networks.py accuracy SET               cnn3_128 from scratch, ours and plain Keras', and augmented
    python bench/networks.py digits                     mnist_cnn_28 on scikit-learn's digits
    python bench/networks.py digits TRAIN TEST          the same on class folders of digits as PNG; all of MNIST is
                                                        60,000 and 10,000, and --epochs 6 are enough for it
    python bench/networks.py finetune SET               fine-tuned less head only
    python bench/networks.py throughput SET             images a second, ours and plain Keras', in turn
    python bench/networks.py kill SET                   kill -9 at random moments, and the same command again

A SET is a folder with one sub-folder a class. Both sides train on the same files and are tested on the same others.
The goals are those of the issue; nothing fails when one is missed: read the table.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import network_kills
import network_speed
from common import ROOT, machine, print_table, save, say
from network_runs import (
    KerasNetworks,
    Trained,
    cut_in_two,
    paired,
    photographs_of,
    put_together,
    train_ours,
    write_digits,
)

TEST_SHARE = 0.2
AUGMENTED = ("--flip_left_right", "--random_crop=10", "--random_scale=10", "--random_brightness=10")
# Both sides train for as long as they are told, on all that is not tested on, every photograph counting alike.
SCRATCH = (
    "--train=scratch", "--early_stopping=0", "--validation_percentage=0", "--class_weights=none",
)  # fmt: skip
MNIST_IMAGES = 60_000
Lines = list[tuple[str, str, str]]


def main() -> int:
    """Measure what the first word says, print the table, write the results."""
    arguments = _parse()
    start = machine()
    with tempfile.TemporaryDirectory(prefix="bench-") as temp:
        lines, facts = MEASURES[arguments.what](arguments, Path(temp))
    print_table(("figure", "goal", "measured"), lines)
    told = {name: str(value) if isinstance(value, Path) else value for name, value in vars(arguments).items()}
    # Sets by name, not by path.
    told = {
        name: Path(value).name if name in ("set", "train", "test") and value else value for name, value in told.items()
    }
    save(f"networks-{arguments.what}", {"machine_at_start": start, "arguments": told, **facts})
    return 0


def accuracy(arguments: argparse.Namespace, place: Path) -> tuple[Lines, dict[str, Any]]:
    """Train from scratch: ours, Keras, ours augmented; a split a seed, differences paired."""
    ours, keras, augmented = [], [], []
    with KerasNetworks() as peer:
        for seed in range(arguments.seeds):
            say(f"seed {seed}: ours")
            folder = cut_in_two(arguments.set, place / "cut", seed, TEST_SHARE)
            flags = _scratch_flags(arguments, seed)
            ours.append(train_ours(folder, place / "ours", flags))
            say(f"seed {seed}: Keras")
            keras.append(peer.train(folder, arguments.architecture, **_keras_settings(arguments, seed))["accuracy"])
            say(f"seed {seed}: ours, augmented")
            augmented.append(train_ours(folder, place / "ours", [*flags, *AUGMENTED]))
    shares = [one.accuracy for one in ours]
    plain = paired([a - b for a, b in zip(shares, keras, strict=True)])
    gain = paired([a.accuracy - b for a, b in zip(augmented, keras, strict=True)])
    lines = [
        *_sizes(ours[0], f"{arguments.architecture}, {arguments.epochs} epochs, {arguments.seeds} seeds"),
        ("ours, test accuracy in percent", ">= 80 of as many as the tutorial's", str(paired(shares))),
        ("plain Keras", "", str(paired(keras))),
        ("ours less Keras", "within the noise", f"{plain}{_verdict(abs(plain.mean) <= 2 * plain.error)}"),
        ("ours augmented", "", str(paired([one.accuracy for one in augmented]))),
        ("ours augmented less Keras", "> 0", f"{gain}{_verdict(gain.mean > 2 * gain.error)}"),
    ]
    runs = {"ours": shares, "keras": keras, "augmented": [one.accuracy for one in augmented]}
    return lines, {"trained_on": ours[0].trained_on, "tested": ours[0].tested, **runs}


def digits(arguments: argparse.Namespace, place: Path) -> tuple[Lines, dict[str, Any]]:
    """Train on digits: those of scikit-learn, a fifth held out, or given folders."""
    if arguments.train is None:
        folder = cut_in_two(write_digits(place / "digits"), place / "cut", 0, TEST_SHARE)
    else:
        folder = put_together(arguments.train, arguments.test, place / "cut")
    images = sum(map(len, photographs_of(folder / "train").values()))
    goal = ">= 99 %" if images >= MNIST_IMAGES else ">= 98 %" if arguments.train is None else "none for so few"
    flags = _scratch_flags(arguments, 0)
    say("ours")
    ours = train_ours(folder, place / "ours", [*flags, *(AUGMENTED[1:3] if arguments.augment else ())])
    with KerasNetworks() as peer:
        say("Keras")
        keras = peer.train(folder, arguments.architecture, **_keras_settings(arguments, 0))
    lines = [
        *_sizes(ours, f"{arguments.architecture}, {arguments.epochs} epochs"),
        ("ours, test accuracy", goal, f"{100 * ours.accuracy:.2f} %"),
        ("plain Keras", "", f"{100 * keras['accuracy']:.2f} %"),
        ("ours, the whole command", "< 600 s", f"{ours.wall_s:.0f} s"),
        ("plain Keras, its epochs alone", "", f"{sum(keras['epoch_s']):.0f} s"),
    ]
    return lines, {"ours": _facts(ours), "keras": keras}


def finetune(arguments: argparse.Namespace, place: Path) -> tuple[Lines, dict[str, Any]]:
    """Fine-tune and train a head alone on the same splits; differences paired."""
    heads, tuned = [], []
    for seed in range(arguments.splits):
        folder = cut_in_two(arguments.set, place / "cut", seed, TEST_SHARE)
        say(f"split {seed + 1} of {arguments.splits}: head only")
        common = [f"--architecture={arguments.architecture}", f"--seed={seed}"]
        heads.append(train_ours(folder, place / "ours", ["--train=head", *common]))
        say(f"split {seed + 1} of {arguments.splits}: fine-tuned")
        own = ["--train=finetune", *_training_flags(arguments), f"--epochs={arguments.epochs}"]
        tuned.append(train_ours(folder, place / "ours", [*common, *own]))
    gain = paired([a.accuracy - b.accuracy for a, b in zip(tuned, heads, strict=True)])
    lines = [
        *_sizes(tuned[0], f"{arguments.architecture}, {arguments.splits} splits"),
        ("head only, test accuracy in percent", "", str(paired([one.accuracy for one in heads]))),
        ("fine-tuned", "", str(paired([one.accuracy for one in tuned]))),
        ("fine-tuned less head only", ">= 1", f"{gain}{_verdict(gain.mean >= 1)}"),
        ("fine-tuning, the whole command", "", f"{max(one.wall_s for one in tuned):.0f} s at most"),
    ]
    return lines, {"heads": [_facts(one) for one in heads], "tuned": [_facts(one) for one in tuned]}


def throughput(arguments: argparse.Namespace, place: Path) -> tuple[Lines, dict[str, Any]]:
    """Train the same network on both sides, in turn, and count images a second."""
    laid_out = network_speed.copies_of(arguments.set, place / "copies", arguments.copies)
    say("the job, as the command makes it")
    flags = [*SCRATCH, *_network_flags(arguments), "--epochs=1", "--subfolder_splits"]
    made = train_ours(_with_test(laid_out), place / "ours", flags)
    if made.folder is None:
        raise SystemExit("expected --train scratch to leave a job in its checkpoint folder, got none")
    with KerasNetworks() as keras:
        paces = network_speed.compare(made.folder, laid_out, place, keras, arguments.rounds, arguments.epochs)
    said = (f"{arguments.architecture}, batch {arguments.batch}", "", f"{paces.photographs} photographs an epoch")
    return [said, *network_speed.lines(paces)], network_speed.facts_of(paces)


def kill(arguments: argparse.Namespace, place: Path) -> tuple[Lines, dict[str, Any]]:
    """Kill our command at random moments, run it again, compare the weights."""
    flags = [*SCRATCH, *AUGMENTED, *_network_flags(arguments), f"--epochs={arguments.epochs}"]
    flags += [f"--checkpoint_steps={arguments.checkpoint_steps}", "--seed=0"]
    folder = cut_in_two(arguments.set, place / "cut", 0, TEST_SHARE)
    wanted, kills = network_kills.measure(folder, place / "ours", flags, arguments.kills, arguments.seed)
    killed = [one for one in kills if not one.ended]
    same, midway = sum(one.same for one in killed), sum(bool(one.checkpoint) for one in killed)
    lines = [
        ("killed, run again, the same weights", f"{arguments.kills} of {arguments.kills}", f"{same} of {len(killed)}"),
        ("  of these with a checkpoint on the disk", "", str(midway)),
        ("SHA-256 of the weights", "", ", ".join(f"{name} {value[:12]}" for name, value in wanted.items())),
    ]
    return lines, {"wanted": wanted, "kills": [asdict(one) for one in kills]}


MEASURES: dict[str, Callable[[argparse.Namespace, Path], tuple[Lines, dict[str, Any]]]] = {
    "accuracy": accuracy,
    "digits": digits,
    "finetune": finetune,
    "throughput": throughput,
    "kill": kill,
}


def _with_test(laid_out: Path) -> Path:
    """Copy a photograph a class of train/ to test/, which a job never sees: a run wants some to test on."""
    for name, paths in photographs_of(laid_out / "train").items():
        (laid_out / "test" / name).mkdir(parents=True)
        for path in paths[:2]:
            (laid_out / "test" / name / path.name).write_bytes(path.read_bytes() + b"for the test")
    return laid_out


def _scratch_flags(arguments: argparse.Namespace, seed: int) -> list[str]:
    return [*SCRATCH, *_network_flags(arguments), f"--epochs={arguments.epochs}", f"--seed={seed}"]


def _network_flags(arguments: argparse.Namespace) -> list[str]:
    shape = (f"--architecture={arguments.architecture}", f"--channels={arguments.channels}")
    return [*shape, *_training_flags(arguments)]


def _training_flags(arguments: argparse.Namespace) -> list[str]:
    return [f"--train_batch_size={arguments.batch}", f"--learning_rate={arguments.rate}", *arguments.flags]


def _keras_settings(arguments: argparse.Namespace, seed: int) -> dict[str, float]:
    names = ("epochs", "batch", "rate", "channels")
    return {**{name: getattr(arguments, name) for name in names}, "seed": seed}


def _sizes(trained: Trained, what: str) -> Lines:
    return [(what, "", f"trained on {trained.trained_on} photographs, tested on {trained.tested}")]


def _facts(trained: Trained) -> dict[str, float]:
    return {name: value for name, value in asdict(trained).items() if name != "folder"}


def _verdict(reached: bool) -> str:
    return "" if reached else " (not reached)"


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words = parser.add_subparsers(dest="what", required=True)
    one = _command(words, "accuracy", "cnn3_128", epochs=30, batch=16, rate=1e-4)
    one.add_argument("set", metavar="SET", type=_folder)
    one.add_argument("--seeds", type=int, default=5, help="splits, a seed each (default: 5)")
    one = _command(words, "digits", "mnist_cnn_28", epochs=20, batch=50, rate=1e-3, channels=1)
    one.add_argument("train", metavar="TRAIN", nargs="?", type=_folder)
    one.add_argument("test", metavar="TEST", nargs="?", type=_folder)
    one.add_argument("--augment", action="store_true", help="ours with random crops and scales of 10 %%")
    one = _command(words, "finetune", "mobilenet_0.50_224", epochs=-1, batch=-1, rate=-1)
    one.add_argument("set", metavar="SET", type=_folder)
    one.add_argument("--splits", type=int, default=5, help="random splits (default: 5)")
    one = _command(words, "throughput", "cnn3_128", epochs=3, batch=16, rate=1e-4)
    one.add_argument("set", metavar="SET", type=_folder)
    one.add_argument("--rounds", type=int, default=3, help="rounds of both sides in turn (default: 3)")
    one.add_argument("--copies", type=int, default=8, help="how often the set is laid out (default: 8)")
    one = _command(words, "kill", "cnn3_64", epochs=60, batch=16, rate=1e-4)
    one.add_argument(
        "set", metavar="SET", nargs="?", type=_folder, default=ROOT / "tf_files" / "cluster_photos",
        help="(default: tf_files/cluster_photos)",
    )  # fmt: skip
    one.add_argument("--kills", type=int, default=20, help="(default: 20)")
    one.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    one.add_argument("--checkpoint_steps", type=int, default=2, help="(default: 2)")
    arguments = parser.parse_args()
    if arguments.what == "digits" and (arguments.train is None) != (arguments.test is None):
        parser.error("expected a folder to train on and one to test on, got one folder; give both or none")
    return arguments


def _command(
    words: Any, name: str, architecture: str, *, epochs: int, batch: int, rate: float, channels: int = 3
) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = words.add_parser(name, help=MEASURES[name].__doc__)
    command.add_argument("--architecture", default=architecture, help="(default: %(default)s)")
    command.add_argument("--epochs", type=int, default=epochs, help="(default: %(default)s)")
    command.add_argument("--batch", type=int, default=batch, help="photographs a step (default: %(default)s)")
    command.add_argument("--rate", type=float, default=rate, help="of Adam (default: %(default)s)")
    command.add_argument("--channels", type=int, default=channels, choices=(1, 3), help="(default: %(default)s)")
    command.add_argument("--flags", type=_flags, default=[], help="further flags of ours: random_crop=20,mixup=0.2")
    return command


def _flags(text: str) -> list[str]:
    return [f"--{word}" for word in text.split(",") if word]


def _folder(text: str) -> Path:
    folder = Path(text).resolve()
    if not folder.is_dir():
        raise argparse.ArgumentTypeError(f"expected a folder of class folders, but there is no folder {text}")
    return folder


if __name__ == "__main__":
    sys.exit(main())
