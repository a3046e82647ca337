"""Models of churn: who will not order in the days to come, by what is known of them, and why.

Belongs here: gradient boosting and a logistic model, what BG/NBD (`lifetime`) says of the same, and what chances rest
on. Does not belong here: what a feature means and who is in a sample (`analysis.churn_features`), and how good chances
are (`scores`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np

from analytics_assets.statistics.lifetime import BetaGeometric, alive_probability
from analytics_assets.statistics.scores import auc
from analytics_assets.statistics.threads import one_thread

if TYPE_CHECKING:
    from numpy.typing import NDArray

Floats: TypeAlias = "NDArray[np.float64]"
Flags: TypeAlias = "NDArray[np.bool_]"
Columns: TypeAlias = tuple[int, ...]

_MOST_VALUES = 40
"""Values of a category that are told apart: the most frequent ones of the training rows."""
_TREES = 80
_SMALLEST_LEAF = 40


class Model(Protocol):
    """Give the log-odds of churn of customers, a row of numbers each."""

    def log_odds(self, values: Floats) -> Floats:
        """Return the log-odds, a number a row."""


@dataclass(frozen=True)
class Influence:
    """Say how much worse a model ranks once some of its columns are shuffled.

    Attributes:
        drop: Fall of the AUC, the mean over the shuffles.
        spread: Its standard deviation over the shuffles.
    """

    drop: float
    spread: float


def common_values(values: Sequence[str | None]) -> tuple[str, ...]:
    """Return the most frequent values of a category, of two as frequent ones the first by name.

    >>> common_values(["b", "a", "b", None])
    ('b', 'a')
    """
    counts = Counter(value for value in values if value is not None)
    return tuple(sorted(counts, key=lambda value: (-counts[value], value))[:_MOST_VALUES])


def codes(values: Sequence[str | None], known: Sequence[str]) -> Floats:
    """Number the values of a category by their place in a list; NaN for any other, and for none.

    >>> codes(["b", None, "z"], ["a", "b"]).tolist()
    [1.0, nan, nan]
    """
    places: dict[str | None, float] = {value: float(place) for place, value in enumerate(known)}
    return np.array([places.get(value, np.nan) for value in values], dtype=float)


def chances(model: Model, values: Floats) -> Floats:
    """Return the chance of churn, a number a row."""
    from scipy.special import expit

    told: Floats = expit(model.log_odds(values))
    return told


def _varying(values: Floats) -> NDArray[np.intp]:
    """Return the columns that tell any rows apart."""
    known = ~np.isnan(values)
    some = np.where(known.any(axis=0), values[np.argmax(known, axis=0), np.arange(values.shape[1])], 0)
    alike = (np.where(known, values, some) == some).all(axis=0) & (known.all(axis=0) | ~known.any(axis=0))
    return np.flatnonzero(~alike)


@dataclass(frozen=True)
class Boosting:
    """Hold a fitted gradient boosting of small trees.

    Attributes:
        columns: The columns that it looks at.
        fitted: The classifier; None where no column tells customers apart.
        constant: The log-odds in that case.
    """

    columns: NDArray[np.intp]
    fitted: object
    constant: float

    def log_odds(self, values: Floats) -> Floats:
        """Return the log-odds, a number a row."""
        if self.fitted is None:
            return np.full(len(values), self.constant)
        with one_thread("sklearn.ensemble"):
            told: Floats = self.fitted.decision_function(values[:, self.columns])  # type: ignore[attr-defined]
        return told


def fit_boosting(values: Floats, churned: Flags, categorical: Flags) -> Boosting:
    """Fit boosted trees on histograms (Ke et al. 2017, as scikit-learn has it); a missing value goes its own way.

    Eighty trees of eight leaves, each with 40 rows or more, learning rate 0.07: settled once, on the synthetic shop.
    Nothing is drawn at random and nothing stops early, so the same rows give the same model.

    Args:
        values: A row a customer; NaN where not known. Categories as `codes`.
        churned: Whether each churned; some did, and some did not.
        categorical: Which columns are categories.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    columns = _varying(values)
    rate = float(churned.mean())
    constant = float(np.log(rate / (1 - rate)))
    if not len(columns):
        return Boosting(columns, None, constant)
    classifier = HistGradientBoostingClassifier(
        learning_rate=0.07,
        max_iter=_TREES,
        max_leaf_nodes=8,
        min_samples_leaf=_SMALLEST_LEAF,
        l2_regularization=1.0,
        categorical_features=categorical[columns],
        early_stopping=False,
        random_state=0,
    )
    with one_thread("sklearn.ensemble"):
        return Boosting(columns, classifier.fit(values[:, columns], churned), constant)


@dataclass(frozen=True)
class Scale:
    """Say how a logistic model sees customers: numbers as sign(x) log(1 + |x|), centred and scaled.

    Attributes:
        categorical: Which columns are categories.
        middle: The median of each number, for what is not known.
        mean: The mean of each, after its logarithm.
        deviation: The standard deviation of it; 1 where there is none.
        unknown: The numbers that are not known of everybody.
        sizes: How many values each category has.
    """

    categorical: Flags
    middle: Floats
    mean: Floats
    deviation: Floats
    unknown: Flags
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, values: Floats, categorical: Flags) -> Scale:
        """Take the scale of some rows."""
        numbers, groups = values[:, ~categorical], values[:, categorical]
        known = ~np.isnan(numbers)
        middle = np.array([np.median(c[k]) if k.any() else 0.0 for c, k in zip(numbers.T, known.T, strict=True)])
        told = _logarithm(np.where(known, numbers, middle))
        deviation = told.std(axis=0)
        sizes = tuple(0 if np.isnan(group).all() else int(np.nanmax(group)) + 1 for group in groups.T)
        deviation = np.where(deviation > 0, deviation, 1.0)
        return cls(categorical, middle, told.mean(axis=0), deviation, np.asarray(~known.all(axis=0)), sizes)

    def expanded(self, values: Floats) -> Floats:
        """Return a column a number, one for each that may be unknown, and one a value of a category."""
        numbers = values[:, ~self.categorical]
        known = ~np.isnan(numbers)
        scaled = (_logarithm(np.where(known, numbers, self.middle)) - self.mean) / self.deviation
        of_values = [
            group == value
            for group, size in zip(values[:, self.categorical].T, self.sizes, strict=True)
            for value in range(size)
        ]
        told: Floats = np.column_stack([scaled, ~known[:, self.unknown], *of_values]).astype(float)
        return told


def _logarithm(values: Floats) -> Floats:
    told: Floats = np.sign(values) * np.log1p(np.abs(values))
    return told


@dataclass(frozen=True)
class Logistic:
    """Hold a fitted logistic model.

    Attributes:
        scale: How it sees customers.
        coefficients: Of the columns as the scale expands them.
        intercept: The log-odds where all of these are 0.
    """

    scale: Scale
    coefficients: Floats
    intercept: float

    def log_odds(self, values: Floats) -> Floats:
        """Return the log-odds, a number a row."""
        told: Floats = self.scale.expanded(values) @ self.coefficients + self.intercept
        return told


def fit_logistic(values: Floats, churned: Flags, categorical: Flags) -> Logistic:
    """Fit a logistic regression with a ridge (C = 0.1) on what `Scale` makes of the rows; as `fit_boosting`."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    scale = Scale.of(values, categorical)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a baseline that is nearly there is one
        model = LogisticRegression(C=0.1, solver="newton-cholesky", max_iter=100)
        with one_thread("sklearn.ensemble"):
            fitted = model.fit(scale.expanded(values), churned)
    return Logistic(scale, fitted.coef_[0], float(fitted.intercept_[0]))


def no_order(model: BetaGeometric, x: Floats, t_x: Floats, age: Floats, days: float) -> Floats:
    """Return P(no order in the next days | what was ordered until now) under BG/NBD; arguments as in `lifetime`.

    A customer who is alive at T and orders at rate l stays without an order for t days with probability exp(-l t); one
    who has dropped out, for certain. In the likelihood (Fader, Hardie and Lee 2005, eq. 3 to 6) the first part is that
    of a customer who is alive; with T + t for T it is the probability of being alive and silent until T + t. So the
    ratio of the two is P(silent | alive) = ((alpha + T) / (alpha + T + t))^(r + x), and

        P(no order) = 1 - P(alive) (1 - P(silent | alive)).

    >>> model = BetaGeometric(0.243, 4.414, 0.793, 2.426)
    >>> no_order(model, np.array([0.0, 2.0]), np.array([0.0, 30.43]), np.array([38.86, 38.86]), 39).round(3).tolist()
    [0.855, 0.445]
    """
    quiet = (model.r + x) * (np.log(model.alpha + age) - np.log(model.alpha + age + days))
    chance: Floats = 1 + alive_probability(model, x, t_x, age) * np.expm1(quiet)
    return np.clip(chance, 0, 1)


def influence(
    model: Model, values: Floats, churned: Flags, groups: Sequence[Columns], *, shuffles: int = 3, most: int = 1_500
) -> list[Influence]:
    """Measure what a model's ranking rests on: how much the AUC falls when columns are shuffled (Breiman 2001).

    Columns of a group are shuffled together. Columns that say about the same stand in for each other, so each of them
    may seem to matter little: groups of such columns tell more.

    Args:
        model: The model.
        values: Customers that it was not fitted on, and whether they churned.
        churned: Some did, some did not.
        groups: The columns of each group.
        shuffles: How often each is shuffled, with a fixed seed.
        most: Of more customers than this, so many are drawn, with a fixed seed.
    """
    rng = np.random.default_rng(0)
    if len(values) > most:
        some = np.sort(rng.permutation(len(values))[:most])
        values, churned = values[some], churned[some]
    orders = [rng.permutation(len(values)) for _ in range(shuffles)]
    whole = _area(model.log_odds(values), churned)
    found: dict[Columns, Influence] = {}
    for group in dict.fromkeys(groups):
        columns = list(group)
        shuffled = np.tile(values, (shuffles, 1))
        shuffled[:, columns] = values[np.concatenate(orders)][:, columns]
        falls = [whole - _area(scores, churned) for scores in np.split(model.log_odds(shuffled), shuffles)]
        found[group] = Influence(float(np.mean(falls)), float(np.std(falls)))
    return [found[group] for group in groups]


def _area(scores: Floats, churned: Flags) -> float:
    found = auc(scores, churned)
    return found.value if found else float("nan")


def usual(values: Floats, categorical: Flags) -> Floats:
    """Return the usual customer: the median of each number, the most frequent value of each category; NaN of none.

    >>> usual(np.array([[1.0, 0], [2, 1], [9, 1]]), np.array([False, True])).tolist()
    [2.0, 1.0]
    """
    told = np.full(values.shape[1], np.nan)
    for place, column in enumerate(values.T):
        known = column[~np.isnan(column)]
        if not len(known):
            continue
        if categorical[place]:
            found, counts = np.unique(known, return_counts=True)
            told[place] = found[np.argmax(counts)]
        else:
            told[place] = np.median(known)
    return told


def pushes(model: Model, values: Floats, reference: Floats, groups: Sequence[Columns]) -> Floats:
    """Say how much each group of columns pushes each customer's risk up: a row a customer, a column a group.

    It is the customer's log-odds minus those with the columns of the group set to the reference's, all others as they
    are. The pushes of a customer do not add up to anything: they are for putting reasons in order.
    """
    changed = np.tile(values, (len(groups), 1, 1))
    for place, group in enumerate(groups):
        columns = list(group)
        changed[place][:, columns] = reference[columns]
    without = model.log_odds(changed.reshape(-1, values.shape[1])).reshape(len(groups), len(values))
    told: Floats = (model.log_odds(values) - without).T
    return told
