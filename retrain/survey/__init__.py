"""What is wrong with how the folders lie, by names alone: no photograph is opened.

findings.py is how it is said. entries.py lists all that lies there, layout.py and names.py judge it.
"""

from retrain.survey.entries import FILE, Survey, suffix_of, survey_folder
from retrain.survey.findings import COSTS, MAX_EXAMPLES, NOTE, SEVERITIES, STOPS, Finding, merged, of_names
from retrain.survey.layout import layout_findings, start_lines

__all__ = [
    "COSTS",
    "FILE",
    "MAX_EXAMPLES",
    "NOTE",
    "SEVERITIES",
    "STOPS",
    "Finding",
    "Survey",
    "layout_findings",
    "merged",
    "of_names",
    "start_lines",
    "suffix_of",
    "survey_folder",
]
