"""The data room: a folder of class folders becomes labels, image records and a split.

catalog.py is what was found. inputs.py finds out what was given: scan.py reads the tree without opening a file
(nested.py with what lies below class folders), remote.py one under a URL, listing.py a CSV of path,label,
label_files.py text files beside photographs; several.py makes the catalog where each may have several labels.
unpacking.py unpacks an archive, which members.py reads and guards.py judges; unpacked.py knows what was unpacked
before. labels.py turns folder names into labels; layout.py tells train, val and test folders from class ones.

split.py decides which photograph is trained on, validated on and tested on (sides.py names the three). plan.py knows
what names decide of it, before any photograph is read: groups.py puts photographs that belong together into groups,
split_file.py reads a table of sides, tables.py reads and writes tables. fill.py sees that classes have the sides that
they are large enough for.
"""

from retrain.dataset.catalog import Catalog, ImageRecord
from retrain.dataset.groups import merge_groups
from retrain.dataset.inputs import find_folder, find_photographs, unpack_photographs
from retrain.dataset.plan import SplitPlan, plan_of, plan_problems, plan_split, with_days
from retrain.dataset.remote import scan_photographs
from retrain.dataset.scan import scan_folder
from retrain.dataset.sides import TESTING, TRAINING, VALIDATION
from retrain.dataset.split import Split, SplitRequest, split_csv, split_images

__all__ = [
    "TESTING",
    "TRAINING",
    "VALIDATION",
    "Catalog",
    "ImageRecord",
    "Split",
    "SplitPlan",
    "SplitRequest",
    "find_folder",
    "find_photographs",
    "merge_groups",
    "plan_of",
    "plan_problems",
    "plan_split",
    "scan_folder",
    "scan_photographs",
    "split_csv",
    "split_images",
    "unpack_photographs",
    "with_days",
]
