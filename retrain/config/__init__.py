"""What a run is told: flags.py is the record and the table of flags, checks.py says what is wrong with it.

flag.py is what one flag is, training.py, networks.py and honesty.py hold groups of them; heads.py checks what goes with
--head, multilabel.py what goes with --multi_label; formats.py is the table of export formats; cluster.py checks where
extraction is to run, processor.py what it can calculate in, inputs.py where the photographs come from, sky.py how
pictures of the sky are stretched, splits.py what puts photographs on sides, sources.py what the backbone is made of,
handles.py what a hub module may be named by.
"""

from retrain.config.flag import Flag, FlagValue
from retrain.config.flags import BESIDE_GRAPH, DISTORTIONS, WEIGHT_SUFFIXES, RunConfig
from retrain.config.formats import ALWAYS, FORMATS, Format, format_problems, split_formats

__all__ = [
    "ALWAYS",
    "BESIDE_GRAPH",
    "DISTORTIONS",
    "FORMATS",
    "WEIGHT_SUFFIXES",
    "Flag",
    "FlagValue",
    "Format",
    "RunConfig",
    "format_problems",
    "split_formats",
]
