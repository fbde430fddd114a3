"""Who watches the training: the log, TensorBoard, and the graphs written on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from retrain import fsio, journal
from retrain.bundle import Bundle
from retrain.config import RunConfig
from retrain.console import Console
from retrain.exporters import frozen_graph
from retrain.head import Observer, StepReport, softmax
from retrain.summaries import MAX_HISTOGRAM_STEPS, Summaries, layer_histograms, layer_scalars


def observers(
    config: RunConfig, steps: int, summaries: Summaries, backbone_graph: bytes, bundle: Bundle, console: Console
) -> list[Observer]:
    """Gather everybody who is to be told how training goes.

    Args:
        config: how often.
        steps: of the training.
        summaries: TensorBoard's event files.
        backbone_graph: serialised GraphDef of the backbone, for the intermediate graphs.
        bundle: description that goes into them.
        console: where log lines go.

    Returns:
        The observers.
    """
    interval = config.eval_step_interval
    watching = [
        Observer(interval, lambda report: journal.tell_step(report, console)),
        Observer(interval, lambda report: _write_scalars(summaries, report)),
        Observer(_histogram_interval(config, steps), lambda report: _write_histograms(summaries, report)),
    ]
    if config.intermediate_store_frequency:
        write = _intermediate_writer(config, backbone_graph, bundle, console)
        watching.append(Observer(config.intermediate_store_frequency, write))
    return watching


def _histogram_interval(config: RunConfig, steps: int) -> int:
    evaluations = steps // config.eval_step_interval + 1
    return config.eval_step_interval * -(-evaluations // MAX_HISTOGRAM_STEPS)


def _write_scalars(summaries: Summaries, report: StepReport) -> None:
    measured = {"cross_entropy_1": report.cross_entropy, "accuracy_1": report.train_accuracy}
    summaries.train.add(report.step, {**measured, **layer_scalars(report.weights, report.biases)})
    if report.validation_accuracy is not None and report.validation_cross_entropy is not None:
        validation = {
            "cross_entropy_1": report.validation_cross_entropy,
            "accuracy_1": report.validation_accuracy,
        }
        summaries.validation.add(report.step, validation)


def _write_histograms(summaries: Summaries, report: StepReport) -> None:
    values = layer_histograms(report.weights, report.biases, report.logits, softmax(report.logits))
    summaries.train.add(report.step, {}, values)


def _intermediate_writer(
    config: RunConfig, backbone_graph: bytes, bundle: Bundle, console: Console
) -> Callable[[StepReport], None]:
    def write(report: StepReport) -> None:
        # The original writes none at step 0, and none for the last step but by its interval.
        if report.step == 0 or report.step % config.intermediate_store_frequency:
            return
        head = report.head()
        path = f"{config.intermediate_output_graphs_dir.rstrip('/')}/intermediate_{report.step}.pb"
        console.stamped(f"Save intermediate result to : {path}")
        fsio.write_bytes(path, frozen_graph(backbone_graph, head, replace(bundle, head_step=head.step)))

    return write
