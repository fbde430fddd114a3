"""How sure a number is: 95 % intervals of shares and means, where photographs come one by one and where in groups."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# Two-sided 95 % of a normal distribution.
Z95 = 1.959963984540054

Values = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Interval:
    """A number and where it lies with 95 % confidence.

    Args:
        value: as measured; NaN of nothing.
        low: lower end.
        high: upper end.
    """

    value: float
    low: float
    high: float

    def text(self) -> str:
        """Say it in percent.

        Returns:
            "91.2 % (85.0 to 95.1 %)".
        """
        return f"{100 * self.value:.1f} % ({100 * self.low:.1f} to {100 * self.high:.1f} %)"


UNKNOWN_SHARE = Interval(math.nan, 0.0, 1.0)


def wilson_interval(right: float, count: float) -> tuple[float, float]:
    """Find between which accuracies the truth lies with 95 % confidence.

    Args:
        right: right answers.
        count: of how many; an effective count need not be whole.

    Returns:
        Lower and upper end, 0 to 1; (0, 1) of nothing. Wilson, "Probable inference, the law of succession, and
        statistical inference", 1927, JASA 22(158): unlike the textbook interval it holds for few photographs and
        for shares near 0 and 1.
    """
    if count <= 0:
        return 0.0, 1.0
    share, z2 = right / count, Z95**2
    centre = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = Z95 / (1 + z2 / count) * math.sqrt(max(0.0, share * (1 - share) / count + z2 / (4 * count**2)))
    return max(0.0, centre - half), min(1.0, centre + half)


def share_interval(right: float, count: float) -> Interval:
    """Give a share with its Wilson interval.

    Args:
        right: how many.
        count: of how many.

    Returns:
        The share; NaN with 0 to 1 of nothing.
    """
    return Interval(right / count, *wilson_interval(right, count)) if count else UNKNOWN_SHARE


def t_quantile(freedom: int) -> float:
    """Find the two-sided 95 % point of Student's t.

    Args:
        freedom: degrees of freedom, at least 1.

    Returns:
        12.7 for 1, near 1.96 for many. Exact for 1 and 2; else Abramowitz and Stegun, "Handbook of mathematical
        functions", 1964, 26.7.5, within 0.3 %.
    """
    if freedom == 1:
        return math.tan(math.pi * 0.475)
    if freedom == 2:
        return 0.95 * math.sqrt(2 / (1 - 0.95**2))
    z, n = Z95, float(freedom)
    return (
        z
        + (z**3 + z) / (4 * n)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
        + (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / (92160 * n**4)
    )


def group_numbers(keys: Sequence[bytes]) -> Indices | None:
    """Number groups.

    Args:
        keys: 32 bytes each, the same for photographs that belong together (Split.keys).

    Returns:
        intp (N,), 0 to G - 1; None where each stands alone.
    """
    if not keys:
        return None
    # Without a dictionary, which would take 200 bytes a photograph.
    words = np.frombuffer(b"".join(keys), np.uint8).reshape(len(keys), -1).view(">u8")
    order = np.lexsort(words.T)
    new = np.ones(len(order), np.bool_)
    new[1:] = (words[order[1:]] != words[order[:-1]]).any(axis=1)
    if new.all():
        return None
    numbers = np.empty(len(order), np.intp)
    numbers[order] = np.cumsum(new) - 1
    return numbers


def effective_count(shares: Values, groups: Indices | None = None) -> float:
    """Say as how many photographs that stand alone these count.

    The variance of a mean over groups is that of a ratio of group sums (Cochran, "Sampling techniques", 1977, 6.3),
    with Student's t in place of the normal where groups are few. How many independent answers have that variance is
    the effective sample size of Kish, "Survey sampling", 1965, 8.2; Wilson's interval is taken at it, as Korn and
    Graubard, "Confidence intervals for proportions with small expected number of positive counts estimated from
    survey data", 1998, Survey Methodology 24(2) do with another interval. It is never more than there are: repeats of
    a cross-validation ask about the same photographs again, and less spread among those asked often is no new answer.

    Args:
        shares: float64 (N,), 0 or 1 where an answer was wrong or right; between, where it was asked several times.
        groups: intp (N,), numbers of their groups; None where each stands alone.

    Returns:
        0 to N. Where all are right or all wrong nothing can be seen of how groups hang together: the number of groups.
    """
    count = len(shares)
    if groups is None or not count:
        return float(count)
    groups_count = len(np.unique(groups))
    if groups_count == count:
        return float(count)
    mean = float(shares.mean())
    if not 0 < mean < 1 or groups_count < 2:
        return float(groups_count)
    sums = np.zeros(int(groups.max()) + 1)
    np.add.at(sums, groups, shares - mean)
    variance = groups_count / (groups_count - 1) * float(np.square(sums).sum()) / count**2
    if variance == 0:
        return float(groups_count)
    wider = (Z95 / t_quantile(groups_count - 1)) ** 2
    # Groups of one photograph and a few larger ones: never fewer than one answer.
    return float(np.clip(mean * (1 - mean) / variance * wider, 1.0, count))


def mean_interval(values: Values, groups: Indices | None = None) -> Interval:
    """Give a mean of numbers of any size with its interval.

    Args:
        values: float64 (N,), one a photograph.
        groups: intp (N,), numbers of their groups; None where each stands alone.

    Returns:
        Student's interval of the mean, over groups where there are any (see effective_count); infinite ends where one
        photograph or group leaves its spread unknown, NaN of nothing.
    """
    if not len(values):
        return Interval(math.nan, -math.inf, math.inf)
    mean = float(values.mean())
    numbers = np.arange(len(values)) if groups is None else groups
    used = len(np.unique(numbers))
    if used < 2:
        return Interval(mean, -math.inf, math.inf)
    sums = np.zeros(int(numbers.max()) + 1)
    np.add.at(sums, numbers, values - mean)
    half = t_quantile(used - 1) * math.sqrt(used / (used - 1) * float(np.square(sums).sum())) / len(values)
    return Interval(mean, mean - half, mean + half)
