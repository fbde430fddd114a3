"""The data room: a folder of class folders becomes labels, image records and a split.

scan.py reads the tree without opening a file, remote.py one under a URL; labels.py turns folder names into labels;
split.py decides which photograph is trained on, validated on and tested on.
"""

from retrain.dataset.remote import scan_photographs
from retrain.dataset.scan import Catalog, ImageRecord, scan_folder
from retrain.dataset.split import TESTING, TRAINING, VALIDATION, Split, SplitRequest, split_csv, split_images

__all__ = [
    "TESTING",
    "TRAINING",
    "VALIDATION",
    "Catalog",
    "ImageRecord",
    "Split",
    "SplitRequest",
    "scan_folder",
    "scan_photographs",
    "split_csv",
    "split_images",
]
