"""The model card: what a model was made of, how good it is, where it ends, and how to make it again.

After Mitchell et al., "Model cards for model reporting", 2019, FAT*.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Sequence
from dataclasses import fields

from retrain.config import RunConfig
from retrain.config.networks import SCRATCH
from retrain.console import printable
from retrain.dataset import TESTING, TRAINING, VALIDATION
from retrain.evaluate import ClassNumbers, Growth, Interval, LabelNumbers, Numbers
from retrain.publish.of_run import NetworkTraining, Training
from retrain.trainer.outcome import history_sentence

_SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~&:/@$^=])")
# Classes whose numbers are listed; all of them are in the metrics.
_MOST_CLASSES = 100


def model_card(training: Training, test: Numbers, crossed: Numbers | None, growth: Growth | None, sentence: str) -> str:
    """Write a model's card.

    Args:
        training: what the model is made of.
        test: numbers of the final test.
        crossed: of cross-validation; None when it was left out.
        growth: of the learning curve; None when it was left out.
        sentence: the plain sentence.

    Returns:
        Markdown; names of people's files and classes are escaped. Of the same training always the same.
    """
    numbers = [
        _numbers("Cross-validation, by heads that had not seen the photographs", crossed),
        _numbers("Final test", test),
        _classes((crossed or test).classes if (crossed or test).accuracy.count else ()),
        _growth(growth),
    ]
    return card_of(training, sentence, numbers, test.accuracy.count, is_crossed=crossed is not None)


def label_card(training: Training, test: LabelNumbers, crossed: LabelNumbers | None, sentence: str) -> str:
    """Write the card of a model that gives a photograph several labels.

    Args:
        training: what the model is made of.
        test: numbers of the final test.
        crossed: of cross-validation; None when it was left out.
        sentence: the plain sentence.

    Returns:
        Markdown, as of model_card.
    """
    best = crossed or test
    numbers = [
        _label_numbers("Cross-validation, by heads and thresholds that had not seen the photographs", crossed),
        _label_numbers("Final test", test),
        _classes(best.labels if best.exact.count else (), "label", best.average_precisions),
        _thresholds(training),
    ]
    # It names a label, which is a stranger's text.
    return card_of(training, escaped(sentence), numbers, test.exact.count, is_crossed=crossed is not None)


def card_of(
    training: Training, sentence: str, numbers: Sequence[Sequence[str]], tested: int, *, is_crossed: bool
) -> str:
    """Put a card together.

    Args:
        training: what the model is made of.
        sentence: the plain sentence, as Markdown.
        numbers: lines of each part that says how good it is.
        tested: photographs of the final test.
        is_crossed: whether there was cross-validation.

    Returns:
        Markdown.
    """
    parts = [
        ["# Model card"],
        _details(training),
        _use(training),
        _data(training),
        ["## How good it is", "", sentence],
        *numbers,
        _limits(training, tested, is_crossed=is_crossed),
        _repeat(training),
    ]
    return "\n".join(line for part in parts for line in [*part, ""] if part).rstrip("\n") + "\n"


def escaped(text: str) -> str:
    """Make text that Markdown shows as it is.

    Args:
        text: any, such as the name of a class.

    Returns:
        One line; punctuation that means something in Markdown behind a backslash (CommonMark 0.31, 2.4), so that
        nothing in it is a link, HTML, emphasis or a cell of a table.
    """
    return _SPECIAL.sub(r"\\\1", printable(text))


def command_of(config: RunConfig) -> str:
    """Spell the command that a run was.

    Args:
        config: of the run.

    Returns:
        One line for a POSIX shell, with the flags that are not at their default.
    """
    words = ["python", "-m", "retrain"]
    for field in fields(config):
        value = getattr(config, field.name)
        if value != field.default:
            words.append(f"--{'' if value is not False else 'no_'}{field.name}{_value(value)}")
    return " ".join(words)


def _value(value: object) -> str:
    return "" if isinstance(value, bool) else "=" + shlex.quote(str(value))


def _details(training: Training) -> list[str]:
    bundle = training.bundle
    return [
        "## Model",
        "",
        *(_frozen(training) if training.network is None else _network(training, training.network)),
        f"- Input: {bundle.input_width} x {bundle.input_height} pixels, RGB; its scores are one number a class.",
        "- Versions: " + ", ".join(f"{name} {version}" for name, version in bundle.versions.items()) + ".",
    ]


def _frozen(training: Training) -> list[str]:
    bundle, weights = training.bundle, training.backbone.weights
    return [
        f"- Backbone: {escaped(bundle.architecture)}, {escaped(weights.source)} weights, SHA-256 `{weights.sha256}`; "
        "frozen, not trained here.",
        f"- Head: trained on vectors of {bundle.feature_width}; the head after step {training.head.step} was kept.",
    ]


def _network(training: Training, network: NetworkTraining) -> list[str]:
    how = "from scratch" if training.config.train == SCRATCH else "the top of it tuned"
    compared = network.compared
    lines = [
        f"- Network: {escaped(training.bundle.architecture)}, trained here, {how}; weights of its trunk: SHA-256 "
        f"`{training.backbone.weights.sha256}`.",
        f"- {history_sentence(network.trained)}",
    ]
    if compared.count:
        lines.append(
            f"- For comparison, a new layer on the frozen {escaped(network.yardstick)}: {100 * compared.value:.1f} % "
            f"of the {compared.count} photographs of the final test."
        )
    return lines


def _use(training: Training) -> list[str]:
    names = training.features.catalog.labels
    shown = ", ".join(escaped(name) for name in names[:_MOST_CLASSES])
    more = f" and {len(names) - _MOST_CLASSES} more" if len(names) > _MOST_CLASSES else ""
    if training.bundle.thresholds:
        return [
            "## What it is for",
            "",
            f"To say which of these labels a photograph has, each by itself, several or none: {shown}{more}.",
        ]
    return [
        "## What it is for",
        "",
        f"To tell photographs of these classes apart: {shown}{more}. A photograph of something else gets one of these "
        "names, too, unless it is found to be unknown; so does one that shows two of them.",
    ]


def _data(training: Training) -> list[str]:
    catalog, split = training.features.catalog, training.split
    counts = catalog.count_with_label()
    sides = [len(split.indices(side)) for side in (TRAINING, VALIDATION, TESTING)]
    several = bool(training.bundle.thresholds)
    noun, what = ("label", "choose thresholds") if several else ("class", "choose the step")
    what = what if training.network is None else "validate on"
    lines = [
        "## What it was trained on",
        "",
        f"{len(catalog.records)} photographs under {escaped(str(catalog.root))}: {sides[0]} to train on, {sides[1]} to "
        f"{what}, {sides[2]} for the final test. {len(training.features.skipped)} files could not be read. "
        f"SHA-256 of the split: `{training.bundle.split_sha256}`.",
        "",
        f"| {noun} | photographs |",
        "|---|---|",
        *(f"| {escaped(name)} | {counts[number]} |" for number, name in enumerate(catalog.labels[:_MOST_CLASSES])),
    ]
    return [*lines, *(escaped(note) for note in _blank_before(split.notes))]


def _blank_before(notes: tuple[str, ...]) -> list[str]:
    return [line for note in notes for line in ("", note)]


def _numbers(title: str, numbers: Numbers | None) -> list[str]:
    if numbers is None or not numbers.accuracy.count:
        return []
    accuracy = numbers.accuracy
    rows: list[tuple[str, Interval | None]] = [
        ("accuracy", Interval(accuracy.value, accuracy.low, accuracy.high)),
        ("balanced accuracy", numbers.balanced_accuracy),
        ("area under the ROC curve, mean over classes", numbers.roc_auc),
    ]
    if numbers.top5 is not None:
        top = numbers.top5
        rows.append(("right class among the first 5", Interval(top.value, top.low, top.high)))
    before, after = numbers.calibration, numbers.cooled
    return [
        f"### {title} ({accuracy.count} photographs)",
        "",
        "| | value (95 % interval) |",
        "|---|---|",
        *(f"| {name} | {value.text()} |" for name, value in rows if value is not None),
        f"| log loss, nats | {before.log_loss.value:.3f}, at temperature {numbers.temperature:.2f} "
        f"{after.log_loss.value:.3f} |",
        f"| Brier score | {before.brier.value:.3f}, at that temperature {after.brier.value:.3f} |",
        f"| calibration error | {100 * before.error:.1f} %, at that temperature {100 * after.error:.1f} %; by chance "
        f"alone {100 * after.chance:.1f} % |",
        *(f"\n{note[:1].upper()}{note[1:]}." for note in numbers.notes),
    ]


def _label_numbers(title: str, numbers: LabelNumbers | None) -> list[str]:
    if numbers is None or not numbers.exact.count:
        return []
    exact, area = numbers.exact, numbers.roc_auc
    return [
        f"### {title} ({exact.count} photographs)",
        "",
        "| | value (95 % interval) |",
        "|---|---|",
        f"| mean average precision | {numbers.mean_average_precision.text()} |",
        f"| mean F1 | {100 * numbers.macro_f1:.1f} % |",
        f"| every label right | {Interval(exact.value, exact.low, exact.high).text()} |",
        f"| single answers that are wrong (Hamming loss) | {numbers.hamming_loss.text()} |",
        *([] if area is None else [f"| area under the ROC curve, mean over labels | {area.text()} |"]),
        *(f"\n{note[:1].upper()}{note[1:]}." for note in numbers.notes),
    ]


def _thresholds(training: Training) -> list[str]:
    bundle = training.bundle
    rows = list(zip(bundle.labels, bundle.thresholds, strict=True))[:_MOST_CLASSES]
    return [
        "### From what score on a label is given",
        "",
        "| label | threshold |",
        "|---|---|",
        *(f"| {escaped(name)} | {threshold:.3f} |" for name, threshold in rows),
    ]


def _classes(
    classes: Sequence[ClassNumbers], noun: str = "class", precisions: Sequence[Interval] | None = None
) -> list[str]:
    if not classes:
        return []
    # Average precisions stand beside the others where a photograph may have several labels.
    last = [""] * len(classes) if precisions is None else [f" {_cell(one)} |" for one in precisions]
    more = "" if precisions is None else " average precision |"
    return [
        f"### {noun.capitalize()} by {noun}",
        "",
        f"| {noun} | photographs | recall | precision | F1 |{more}",
        "|---|---|---|---|---|" + ("---|" if more else ""),
        *(
            f"| {escaped(one.label)} | {one.count} | {_cell(one.recall)} | {_cell(one.precision)} | {_cell(one.f1)} |"
            + end
            for one, end in list(zip(classes, last, strict=True))[:_MOST_CLASSES]
        ),
    ]


def _cell(value: Interval) -> str:
    return "none" if math.isnan(value.value) else value.text()


def _growth(growth: Growth | None) -> list[str]:
    if growth is None:
        return []
    return ["### More photographs", "", " ".join(escaped(sentence) for sentence in growth.sentences)]


def _limits(training: Training, tested: int, *, is_crossed: bool) -> list[str]:
    lines = [
        "## Where it ends",
        "",
        "- The numbers hold for photographs taken as these were: same camera, light, place and way of choosing them. "
        "Nothing was measured of any other.",
        "- Whom it may harm, and whether the photographs may be used, is for those to say who took and chose them.",
    ]
    if tested < 100:
        lines.append(f"- The final test has {tested} photographs: its accuracy is a rough figure.")
    if not is_crossed:
        lines.append("- Cross-validation was left out, so that nothing is known of the photographs trained on.")
    if training.split.groups is None:
        lines.append(
            "- Photographs were taken to stand alone: where several show the same object, or were taken in a row, it "
            "is less accurate than the numbers say (`--group_by` keeps such on one side)."
        )
    return lines


def _repeat(training: Training) -> list[str]:
    command = printable(command_of(training.config))
    # Longer than any run of backticks in it.
    fence = "`" * (max([2, *(len(run) for run in re.findall("`+", command))]) + 1)
    return ["## How to make it again", "", fence, command, fence]
