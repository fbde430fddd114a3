"""All files looked at once, and what was found counted: nothing is kept of a good one."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from retrain.alike.fingerprints import Fingerprint, Fingerprints, gathered
from retrain.console import Console
from retrain.dataset import Catalog
from retrain.dataset.label_files import ENDING as LABEL_SUFFIX
from retrain.doctor.files import FileFacts, Job, Memory, examine_files
from retrain.doctor.treatments import GOOD, TREATMENTS, is_lost
from retrain.errors import ImageError
from retrain.images import SkyStretch
from retrain.survey.entries import FILE, Survey
from retrain.survey.findings import COSTS, MAX_EXAMPLES, NOTE, SEVERITIES, STOPS, Finding, of_names


@dataclass
class Tally:
    """What the files come to.

    Args:
        findings: kind -> finding, with its count and first examples.
        formats: how many files that a run takes are of each format.
        readable: how many photographs of each class, or with each label, that a run can read.
        lost: how many files that a run takes it cannot read.
        bad: those that cost accuracy, one entry a file.
        sets: path -> its labels, where a photograph may have several.
    """

    findings: dict[str, Finding] = field(default_factory=dict)
    formats: Counter[str] = field(default_factory=Counter)
    readable: Counter[int] = field(default_factory=Counter)
    lost: int = 0
    bad: list[FileFacts] = field(default_factory=list)
    sets: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def add(self, facts: FileFacts) -> None:
        """Count one file in.

        Args:
            facts: what it is.
        """
        for kind in facts.kinds:
            if kind != GOOD:
                self._count(kind, facts.path)
        if any(TREATMENTS[kind].severity != NOTE for kind in facts.kinds if kind != GOOD):
            self.bad.append(replace(facts, print=None))  # 1.3 kB each
        if facts.label >= 0:
            self.formats[facts.format] += 1
            lost = any(map(is_lost, facts.kinds))
            self.lost += lost
            for label in self.sets.get(facts.path, (facts.label,)):
                self.readable[label] += not lost

    def _count(self, kind: str, path: str) -> None:
        one = self.findings.get(kind) or TREATMENTS[kind].finding(kind)
        examples = one.examples if len(one.examples) == MAX_EXAMPLES else (*one.examples, path)
        self.findings[kind] = replace(one, count=one.count + 1, examples=examples)


def jobs_of(catalog: Catalog, survey: Survey, sky: SkyStretch | None = None) -> Iterator[Job]:
    """List the files to look at: those that a run takes, then those that it leaves out.

    Args:
        catalog: what a run takes.
        survey: all that lies there.
        sky: how a run stretches pictures with more than 8 bits a value; None: it does not.

    Yields:
        One job a file; hidden files, links to nothing and what is no file are none.
    """
    for record in catalog.records:
        yield Job(record.path, catalog.full_path(record), record.label, record=record, sky=sky)
    taken = {record.path for record in catalog.records}
    classes = {path.rpartition("/")[0] for path in taken}
    several = bool(catalog.label_sets)
    for entry in survey.entries:
        if several and entry.path.removesuffix(LABEL_SUFFIX) in taken:
            continue  # the photograph itself, or the text file of its labels
        if entry.kind == FILE and not entry.is_hidden and entry.path not in taken:
            # Where photographs may have several labels, folders mean nothing: all of them are looked into.
            in_class = several or entry.depth == 2 or entry.parent in classes
            yield Job(entry.path, survey.full_path(entry.path), -1, in_class, sky=sky)


def look_at_files(
    catalog: Catalog,
    survey: Survey,
    console: Console,
    memory: Memory | None = None,
    sky: SkyStretch | None = None,
) -> tuple[Tally, Fingerprints]:
    """Read and decode every file, once, but for those that are known.

    Args:
        catalog: what a run takes.
        survey: all that lies there.
        console: shown how far it is.
        memory: what is known of files that were looked at before; None: nothing is, and nothing is kept.
        sky: as of jobs_of.

    Returns:
        What they come to, and the fingerprints of those that a run can read.
    """
    tally, total = Tally(sets=catalog.label_sets), sum(1 for _ in jobs_of(catalog, survey))
    # Pillow warns of odd headers; what matters of them is in the findings, and a line each would drown these.
    with warnings.catch_warnings(), console.stage("Looking at files", total, "files") as advance:
        warnings.simplefilter("ignore", UserWarning)
        found = _counted(examine_files(jobs_of(catalog, survey, sky), advance, memory), tally)
        prints = gathered([record.path for record in catalog.records], found)
    return tally, prints


def _counted(found: Iterable[FileFacts], tally: Tally) -> Iterator[Fingerprint | ImageError]:
    """Count all, and hand on what is compared later: those that a run takes."""
    for facts in found:
        tally.add(facts)
        if facts.label >= 0:
            yield facts.print or ImageError(facts.kinds[0], facts.detail)


def file_findings(tally: Tally, catalog: Catalog, max_skipped_percentage: float) -> list[Finding]:
    """Say what the files come to.

    Args:
        tally: of all files.
        catalog: what a run takes.
        max_skipped_percentage: of a run: 0 to 100; one file is always allowed.

    Returns:
        What stops a run first.
    """
    found = _too_many_lost(tally, len(catalog.records), max_skipped_percentage)
    counts = catalog.count_with_label()
    none = [name for label, name in enumerate(catalog.labels) if counts[label] and not tally.readable[label]]
    text, fix = "class of which no photograph can be read", "mend its files or take the class folder away"
    if catalog.label_sets:
        text, fix = "label none of whose photographs can be read", "mend their files or take the label away"
    found += of_names(STOPS, "unreadable-class", text, fix, none)
    found += sorted(tally.findings.values(), key=lambda one: list(TREATMENTS).index(one.kind))
    return found


def _too_many_lost(tally: Tally, total: int, max_percentage: float) -> list[Finding]:
    if tally.lost <= 1 or 100.0 * tally.lost / total <= max_percentage:
        return []
    text = f"{tally.lost} of {total} photographs cannot be read, at most {max_percentage:g} % may be"
    fix = "mend or remove those of bad_images.csv, or raise --max_skipped_percentage"
    lost = [facts.path for facts in tally.bad if facts.label >= 0 and any(map(is_lost, facts.kinds))]
    return [Finding(STOPS, "too-many-unreadable", text, fix, tuple(lost[:MAX_EXAMPLES]), tally.lost)]


def is_serious(findings: Iterable[Finding]) -> bool:
    """Tell whether anything stops a run or costs accuracy.

    Args:
        findings: all of them.
    """
    return any(one.severity in (STOPS, COSTS) for one in findings)


def by_severity(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    """Group findings.

    Args:
        findings: in any order.

    Returns:
        Severity -> its findings, all three severities, in their order.
    """
    held = list(findings)
    return {severity: [one for one in held if one.severity == severity] for severity in SEVERITIES}
