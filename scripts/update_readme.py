"""Write the flag tables of README.md from the tables that the parsers are made from.

python scripts/update_readme.py           rewrites README.md
python scripts/update_readme.py --check   says whether it is up to date, exit code 1 if not
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Trap: run as a file, this folder comes first on the path, and "retrain" would be scripts/retrain.py.
sys.path[:] = [str(ROOT), *(entry for entry in sys.path if Path(entry or ".").resolve() != ROOT / "scripts")]

README = ROOT / "README.md"


def retrain_table() -> str:
    """Describe the flags of retrain.

    Returns:
        A Markdown table.
    """
    from retrain.cli import flag_table

    lines = ["| flag | default | meaning |", "|---|---|---|"]
    group = ""
    for name, default, flag in flag_table():
        if flag.group != group:
            group = flag.group
            lines.append(f"| **{group}** | | |")
        lines.append(f"| `--{name}` | {_shown(default)} | {flag.help.replace('|', '&#124;')} |")
    return "\n".join(lines)


def label_table() -> str:
    """Describe the flags of label_image.

    Returns:
        A Markdown table.
    """
    from retrain.label import FLAGS

    lines = ["| flag | default | meaning |", "|---|---|---|"]
    group = ""
    for name, flag in FLAGS.items():
        if flag.group != group:
            group = flag.group
            lines.append(f"| **{group}** | | |")
        shown = flag.shown if flag.default is None or isinstance(flag.default, bool) else f"`{flag.shown}`"
        lines.append(f"| `--{name}` | {shown} | {flag.help.replace('|', '&#124;')} |")
    return "\n".join(lines)


def _shown(default: object) -> str:
    if isinstance(default, bool):
        return "on" if default else "off"
    return f"`{default}`" if default != "" else "none"


def updated(text: str) -> str:
    """Put fresh tables between the markers.

    Args:
        text: README.md as it is.

    Returns:
        README.md as it should be.

    Raises:
        ValueError: a marker is missing.
    """
    for name, table in (("retrain", retrain_table()), ("label_image", label_table())):
        start, end = f"<!-- flags of {name} -->\n", f"<!-- end of flags of {name} -->"
        before, rest = text.split(start)
        after = rest.split(end)[1]
        text = f"{before}{start}{table}\n{end}{after}"
    return text


def main() -> int:
    """Rewrite or check README.md.

    Returns:
        0, or 1 when ``--check`` finds it out of date.
    """
    old = README.read_text(encoding="utf-8")
    new = updated(old)
    if "--check" in sys.argv[1:]:
        print("README.md is up to date" if new == old else "README.md is out of date: python scripts/update_readme.py")
        return int(new != old)
    README.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
