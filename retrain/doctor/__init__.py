"""The doctor: what is wrong with a folder of photographs, before anything is trained on it.

findings.py is what it says. survey.py lists all that lies in the folder, layout.py and names.py judge it by names
alone. formats.py tells what a file is by its first bytes, files.py looks at each one, treatments.py is the table of
what a run does with it, checkup.py counts. timing.py predicts how long a run takes, report.py lays it all out,
diagnosis.py is the whole in its order.

What is wrong with the photographs as a set: fingerprints.py measures each once, duplicates.py finds what is there
twice, with candidates.py to compare all with all and alignment.py to tell copies from look-alikes; quality.py finds
what stands out of its class, and shortcuts.py what predicts a class without showing what is in its photographs.
together.py calls them.
"""

from retrain.doctor.checkup import is_serious
from retrain.doctor.diagnosis import diagnose
from retrain.doctor.findings import COSTS, NOTE, SEVERITIES, STOPS, Finding
from retrain.doctor.report import Report, bad_images_csv, report_json, terminal_lines

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
