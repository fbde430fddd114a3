"""What a run leaves on the disk.

naming.py says where files go; describing.py makes the model's description; model.py writes the model with its labels
and its split; exporting.py makes the other formats, measures each and keeps those that answer as the model does;
of_run.py does all that with what a run came to, earlier.py finds what one left, further.py writes more formats of that,
and told.py reads what it was told; exports_file.py is the record, ``.exports.json``; metrics.py writes what was
measured, predictions.py what the model says of each photograph, and card.py the model card.
"""

from retrain.publish.card import label_card, model_card
from retrain.publish.describing import describe, is_repetition, versions
from retrain.publish.exporting import Compared, Export, export_formats, raise_for_failures, record_path
from retrain.publish.exports_file import Record, Row, read_record, write_record
from retrain.publish.metrics import add_metrics, write_metrics
from retrain.publish.model import make_model, remove_old_exports, write_model
from retrain.publish.naming import beside, place_of
from retrain.publish.of_run import NetworkTraining, Saved, Training, formats_of, save_exports, save_model
from retrain.publish.predictions import label_predictions_csv, labels_text, predictions_csv

__all__ = [
    "Compared",
    "Export",
    "NetworkTraining",
    "Record",
    "Row",
    "Saved",
    "Training",
    "add_metrics",
    "beside",
    "describe",
    "export_formats",
    "formats_of",
    "is_repetition",
    "label_card",
    "label_predictions_csv",
    "labels_text",
    "make_model",
    "model_card",
    "place_of",
    "predictions_csv",
    "raise_for_failures",
    "read_record",
    "record_path",
    "remove_old_exports",
    "save_exports",
    "save_model",
    "versions",
    "write_metrics",
    "write_model",
    "write_record",
]
