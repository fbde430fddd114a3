"""Names that nobody should give a class: what each may do to a path, a terminal, a page or a table.

A label reaches more places than a photograph does: folders of --sort_into, files, the terminal, a page of HTML, SVG in
it, JSON in that, Markdown, CSV, TensorBoard's tables, and the model itself.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

# What it is -> the name.
NAMES: dict[str, str] = {
    "above": "../evil",
    "far above": "../../../../../../evil",
    "absolute": "/etc/evil",
    "the folder itself": ".",
    "the folder above": "..",
    "above, for Windows": "..\\evil",
    "a drive": "C:\\evil",
    "a server": "\\\\server\\evil",
    "a home": "~root",
    "a variable": "$HOME",
    "a command": "$(touch evil)`touch evil`;touch evil|touch evil&",
    "a flag": "-rf",
    "a long flag": "--image_dir=evil",
    "a pattern": "*?[a-z]{a,b}",
    "a percent": "%s%n%d %(name)s",
    "a format": "{0.__class__}{name!r}",
    "a device of Windows": "CON",
    "a device with a suffix": "nul.jpg",
    "a leading dot": ".hidden",
    "a trailing dot": "dot.",
    "a trailing space": "space ",
    "a leading space": " space",
    "only a space": " ",
    "300 bytes": "n" * 300,
    "255 bytes": "m" * 255,
    "300 bytes of two": "\u00e9" * 150,
    "a new line": "new\nline",
    "a return": "re\rturn",
    "a tab": "ta\tb",
    "NUL": "nu\0l",
    "a bell": "be\x07ll",
    "colours of a terminal": "\x1b[31mred\x1b[0m",
    "a title of a terminal": "\x1b]0;evil\x07",
    "one byte of escape": "\x9b31m",
    "not UTF-8": "\udcff\udcfe",
    "a line of Unicode": "line\u2028line",
    "turned around": "\u202egpj.evil",
    "isolated": "\u2066evil\u2069",
    "no width": "ze\u200bro\ufeff",
    "letters upon letters": "Z\u0351\u036b\u0343\u036a\u0302",
    "a face": "\U0001f469\u200d\U0001f52c",
    "another script": "\u9280\u6cb3",
    "right to left": "\u0645\u062c\u0631\u0629",
    "composed": "\u00e9toile",
    "decomposed": "e\u0301toile",
    "large": "CASE",
    "small": "case",
    "a formula": "=cmd|' /C calc'!A0",
    "a link formula": '=HYPERLINK("https://evil.example","x")',
    "a plus": "+1+1",
    "a minus": "-1+1",
    "an at": "@SUM(1,1)",
    "an apostrophe": "'=1+1",
    "markup": "<img src=x onerror=alert(1)>",
    "a script": "</script><script>alert(1)</script>",
    "an attribute": '" onmouseover="alert(1)',
    "another attribute": "' onfocus='alert(1)' autofocus='",
    "a comment": "<!-- evil --!>",
    "an entity": "&lt;b&gt;&amp;&#0;",
    "data of a section": "]]><svg onload=alert(1)>",
    "an address": "javascript:alert(1)",
    "Markdown": "[x](javascript:alert(1)) | ![y](x) `z` # *w* <b>",
    "a comma": 'a,b;c|d"e',
    "a quote": '"quoted"',
    "JSON": '{"label": null}',
    "SQL": "'; DROP TABLE vectors;--",
    "a word of the program": "unknown",
    "a side": "train",
    "nothing but dots": "...",
}
# What a run takes for something other than a class: hidden, or a side of the split.
NO_CLASS = ("above, for Windows", "a leading dot", "a side", "nothing but dots")
# What a run refuses as a label, in a sentence: it could not be a line of the labels file.
REFUSED_CATEGORIES = ("Cc", "Cs", "Zl", "Zp")
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def is_label(name: str) -> bool:
    """Say whether a run takes a name as a label."""
    return not any(unicodedata.category(c) in REFUSED_CATEGORIES for c in name)


def folders() -> dict[str, str]:
    """Choose what can be the name of a class folder: on Linux all but what is a path, or too long."""
    return {
        what: name
        for what, name in NAMES.items()
        if not (set(name) & {"/", "\0"} or name in (".", "..") or len(os.fsencode(name)) > 255 or what in NO_CLASS)
    }


def pictures(place: Path, names: Sequence[str], each: int = 3, seed: int = 0) -> list[Path]:
    """Make class folders of small photographs, each with a name of the others for one of its files.

    Args:
        place: the image folder; made.
        names: of the classes.
        each: photographs of each.
        seed: of the pictures.

    Returns:
        The files, by class.
    """
    random = np.random.default_rng(seed)
    found = []
    for number, name in enumerate(names):
        folder = place / name
        folder.mkdir(parents=True)
        colour = random.integers(40, 216, 3)
        for index in range(each):
            pixels = (colour + random.integers(-40, 40, (16, 16, 3))).astype(np.uint8)
            odd = names[number - 1][:80].replace("/", "\\").replace("\0", "").lstrip(".")
            path = folder / (f"{odd}.png" if index == 0 else f"{number}_{index}.png")
            Image.fromarray(pixels).save(path, "PNG")
            found.append(path)
    return found


def everything(place: Path, *, without: Sequence[str] = ()) -> Mapping[str, int]:
    """List all that lies below a folder, but for what lies in some of the folders in it.

    Args:
        place: the folder.
        without: names of folders directly in it.

    Returns:
        Path -> its mode and size in one number.
    """
    found = {}
    for folder, inner, names in os.walk(place):
        if Path(folder) == place:
            inner[:] = [name for name in inner if name not in without]
        for name in (*inner, *names):
            path = os.path.join(folder, name)
            status = os.lstat(path)
            found[path] = status.st_mode * (1 << 40) + (0 if os.path.isdir(path) else status.st_size)  # noqa: PTH112
    return found
