"""The story of label_image: flags, model, photographs, rows."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Sequence

from retrain.classifier import Classifier
from retrain.commandline import exit_codes
from retrain.console import Console, printable
from retrain.label.flags import LabelConfig, read_flags
from retrain.label.handling import steps_of, threshold_of
from retrain.label.judging import Judge
from retrain.label.pretrained import with_pretrained_graph
from retrain.label.rows import row_of
from retrain.label.sources import count, is_one_file, photographs, skipping
from retrain.label.writers import answer_lines, more_columns, text_stream

_KEPT = "no file was half written; rows of jsonl and --watch are kept"


def main(words: Sequence[str] | None = None) -> int:
    """Run ``python -m label_image``.

    Args:
        words: the command line; None takes the process's own.

    Returns:
        The exit code.
    """
    with exit_codes("label_image", kept=_KEPT) as code:
        config = with_pretrained_graph(read_flags(sys.argv[1:] if words is None else words))
        with open_classifier(config) as classifier:
            for note in classifier.notes:
                print(f"label_image: {printable(note)}", file=sys.stderr)
            if config.watch is not None:
                from retrain.label.watching import watch

                code[0] = watch(classifier, config)
            elif config.format == "text" and is_one_file(config.image):
                name_one(classifier, config)
            else:
                name_many(classifier, config)
    return code[0]


def open_classifier(config: LabelConfig) -> Classifier:
    """Open the model, once, with what is overridden.

    Args:
        config: graph, labels and what stands in place of the model's own words.

    Returns:
        The classifier.

    Raises:
        UsageError: what was given does not fit the model.
        ModelError: the file is no model, or one that is refused.
    """
    return Classifier.open(
        config.graph,
        labels=config.labels,
        resize=config.resize or "",
        trust_model=config.trust_model,
        input_layer=config.input_layer or "",
        output_layer=config.output_layer or "",
        **config.overrides,
    )


def name_one(classifier: Classifier, config: LabelConfig) -> None:
    """Name one photograph and print it as the original does.

    Args:
        classifier: the model.
        config: with one photograph.

    Raises:
        ImageError: it cannot be read.
    """
    (photograph,) = photographs(config.image, skipping(()))
    judge = Judge(classifier, config)
    start = time.perf_counter()
    judged = judge.judge(photograph.image)
    took_s = time.perf_counter() - start
    row = row_of(photograph.path, judged, threshold_of(config, classifier.bundle))
    for step in steps_of(config, classifier):
        step(photograph, row)
    with text_stream(config.output) as stream:
        stream.write(f"\nEvaluation time (1-image): {took_s:.3f}s\n\n")
        stream.writelines(f"{line}\n" for line in answer_lines(row, more_columns(config)))


def name_many(classifier: Classifier, config: LabelConfig) -> None:
    """Name photographs, a row each.

    Args:
        classifier: the model.
        config: what to name, and what to write.

    Raises:
        PartError: some could not be named; all others were.
    """
    from retrain.label.handling import Handler, named
    from retrain.label.writers import row_writer

    labels, own = classifier.bundle.labels, (*config.own_folders, *config.own_files)
    judge, sky = Judge(classifier, config), classifier.bundle.sky is not None
    total, walk, start = count(config.image, own, sky=sky), skipping(own, sky=sky), time.monotonic()
    # Rows on a terminal say themselves how far it is. Trap: the live bar takes sys.stdout, so rows are opened first.
    quiet = config.output is None and sys.stdout.isatty()
    with row_writer(config, min(config.top_k, len(labels))) as write:
        handle = Handler(config, classifier, write)
        with Console(quiet=quiet).stage("Naming", total or 0, "photographs") as advance:
            for photograph, result in named(judge, photographs(config.image, walk), config):
                handle(photograph, result)
                advance()
    _say_what_was_done(handle.tally.rows, time.monotonic() - start, walk.left_out)
    handle.tally.raise_if_any_failed()


def _say_what_was_done(rows: int, took_s: float, left_out: Counter[str]) -> None:
    for reason, number in sorted(left_out.items()):
        if number:
            print(f"label_image: left out {number}: {printable(reason)}", file=sys.stderr)
    rate = f", {rows / took_s:.0f}/s" if rows > 1 and took_s > 0 else ""
    print(f"label_image: {rows} photographs in {took_s:.1f} s{rate}", file=sys.stderr)
