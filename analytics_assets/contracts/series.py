"""What the tables of time series promise: parts, strengths, named days, forecasts, how good these were, anomalies.

Belongs here: one contract a table. Does not belong here: how it is computed (`statistics.series`, `.forecasts`,
`.anomalies`, `assets.series`).
"""

from __future__ import annotations

from analytics_assets.contracts.model import Accepted, Column, Contract, InRange

UNIT = "the measure's"
_SERIES = (
    Column("measure", "string", "orders, units or revenue (net)", nullable=False),
    Column("dimension", "string", "category, or empty for all", nullable=False),
    Column("value", "string", "the category; empty for all", nullable=False),
)
_KEY = ("measure", "dimension", "value")
_MEASURE = Accepted("measure", ("orders", "units", "revenue"))
_METHOD = Column(
    "method",
    "string",
    "multiplicative: parts are factors, as spread grows with the level; additive: parts are summed",
)
_NAMED = Column("named", "string", "the holiday or special day that it is; empty for none", nullable=False)
_EFFECT = (
    Column("effect", "float64", "multiplicative: ratio less 1; additive: an amount", "ratio, or " + UNIT),
    Column("low", "float64", "lower end of its 95 % interval", "ratio, or " + UNIT),
    Column("high", "float64", "upper end of it", "ratio, or " + UNIT),
)

DECOMPOSED = "decomposed"
TOO_SHORT = "fewer than two weeks"
CONSTANT = "always the same"
SPARSE = "nothing on most days"
MODELS = ("seasonal_naive", "theta", "harmonic", "combination")

SERIES_DECOMPOSITION = Contract(
    table="series_decomposition",
    grain="one row a measure, dimension, value and day: what was observed, and the parts that it is made of",
    columns=(
        Column("day", "date", "the day", nullable=False),
        *_SERIES,
        Column("observed", "float64", "what was observed; null: the shop was closed", UNIT),
        Column("method", "string", _METHOD.meaning, nullable=False),
        Column("trend", "float64", "the level, smoothed", UNIT, nullable=False),
        Column("weekly", "float64", "the pattern of the week: a factor, or an amount", nullable=False),
        Column("yearly", "float64", "that of the year; 1 (additive: 0) with less than two years", nullable=False),
        Column("remainder", "float64", "observed / (trend x weekly x yearly); additive: observed less all of them"),
        _NAMED,
    ),
    key=(*_KEY, "day"),
    rules=(_MEASURE, Accepted("method", ("additive", "multiplicative"))),
)

SERIES_STRENGTH = Contract(
    table="series_strength",
    grain="one row a measure, dimension and value: how much trend and patterns matter",
    columns=(
        *_SERIES,
        Column("days", "int64", "days from the first with anything to the last", "days", nullable=False),
        Column("closures", "int64", "those on which the shop was closed: a zero that cannot be chance", "days"),
        _METHOD,
        Column("trend_strength", "float64", "1 - var(remainder) / var(trend + remainder), at least 0"),
        Column("weekly_strength", "float64", "the same of the week: 0 no pattern, 1 nothing else"),
        Column("yearly_strength", "float64", "the same of the year; null with less than two years"),
        Column("trend_share", "float64", "variance of the trend / sum of the variances of all parts"),
        Column("weekly_share", "float64", "that of the week"),
        Column("yearly_share", "float64", "that of the year"),
        Column("remainder_share", "float64", "that of the remainder"),
        Column("state", "string", "decomposed, or why not", nullable=False),
    ),
    key=_KEY,
    rules=(
        _MEASURE,
        *(InRange(f"{part}_strength", 0, 1) for part in ("trend", "weekly", "yearly")),
        *(InRange(f"{part}_share", 0, 1) for part in ("trend", "weekly", "yearly", "remainder")),
        Accepted("state", (DECOMPOSED, TOO_SHORT, CONSTANT, SPARSE)),
    ),
)

SERIES_WEEKDAYS = Contract(
    table="series_weekdays",
    grain="one row a measure, dimension, value and day of the week: what it does, against the mean of the week",
    columns=(
        *_SERIES,
        Column("weekday", "int64", "ISO 8601 weekday: Monday 1 to Sunday 7", nullable=False),
        Column("days", "int64", "such days, without named ones", "days", nullable=False),
        Column("method", "string", _METHOD.meaning, nullable=False),
        *_EFFECT,
    ),
    key=(*_KEY, "weekday"),
    rules=(_MEASURE, InRange("weekday", 1, 7)),
)

SERIES_HOLIDAYS = Contract(
    table="series_holidays",
    grain="one row a measure and named day: what it does, against what the day would have been",
    columns=(
        *_SERIES,
        Column("holiday", "string", "the holiday or special day", nullable=False),
        Column("occurrences", "int64", "how often it was there; days in a row are one", nullable=False),
        Column("method", "string", _METHOD.meaning, nullable=False),
        *_EFFECT,
        Column(
            "state",
            "string",
            "estimated: of two occurrences or more; one occurrence: an effect outside of the spread of ordinary days "
            "(the interval is of that), which need not come again; never observed",
            nullable=False,
        ),
    ),
    key=(*_KEY, "holiday"),
    rules=(
        _MEASURE,
        InRange("occurrences", minimum=0),
        Accepted("state", ("estimated", "one occurrence", "never observed", "too few other days")),
    ),
)

FORECAST_BACKTEST = Contract(
    table="forecast_backtest",
    cadence="weekly",
    grain="one row a series, model, origin and day ahead: what was forecast with what was known then",
    columns=(
        *_SERIES,
        Column("model", "string", "the model", nullable=False),
        Column("origin", "date", "the last day that it had seen", nullable=False),
        Column("day", "date", "the day that was forecast", nullable=False),
        Column("horizon", "int64", "days after the origin", "days", nullable=False),
        Column("actual", "float64", "what came; null: the shop was closed", UNIT),
        Column("forecast", "float64", "the middle of what was forecast: as likely too high as too low", UNIT),
        Column("score", "float64", "how far off, in standard errors of the model", "standard errors"),
        Column("scale", "float64", "mean error of the seasonal naive forecast a week ahead until the origin", UNIT),
        _NAMED,
    ),
    key=(*_KEY, "model", "origin", "day"),
    rules=(_MEASURE, Accepted("model", MODELS), InRange("horizon", minimum=1)),
)

FORECAST_ACCURACY = Contract(
    table="forecast_accuracy",
    cadence="weekly",
    grain="one row a series and model: how good its forecasts were",
    columns=(
        *_SERIES,
        Column("model", "string", "the model", nullable=False),
        Column("origins", "int64", "from how many days on it was tried", nullable=False),
        Column("days", "int64", "days that came", "days", nullable=False),
        Column("mase", "float64", "mean over origins of the mean absolute error / scale: 1 is a naive week"),
        Column("mape", "float64", "mean absolute error in % of what came, over days with anything", "%"),
        Column("smape", "float64", "mean of 200 |actual - forecast| / (|actual| + |forecast|)", "%"),
        Column("mae", "float64", "mean absolute error", UNIT),
        Column("rmse", "float64", "root mean squared error", UNIT),
        Column("coverage_80", "float64", "share inside the 80 % interval, by the widths of all other origins"),
        Column("coverage_95", "float64", "share inside the 95 % interval, likewise"),
        Column("width_80", "float64", "half of the 80 % interval", "standard errors", nullable=False),
        Column("width_95", "float64", "half of the 95 % interval", "standard errors", nullable=False),
        Column("chosen", "boolean", "the model with the least mase, which forecasts", nullable=False),
    ),
    key=(*_KEY, "model"),
    rules=(
        _MEASURE,
        Accepted("model", MODELS),
        InRange("coverage_80", 0.6, 1, severity="warning"),
        InRange("coverage_95", 0.85, 1, severity="warning"),
    ),
)

FORECAST = Contract(
    table="forecast",
    grain="one row a series and day ahead",
    columns=(
        *_SERIES,
        Column("day", "date", "the day", nullable=False),
        Column("as_of", "date", "the last day that the forecast knows", nullable=False),
        Column("horizon", "int64", "days after it", "days", nullable=False),
        Column("forecast", "float64", "the middle of what may come: as likely too high as too low", UNIT),
        Column("low_80", "float64", "lower end of the interval in which 80 % of days fall", UNIT),
        Column("high_80", "float64", "upper end of it", UNIT),
        Column("low_95", "float64", "lower end of the interval in which 95 % of days fall", UNIT),
        Column("high_95", "float64", "upper end of it", UNIT),
        Column("model", "string", "the model", nullable=False),
        Column(
            "state",
            "string",
            "chosen by backtest; too short to compare: seasonal naive with the textbook's interval; always the same",
            nullable=False,
        ),
        _NAMED,
    ),
    key=(*_KEY, "day"),
    rules=(
        _MEASURE,
        Accepted("model", MODELS),
        InRange("horizon", minimum=1),
        Accepted("state", ("chosen by backtest", "too short to compare", CONSTANT)),
    ),
)

ANOMALIES = Contract(
    table="anomalies",
    grain="one row a measure, dimension, value and day that is judged by the eight weeks before it",
    columns=(
        Column("day", "date", "the day", nullable=False),
        *_SERIES,
        Column("observed", "float64", "what was observed", UNIT, nullable=False),
        Column("expected", "float64", "what the days before said", UNIT, nullable=False),
        Column("low", "float64", "the least that is no anomaly", UNIT, nullable=False),
        Column("high", "float64", "the most", UNIT, nullable=False),
        Column("score", "float64", "how far off; beyond 3.29 is an anomaly", "standard deviations", nullable=False),
        Column("is_anomaly", "boolean", "whether it lies outside of low and high", nullable=False),
        Column(
            "false_alarm_rate", "float64", "share of ordinary days that are called anomalies, a series", nullable=False
        ),
    ),
    key=(*_KEY, "day"),
    rules=(_MEASURE, InRange("false_alarm_rate", 0, 1)),
)
