"""The report of a run: one HTML file to look at, that opens from the disk and asks nobody for anything.

facts.py is what it is made of, one frozen record without I/O; page.py makes the page of it, whose style and script are
page.css and page.js. choosing.py decides which photographs there is room for, thumbnails.py makes their pictures,
tiles.py shows them. matrix.py is the confusion matrix, cards.py the sections made of photographs, leaks.py the accuracy
without copies, labels.py mistakes where photographs have several labels, classes.py a bar a class, charts.py the charts
on the frame of plot.py and training.py those of a network's training, atlas.py the map, whose places neighbours.py
finds. markup.py makes every tag and escapes every text: names of files and classes are written by strangers.
"""

from retrain.report.facts import (
    Calibration,
    ClassNumbers,
    Copies,
    Figure,
    Heat,
    History,
    Judged,
    LabelJudged,
    LearningCurve,
    Origin,
    Photographs,
    Reliability,
    ReportFacts,
    Suspects,
    Unknown,
)
from retrain.report.page import report_html
from retrain.report.thumbnails import reader

__all__ = [
    "Calibration",
    "ClassNumbers",
    "Copies",
    "Figure",
    "Heat",
    "History",
    "Judged",
    "LabelJudged",
    "LearningCurve",
    "Origin",
    "Photographs",
    "Reliability",
    "ReportFacts",
    "Suspects",
    "Unknown",
    "reader",
    "report_html",
]
