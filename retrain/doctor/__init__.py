"""The doctor: what is wrong with a folder of photographs, before anything is trained on it.

How the folders lie is judged by the room survey. formats.py tells what a file is by its first bytes, files.py looks at
each one, kept.py remembers it, treatments.py is the table of what a run does with it, checkup.py counts. timing.py
predicts how long a run takes, report.py lays it all out, diagnosis.py is the whole in its order.

What is wrong with the photographs as a set: duplicates.py says what the room alike found to be there twice; quality.py
finds what stands out of its class, and shortcuts.py what predicts a class without showing what is in its photographs,
by how its files are named among others (patterns.py).
together.py calls them.
"""

from retrain.doctor.checkup import is_serious
from retrain.doctor.diagnosis import diagnose
from retrain.doctor.report import Report, bad_images_csv, report_json, terminal_lines
from retrain.survey.findings import COSTS, NOTE, SEVERITIES, STOPS, Finding

__all__ = [
    "COSTS",
    "NOTE",
    "SEVERITIES",
    "STOPS",
    "Finding",
    "Report",
    "bad_images_csv",
    "diagnose",
    "is_serious",
    "report_json",
    "terminal_lines",
]
