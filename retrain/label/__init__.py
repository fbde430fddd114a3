"""The command line of label_image: photographs in, their names out.

command.py tells the story: flags are read (flags.py) and checked as a whole (checks.py), the model of --architecture is
made ready (pretrained.py), what --image names becomes photographs (sources.py), each is judged (judging.py), each
answer becomes a row (rows.py, handling.py), and rows are written (writers.py). Imported where they are asked for, so
that one photograph does not pay for them: sorting.py copies or links photographs into a folder a label, annotate.py
draws guesses beside them, heating.py colours what in them speaks for the best one, watching.py waits for those that
arrive and remembered.py keeps a journal of them.
"""

from retrain.label.command import main
from retrain.label.flags import FLAGS, LabelConfig, read_flags

__all__ = ["FLAGS", "LabelConfig", "main", "read_flags"]
