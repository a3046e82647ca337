"""The churn model: who will probably not order again soon, why, and how far that can be trusted.

Belongs here: from the hubs to features, from features to models and their test, and the words for reasons. Does not
belong here: what a feature is and what may be known (`analysis.churn_features`), the models (`statistics.churn`), how
chances are judged (`statistics.scores`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import ibis

from analytics_assets.analysis.churn_features import Cuts, Sources, cuts, feature_rows
from analytics_assets.assets.catalog import Setting, table
from analytics_assets.assets.records import made
from analytics_assets.contracts import churn_model as promised
from analytics_assets.contracts.churn_model import FEATURES, FITTED, MODELS, OFF, TOO_SHORT, Feature

if TYPE_CHECKING:
    from ibis.expr.types import Table

    from analytics_assets.statistics.churn import Columns, Flags, Floats, Model
    from analytics_assets.statistics.scores import Bin, Estimate

Row: TypeAlias = dict[str, Any]

_LEAST = 100
"""Rows of training below which there is no model."""
_LEAST_TESTED = 50
"""Customers of the test below which nothing can be said of a model."""
_LEAST_OF_EACH = 10
"""Of who churned and of who stayed, in training and in the test."""
_HIGH, _MEDIUM = 0.8, 0.5
_LISTED = 1_000
_REASONS = 3
_LEAST_PUSH = 0.05
"""Log-odds by which a theme must raise the risk to be a reason."""
_METRICS = ("auc", "average_precision", "brier", "calibration_error", "bias")
_THEMES = tuple(dict.fromkeys(feature.theme for feature in FEATURES))


def _cuts(setting: Setting) -> Cuts | None:
    days = setting.so_far
    return cuts(days.first, days.last, setting.project.customers.churn_days)


@table(promised.CUSTOMER_CHURN_FEATURES)
def customer_churn_features(
    setting: Setting,
    order_value: Table,
    fact_returns: Table | None = None,
    fact_sessions: Table | None = None,
    fact_user_day_events: Table | None = None,
    dim_users: Table | None = None,
    dim_geography: Table | None = None,
) -> Table:
    """Tell what was known of every customer on some days, and whether an order came in the days after."""
    chosen = _cuts(setting)
    if chosen is None:
        return made(promised.CUSTOMER_CHURN_FEATURES, [])
    sources = Sources(order_value, fact_returns, fact_sessions, fact_user_day_events, dim_users, dim_geography)
    return feature_rows(sources, chosen.all, setting.project.customers.churn_days, setting.so_far.last)


@dataclass(frozen=True)
class _Counts:
    """Count rows of some cuts: customers, and who of them churned."""

    customers: int
    churned: int

    @property
    def stayed(self) -> int:
        return self.customers - self.churned


def _counted(setting: Setting, features: Table) -> dict[dt.date, _Counts]:
    by_cut = features.group_by("cut").aggregate(
        customers=features.count(), churned=features.churned.sum().fill_null(0).cast("int64")
    )
    return {row["cut"]: _Counts(row["customers"], row["churned"]) for row in setting.collect(by_cut)}


def _total(counts: dict[dt.date, _Counts], days: Iterable[dt.date]) -> _Counts:
    some = [counts[day] for day in days if day in counts]
    return _Counts(sum(c.customers for c in some), sum(c.churned for c in some))


def _state(chosen: Cuts | None, counts: dict[dt.date, _Counts]) -> str:
    """Say whether a model can be fitted and tested, and if not, why."""
    if chosen is None:
        return TOO_SHORT
    tested = _total(counts, [chosen.test])
    trained = [_total(counts, chosen.training), _total(counts, chosen.final)]
    if tested.customers < _LEAST_TESTED or any(told.customers < _LEAST for told in trained):
        return "too few customers"
    for told in (*trained, tested):
        if told.churned < _LEAST_OF_EACH:
            return "too few churned" if told.churned else "nobody churned"
        if told.stayed < _LEAST_OF_EACH:
            return "too few stayed" if told.stayed else "everybody churned"
    return FITTED


@dataclass(frozen=True)
class _Sample:
    """Hold rows as numbers, a column a feature; categories by their place among the values of the training rows."""

    rows: Sequence[Row]
    values: Floats
    churned: Flags


class _Reading:
    """Read rows of the features as numbers."""

    def __init__(self, rows: Sequence[Row], training: Iterable[dt.date]) -> None:
        import numpy as np

        from analytics_assets.statistics.churn import common_values

        self.rows = rows
        days = set(training)
        trained = [row for row in rows if row["cut"] in days]
        self.known = {f.name: common_values([row[f.name] for row in trained]) for f in FEATURES if f.kind == "category"}
        self.categorical = np.array([f.kind == "category" for f in FEATURES])
        self.training = self.sample(days)

    def sample(self, days: Iterable[dt.date]) -> _Sample:
        """Take the rows of some cuts."""
        import numpy as np

        from analytics_assets.statistics.churn import codes

        wanted = set(days)
        rows = [row for row in self.rows if row["cut"] in wanted]
        columns = []
        for feature in FEATURES:
            told = [row[feature.name] for row in rows]
            known = self.known.get(feature.name)
            columns.append(codes(told, known) if known is not None else np.array(told, dtype=float))
        return _Sample(rows, np.column_stack(columns), np.array([bool(row["churned"]) for row in rows], dtype=bool))


def _read(setting: Setting, features: Table, days: Iterable[dt.date]) -> list[Row]:
    """Compute the rows of some cuts, in an order of their own."""
    some = features.filter(features.cut.isin(sorted(set(days))))
    return setting.collect(some.order_by("cut", "user_id"))


def _groups() -> tuple[list[Columns], list[Columns]]:
    """Return the columns of each feature, and of each theme."""
    themes = [tuple(place for place, f in enumerate(FEATURES) if f.theme == theme) for theme in _THEMES]
    return [(place,) for place in range(len(FEATURES))], themes


@table(promised.CUSTOMER_CHURN_PREDICTIONS)
def customer_churn_predictions(setting: Setting, customer_churn_features: Table) -> Table:
    """Say how probable it is that a customer will not order: of today's, and of the test's, whom nobody trained on."""
    chosen = _cuts(setting)
    if chosen is None or _state(chosen, _counted(setting, customer_churn_features)) != FITTED:
        return made(promised.CUSTOMER_CHURN_PREDICTIONS, [])
    days = setting.project.customers.churn_days
    rows = _read(setting, customer_churn_features, chosen.all)
    found = [
        *_predicted(_Reading(rows, chosen.training), chosen.test, "test", days),
        *_predicted(_Reading(rows, chosen.final), chosen.today, "today", days),
    ]
    return made(promised.CUSTOMER_CHURN_PREDICTIONS, found)


def _predicted(reading: _Reading, cut: dt.date, sample: str, days: int) -> list[Row]:
    """Fit the models on what was known and seen before the cut, and ask them about the customers of the cut."""
    from analytics_assets.statistics.churn import chances, fit_boosting, fit_logistic

    trained, asked = reading.training, reading.sample([cut])
    model = fit_boosting(trained.values, trained.churned, reading.categorical)
    logistic = fit_logistic(trained.values, trained.churned, reading.categorical)
    boosted = chances(model, asked.values).tolist()
    plain = chances(logistic, asked.values).tolist()
    bought = _silent(asked.rows, days)
    ranks = {place: rank for rank, place in enumerate(sorted(range(len(boosted)), key=lambda i: -boosted[i]), 1)}
    found: list[Row] = []
    for place, row in enumerate(asked.rows):
        value = max(0.0, row["net"]) / max(row["days_since_first"], days) * days
        found.append(
            {
                "cut": cut,
                "sample": sample,
                "user_id": row["user_id"],
                "boosting": boosted[place],
                "logistic": plain[place],
                "bg_nbd": bought[place],
                "rank": ranks[place],
                "band": _band(boosted[place]),
                "value": value,
                "expected_loss": boosted[place] * value,
                "reasons": None,
                "churned": row["churned"],
            }
        )
    if sample == "today":
        _explain(found, reading, asked, model)
    return found


def _band(chance: float) -> str:
    return "high" if chance >= _HIGH else "medium" if chance >= _MEDIUM else "low"


def _silent(rows: Sequence[Row], days: int) -> list[float | None]:
    """Ask BG/NBD, which knows orders alone and is fitted on them, who will not order."""
    import numpy as np

    from analytics_assets.statistics.churn import no_order
    from analytics_assets.statistics.lifetime import fit_bg_nbd

    further = np.array([row["order_days"] - 1 for row in rows], dtype=float)
    age = np.array([row["days_since_first"] for row in rows], dtype=float)
    recency = age - np.array([row["days_since_order"] for row in rows], dtype=float)
    model = fit_bg_nbd(further, recency, age).model
    return [None] * len(rows) if model is None else list(no_order(model, further, recency, age, days).tolist())


def _explain(found: list[Row], reading: _Reading, asked: _Sample, model: Model) -> None:
    """Give reasons to those who are listed: the themes that raise the risk most, each by the feature that does."""
    from analytics_assets.statistics.churn import pushes, usual

    high = [place for place, row in enumerate(found) if row["band"] == "high"]
    listed = sorted(high, key=lambda place: (-found[place]["expected_loss"], found[place]["user_id"]))[:_LISTED]
    if not listed:
        return
    reference = usual(asked.values, reading.categorical)
    alone, together = _groups()
    up = pushes(model, asked.values[listed], reference, [*alone, *together])
    told = [_shown(f, number, reading) for f, number in zip(FEATURES, reference.tolist(), strict=True)]
    for place, raised in zip(listed, up.tolist(), strict=True):
        of_themes = raised[len(alone) :]
        order = sorted(range(len(together)), key=lambda theme: -of_themes[theme])[:_REASONS]
        words = []
        for theme in order:
            if of_themes[theme] >= _LEAST_PUSH:
                known = [c for c in together[theme] if asked.rows[place][FEATURES[c].name] is not None]
                most = max(known or together[theme], key=lambda column: raised[column])
                words.append(_reason(FEATURES[most], asked.rows[place], told[most]))
        found[place]["reasons"] = "; ".join(words)


def _shown(feature: Feature, number: float, reading: _Reading) -> str:
    """Write a value of the usual customer."""
    if number != number:  # noqa: PLR0124 - NaN: it has none
        return "none"
    return reading.known[feature.name][int(number)] if feature.kind == "category" else _number(number)


def _number(value: float) -> str:
    """Write a number for people.

    >>> _number(12.0), _number(0.123), _number(1234.5)
    ('12', '0.12', '1,234.5')
    """
    return f"{value:,.2f}".rstrip("0").rstrip(".")


def _reason(feature: Feature, row: Row, usual: str) -> str:
    return f"{feature.meaning}: {_own(feature, row[feature.name])} (usual: {usual})"


def _own(feature: Feature, value: Any) -> str:  # noqa: ANN401 - a number or a word
    return "none" if value is None else str(value) if feature.kind == "category" else _number(value)


@table(promised.CUSTOMER_CHURN_RISK)
def customer_churn_risk(customer_churn_predictions: Table, customer_churn_features: Table) -> Table:
    """List the customers at high risk, the highest expected loss first, with the reasons."""
    listed = customer_churn_predictions.filter(customer_churn_predictions.reasons.notnull())
    known = customer_churn_features.select("cut", "user_id", "net", "orders", "days_since_order", "days_since_visit")
    both = listed.select("cut", "user_id", "expected_loss", "value", "reasons", chance=listed.boosting)
    both = both.inner_join(known, ["cut", "user_id"])
    by_loss = ibis.window(order_by=[both.expected_loss.desc(), both.user_id.asc()])
    return both.mutate(place=ibis.row_number().over(by_loss) + 1)


@table(promised.CUSTOMER_CHURN_PERFORMANCE)
def customer_churn_performance(
    setting: Setting, customer_churn_features: Table, customer_churn_predictions: Table
) -> Table:
    """Measure the models on the test: ranking, accuracy and calibration, and whether boosting is worth it."""
    chosen = _cuts(setting)
    counts = {} if chosen is None else _counted(setting, customer_churn_features)
    state = _state(chosen, counts)
    trained = _total(counts, chosen.training if chosen else ())
    tested = _total(counts, [chosen.test] if chosen else ())
    same = {
        "churn_days": setting.project.customers.churn_days,
        "test_cut": chosen.test if chosen else None,
        "trained_from": min(chosen.training) if chosen else None,
        "trained_to": max(chosen.training) if chosen else None,
        "trained_on": trained.customers,
        "customers": tested.customers,
        "churned": tested.churned,
    }
    measured = _measured(_tested(setting, customer_churn_predictions)) if state == FITTED else {}
    nothing = {"value": None, "low": None, "high": None}
    compared = {"baseline": None, "gain": None, "gain_low": None, "gain_high": None, "verdict": None}
    records = [
        {
            "model": model,
            "metric": metric,
            "state": state if state != FITTED or (model, metric) in measured else "not fitted",
            **same,
            **nothing,
            **compared,
            **measured.get((model, metric), {}),
        }
        for model in MODELS
        for metric in _METRICS
    ]
    return made(promised.CUSTOMER_CHURN_PERFORMANCE, records)


def _tested(setting: Setting, predictions: Table) -> list[Row]:
    """Compute the rows of the test."""
    tested = predictions.filter(predictions["sample"] == "test").order_by("user_id")
    return setting.collect(tested.select("user_id", "churned", *MODELS))


def _arrays(rows: Sequence[Row]) -> tuple[dict[str, Floats], Flags]:
    """Return the chances that each model gave, and what happened; a model that gave none is not there."""
    import numpy as np

    given = {model: [row[model] for row in rows] for model in MODELS}
    chances = {model: np.array(told, dtype=float) for model, told in given.items() if None not in told}
    return chances, np.array([row["churned"] for row in rows], dtype=bool)


def _measured(rows: Sequence[Row]) -> dict[tuple[str, str], Row]:
    """Measure every model."""
    from analytics_assets.statistics.scores import auc, auc_gain, average_precision, brier, calibration_error

    given, happened = _arrays(rows)
    found: dict[tuple[str, str], Row] = {}
    for model, chances in given.items():
        estimates = {"auc": auc, "average_precision": average_precision, "brier": brier}
        found |= {(model, name): _estimated(measure(chances, happened)) for name, measure in estimates.items()}
        found[model, "calibration_error"] = {"value": calibration_error(_bins(chances, happened))}
        found[model, "bias"] = {"value": float(chances.mean() - happened.mean())}
    model, *others = MODELS
    areas = {name: found[name, "auc"]["value"] for name in others if name in given}
    baseline = max(areas, key=lambda name: areas[name])
    gain = auc_gain(given[model], given[baseline], happened)
    if gain is not None:
        found[model, "auc"] |= {
            "baseline": baseline,
            "gain": gain.value,
            "gain_low": gain.low,
            "gain_high": gain.high,
            "verdict": "better" if gain.value > 0 else "no better",
        }
    error = found[model, "calibration_error"]
    error["verdict"] = "calibrated" if error["value"] <= OFF else "off"
    return found


def _estimated(estimate: Estimate | None) -> Row:
    return {} if estimate is None else {"value": estimate.value, "low": estimate.low, "high": estimate.high}


def _bins(chances: Floats, happened: Flags) -> list[Bin]:
    from analytics_assets.statistics.scores import calibration

    return calibration(chances, happened)


@table(promised.CUSTOMER_CHURN_CALIBRATION)
def customer_churn_calibration(setting: Setting, customer_churn_predictions: Table) -> Table:
    """Compare the chances that each model gave with what happened, by tenths of the test's customers."""
    rows = _tested(setting, customer_churn_predictions) if _cuts(setting) else []
    if not rows:
        return made(promised.CUSTOMER_CHURN_CALIBRATION, [])
    given, happened = _arrays(rows)
    found = [
        {
            "model": model,
            "bin": number,
            "customers": told.count,
            "churned": told.happened,
            "lowest": told.lowest,
            "highest": told.highest,
            "predicted": told.predicted,
            "observed": told.observed,
            "low": told.low,
            "high": told.high,
        }
        for model, chances in given.items()
        for number, told in enumerate(_bins(chances, happened), 1)
    ]
    return made(promised.CUSTOMER_CHURN_CALIBRATION, found)


@table(promised.CUSTOMER_CHURN_IMPORTANCE)
def customer_churn_importance(setting: Setting, customer_churn_features: Table) -> Table:
    """Measure what the ranking of the boosting rests on: how much worse it is on the test once something is shuffled.

    The model of the test is fitted again: the same rows make the same model, and a table is a function of tables.
    """
    chosen = _cuts(setting)
    if chosen is None or _state(chosen, _counted(setting, customer_churn_features)) != FITTED:
        return made(promised.CUSTOMER_CHURN_IMPORTANCE, [])
    from analytics_assets.statistics.churn import fit_boosting, influence

    reading = _Reading(_read(setting, customer_churn_features, (*chosen.training, chosen.test)), chosen.training)
    trained, tested = reading.training, reading.sample([chosen.test])
    model = fit_boosting(trained.values, trained.churned, reading.categorical)
    alone, together = _groups()
    found = influence(model, tested.values, tested.churned, [*alone, *together])
    names = [(f.theme, f.name) for f in FEATURES] + [(theme, "") for theme in _THEMES]
    records: list[Row] = []
    for kind in (slice(None, len(FEATURES)), slice(len(FEATURES), None)):
        told = sorted(zip(names[kind], found[kind], strict=True), key=lambda pair: (-pair[1].drop, pair[0]))
        records += [
            {"theme": theme, "feature": feature, "drop": what.drop, "spread": what.spread, "rank": rank}
            for rank, ((theme, feature), what) in enumerate(told, 1)
        ]
    return made(promised.CUSTOMER_CHURN_IMPORTANCE, records)
