"""Forecasts of a series, how far off they were, and how far off the next ones may be.

Belongs here: models of one series of numbers, measures of accuracy, the rolling-origin backtest, the choice of a model
by it, and intervals that cover. Does not belong here: what the numbers count, and calendars (see `series`).

A model takes the history and a horizon and gives, for each step ahead, the middle and a standard error; both are on
the scale on which the model works.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from analytics_assets.statistics.series import WEEK, Power, fill, harmonics

if TYPE_CHECKING:
    from numpy import float64
    from numpy.typing import NDArray

    Numbers: TypeAlias = NDArray[float64]

Model: TypeAlias = Literal["seasonal_naive", "theta", "harmonic", "combination"]
LADDER: tuple[Model, ...] = ("seasonal_naive", "theta", "harmonic", "combination")
"""The models that compete; the earlier wins where two are equally good."""

FEWEST = 2 * WEEK
"""Days below which there is no forecast."""
ORIGINS = 13
"""The most origins of a backtest: half a year of fortnights."""
LEVELS = (0.8, 0.95)
"""What the intervals promise."""
YEAR = 365.25
_FIRST_ORIGIN = 4 * WEEK
_HARMONIC = 8 * WEEK
_LONG = 12 * WEEK
_YEARLY = 10
_FEWEST_ERRORS = 28
_RISING = 2


@dataclass(frozen=True)
class Forecast:
    """Hold a forecast.

    Attributes:
        middle: For each step ahead.
        error: Its standard error.
    """

    middle: Numbers
    error: Numbers


@dataclass(frozen=True)
class Accuracy:
    """Say how far off forecasts were (Hyndman, Koehler 2006); NaN where a measure is not defined.

    Attributes:
        mae: Mean absolute error, in the unit of the series.
        rmse: Root mean squared error, in the same.
        mape: Mean absolute error in percent of what came, over what was not 0.
        smape: Mean of 200 |actual - forecast| / (|actual| + |forecast|).
        mase: mae / the mean absolute error of the seasonal naive forecasts, one season ahead, in the history.
    """

    mae: float
    rmse: float
    mape: float
    smape: float
    mase: float


# --- how far off ------------------------------------------------------------------------------------------------------


def seasonal_scale(history: Sequence[float] | Numbers, period: int) -> float:
    """Give the mean absolute difference from one season to the next, by which MASE is scaled; NaN of none.

    >>> seasonal_scale([1, 2, 4, 8], 2)
    4.5
    """
    import numpy as np

    values = np.asarray(history, dtype=float)
    steps = np.abs(values[period:] - values[:-period])
    known = steps[~np.isnan(steps)]
    return float(known.mean()) if len(known) else math.nan


def accuracy(
    actual: Sequence[float] | Numbers,
    forecast: Sequence[float] | Numbers,
    history: Sequence[float] | Numbers,
    period: int,
) -> Accuracy:
    """Measure forecasts against what came (Hyndman, Koehler 2006; FPP3 5.8); what did not come (NaN) is left out.

    >>> accuracy([10, 20], [15, 18], [1, 2, 4, 8], 2).mape
    30.0
    """
    import numpy as np

    came, told = np.asarray(actual, dtype=float), np.asarray(forecast, dtype=float)
    known = ~np.isnan(came) & ~np.isnan(told)
    came, told = came[known], told[known]
    if not len(came):
        return Accuracy(math.nan, math.nan, math.nan, math.nan, math.nan)
    off = np.abs(came - told)
    some, both = came != 0, np.abs(came) + np.abs(told)
    scale = seasonal_scale(history, period)
    return Accuracy(
        mae=float(off.mean()),
        rmse=math.sqrt(float((off**2).mean())),
        mape=float(100 * (off[some] / np.abs(came[some])).mean()) if some.any() else math.nan,
        smape=float(200 * np.divide(off, both, out=np.zeros_like(off), where=both > 0).mean()),
        mase=float(off.mean()) / scale if scale > 0 else math.nan,
    )


# --- the textbook's models --------------------------------------------------------------------------------------------


def _spread(residuals: Numbers, parameters: int) -> float:
    """Give the standard deviation of residuals as FPP3 5.5 does: less the parameters and what is missing."""
    import numpy as np

    known = residuals[~np.isnan(residuals)]
    freedom = len(known) - parameters
    return math.sqrt(float((known**2).sum()) / freedom) if freedom > 0 else math.nan


def mean(history: Numbers, horizon: int) -> Forecast:
    """Forecast the mean of all that was (FPP3 5.2); its error by FPP3 5.5.

    >>> import numpy as np
    >>> mean(np.array([1.0, 2, 3]), 2).middle
    array([2., 2.])
    """
    import numpy as np

    middle = float(np.nanmean(history))
    error = _spread(history - middle, 1) * math.sqrt(1 + 1 / len(history))
    return Forecast(np.full(horizon, middle), np.full(horizon, error))


def naive(history: Numbers, horizon: int) -> Forecast:
    """Forecast the last number again (FPP3 5.2); its error by FPP3 5.5.

    >>> import numpy as np
    >>> naive(np.array([1.0, 2, 4]), 2).middle
    array([4., 4.])
    """
    return seasonal_naive(history, horizon, 1)


def drift(history: Numbers, horizon: int) -> Forecast:
    """Forecast the line from the first number to the last (FPP3 5.2); its error by FPP3 5.5.

    >>> import numpy as np
    >>> drift(np.array([1.0, 2, 5]), 2).middle
    array([7., 9.])
    """
    import numpy as np

    steps = np.arange(1, horizon + 1)
    slope = (history[-1] - history[0]) / (len(history) - 1)
    spread = _spread(np.diff(history) - slope, 1)
    return Forecast(history[-1] + slope * steps, spread * np.sqrt(steps * (1 + steps / (len(history) - 1))))


def seasonal_naive(history: Numbers, horizon: int, period: int = WEEK) -> Forecast:
    """Forecast what was one period before (FPP3 5.2); its error by FPP3 5.5.

    Where that is a gap, what was two periods before, and so on; NaN where there is nothing.

    >>> import numpy as np
    >>> seasonal_naive(np.array([1.0, 2, 5, 6]), 3, 2).middle
    array([5., 6., 5.])
    """
    import numpy as np

    steps = np.arange(horizon)
    last = np.full(period, math.nan)
    for before in range(min(period, len(history))):
        same = history[len(history) - 1 - before :: -period]
        known = same[~np.isnan(same)]
        last[period - 1 - before] = known[0] if len(known) else math.nan
    spread = _spread(history[period:] - history[:-period], 0)
    return Forecast(last[steps % period], spread * np.sqrt(steps // period + 1))


# --- the models that compete ------------------------------------------------------------------------------------------


def theta(history: Numbers, horizon: int, period: int = WEEK) -> Forecast:
    """Forecast by the Theta method: exponential smoothing with half the slope of the line, less the pattern.

    Assimakopoulos, Nikolopoulos (2000), as exponential smoothing with drift (Hyndman, Billah 2003), the smoothing by
    least squares. The same as statsmodels' ThetaModel, which takes ten times as long. The pattern is taken away by a
    moving average (classical decomposition), additively: give logarithms for factors.

    Args:
        history: Numbers without gaps; twice the period at least.
        horizon: Steps ahead.
        period: The length of the pattern; 1 for none.
    """
    import numpy as np
    from scipy.optimize import minimize_scalar

    length = len(history)
    place = np.arange(length + horizon) % period
    pattern = _classical(history, period)[place] if period > 1 else np.zeros(len(place))
    level = history - pattern[:length]
    slope = float(np.polyfit(np.arange(length), level, 1)[0])
    found = minimize_scalar(
        lambda alpha: float((_smoothing(level, alpha)[0] ** 2).sum()), bounds=(0.0001, 0.9999), method="bounded"
    )
    alpha = float(found.x)
    residuals, last = _smoothing(level, alpha)
    steps = np.arange(horizon)
    ahead = last + slope / 2 * (steps + (1 - (1 - alpha) ** length) / alpha)
    error = _spread(residuals, 1) * np.sqrt(1 + steps * alpha**2)
    return Forecast(ahead + pattern[length:], error)


def _smoothing(values: Numbers, alpha: float) -> tuple[Numbers, float]:
    """Smooth from the first number on; give the errors one step ahead, and the last level."""
    import numpy as np
    from scipy.signal import lfilter

    levels, _ = lfilter([alpha], [1, alpha - 1], values[1:], zi=[(1 - alpha) * values[0]])
    levels = np.concatenate([values[:1], np.asarray(levels, dtype=float)])
    return values[1:] - levels[:-1], float(levels[-1])


def _classical(values: Numbers, period: int) -> Numbers:
    """Give the pattern of a period: means of the series less its centred moving average, less their own mean."""
    import numpy as np

    weights = np.full(period, 1 / period)
    if period % 2 == 0:
        weights = np.r_[0.5, np.ones(period - 1), 0.5] / period
    half = len(weights) // 2
    off = values[half : len(values) - half] - np.convolve(values, weights, mode="valid")
    phase = np.arange(half, half + len(off)) % period
    means = np.array([off[phase == part].mean() if np.any(phase == part) else 0.0 for part in range(period)])
    return np.asarray(means - means.mean(), dtype=float)


def harmonic(history: Numbers, horizon: int, period: int = WEEK, year: float | None = None) -> Forecast:
    """Forecast by a regression on the pattern, the year's harmonics, and what was before.

    One least-squares fit of each number on the numbers 1 to 7, 14, 21 and 28 days before (of a short history: 1, 2, 3
    and 7), on a level for each place in the period and, where `year` is given, on 10 harmonics of it, as Taylor and
    Letham (2018) take; without, on a line, which stands for the part of the year's wave that is seen. Errors ahead
    follow from the weights of the regression on the past (FPP3 9.8). Weights that would make the forecast explode are
    drawn back until they do not. The same as statsmodels' AutoReg with these regressors, which takes 25 times as long.

    Args:
        history: Numbers without gaps, more than seven times the period.
        horizon: Steps ahead.
        period: The length of the pattern.
        year: How many steps a year has; None where there are less than two.
    """
    import numpy as np

    length = len(history)
    lags = lags_of(length, period)
    deepest = lags[-1]
    known = _regressors(length + horizon, period, year)
    past = np.column_stack([history[deepest - lag : length - lag] for lag in lags])
    design = np.hstack([past, known[deepest:length]])
    weights = np.linalg.lstsq(design, history[deepest:], rcond=None)[0]
    own, others = weights[: len(lags)], weights[len(lags) :]
    if (largest := _largest_root(np.asarray(own, dtype=float), lags)) > 1:
        own = own / largest ** np.array(lags)
        others = np.linalg.lstsq(known[deepest:length], history[deepest:] - past @ own, rcond=None)[0]
    spread = _spread(history[deepest:] - past @ own - known[deepest:length] @ others, design.shape[1])
    rest = known[length:] @ others
    path = np.concatenate([history[-deepest:], np.zeros(horizon)])
    places = np.array(lags)
    response = np.zeros(deepest + horizon)
    response[deepest] = 1.0
    for step in range(horizon):
        path[deepest + step] = rest[step] + own @ path[deepest + step - places]
        if step:
            response[deepest + step] = own @ response[deepest + step - places]
    error = spread * np.sqrt(np.cumsum(response[deepest:] ** 2))
    return Forecast(path[deepest:], error)


def _largest_root(weights: Numbers, lags: Sequence[int]) -> float:
    """Give the growth by step that a regression on the past has in the long run."""
    import numpy as np

    companion = np.eye(lags[-1], k=-1)
    companion[0, np.array(lags) - 1] = weights
    return float(np.abs(np.linalg.eigvals(companion)).max())


def lags_of(length: int, period: int = WEEK) -> tuple[int, ...]:
    """Give how far back `harmonic` looks, by the length of a history."""
    if period == 1:
        return (1,)
    if length >= 12 * period:
        return (*range(1, period + 1), 2 * period, 3 * period, 4 * period)
    return tuple(sorted({1, 2, 3, period}))


def _regressors(length: int, period: int, year: float | None) -> Numbers:
    import numpy as np

    place = np.arange(length)
    levels = (place[:, None] % period == np.arange(period)[None, :]).astype(float)
    more = harmonics(length, year, _YEARLY) if year else (place / length)[:, None]
    return np.hstack([levels, more])


@dataclass(frozen=True)
class Airline:
    """Hold a fitted seasonal ARIMA (0, 1, 1)(0, 1, 1).

    Attributes:
        ma: The weight of the last error.
        seasonal_ma: The weight of the error one period before.
        log_likelihood: Of the history, after both differences.
        aic: Akaike's criterion.
        state: `fitted`, or `not converged`.
        forecast: What comes next.
    """

    ma: float
    seasonal_ma: float
    log_likelihood: float
    aic: float
    state: str
    forecast: Forecast


def airline(history: Numbers, horizon: int, period: int) -> Airline:
    """Forecast by the seasonal ARIMA (0, 1, 1)(0, 1, 1) of Box and Jenkins (1976), by maximum likelihood.

    It is no member of the ladder: 50 to 100 times as slow, and no better on daily series of shops (see the ADR).

    Args:
        history: Numbers without gaps; logarithms for factors.
        horizon: Steps ahead.
        period: The length of the pattern.
    """
    import warnings

    import numpy as np
    from statsmodels.tools.sm_exceptions import ConvergenceWarning
    from statsmodels.tsa.statespace.sarimax import SARIMAX

    orders: dict[str, Any] = {"order": (0, 1, 1), "seasonal_order": (0, 1, 1, period)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # said by the state instead
        fitted = SARIMAX(history, simple_differencing=True, **orders).fit(disp=False)
        ahead = SARIMAX(history, **orders).filter(fitted.params).get_forecast(horizon)
    named = dict(zip(fitted.model.param_names, fitted.params, strict=True))
    return Airline(
        ma=float(named["ma.L1"]),
        seasonal_ma=float(named[f"ma.S.L{period}"]),
        log_likelihood=float(fitted.llf),
        aic=float(fitted.aic),
        state="fitted" if fitted.mle_retvals.get("converged", True) else "not converged",
        forecast=Forecast(np.asarray(ahead.predicted_mean), np.asarray(ahead.se_mean)),
    )


# --- one daily series -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ahead:
    """Hold the forecast of a daily series, in its own unit.

    Attributes:
        middle: What is as likely to be exceeded as not, for each day ahead.
        error: The model's standard error of it, on the scale `power`.
        power: That scale.
        floor: The least that is possible: 0 where nothing ever was negative.
    """

    middle: Numbers
    error: Numbers
    power: Power
    floor: float

    def interval(self, width: float) -> tuple[Numbers, Numbers]:
        """Give the ends that lie so many standard errors off the middle."""
        import numpy as np

        place = to_scale(self.middle, self.power)
        low, high = (from_scale(place + sign * width * self.error, self.power) for sign in (-1, 1))
        return np.maximum(low, self.floor), np.maximum(high, self.floor)

    def score(self, actual: Numbers) -> Numbers:
        """Give how many standard errors what came is off the middle, without a sign."""
        import numpy as np

        off = np.abs(to_scale(actual, self.power) - to_scale(self.middle, self.power))
        return np.divide(off, self.error, out=np.where(off > 0, math.inf, 0.0), where=self.error > 0)


def to_scale(values: Numbers, power: Power) -> Numbers:
    """Take roots or logarithms; what is too small for them is the least that they take."""
    import numpy as np

    if power == "0":
        return np.log(np.maximum(values, 1e-9))
    return np.sqrt(np.maximum(values, 0.0)) if power == "1/2" else values


def from_scale(values: Numbers, power: Power) -> Numbers:
    """Undo `to_scale`."""
    import numpy as np

    if power == "0":
        return np.exp(np.minimum(values, 700.0))
    return np.maximum(values, 0.0) ** 2 if power == "1/2" else values


def scale_of(values: Numbers) -> Power:
    """Choose the scale on which a series is forecast: logarithms of what is positive, roots where there are zeros."""
    import numpy as np

    least = float(np.nanmin(values))
    return "0" if least > 0 else "1/2" if least == 0 else "1"


def look_ahead(
    values: Numbers, horizon: int, models: Sequence[Model] = LADDER, named: Mapping[str, Sequence[int]] | None = None
) -> dict[Model, Ahead]:
    """Forecast a daily series by each model that its length allows.

    Seasonal naive sees the series as it is. The others see it on the scale of `scale_of`, with gaps and named days
    filled; a name that was there twice or more before has the mean of its effects put on its days ahead.

    Args:
        values: A number a day; NaN for gaps. Nothing after its end is known.
        horizon: Days ahead.
        models: Which of them.
        named: Places of named days, counted from the first day on; those at the end or after it lie ahead.

    Returns:
        By model; none of fewer than two weeks.

    >>> import numpy as np
    >>> week = np.tile([1.0, 2, 3, 4, 5, 6, 7], 3)
    >>> look_ahead(week, 2)["seasonal_naive"].middle
    array([1., 2.])
    """
    import numpy as np

    known = values[~np.isnan(values)]
    if len(known) < FEWEST:
        return {}
    floor = 0.0 if known.min() >= 0 else -math.inf
    plain = seasonal_naive(values, horizon)
    middle = np.where(np.isnan(plain.middle), float(np.median(known)), plain.middle)
    found: dict[Model, Ahead] = {"seasonal_naive": Ahead(middle, np.nan_to_num(plain.error), "1", floor)}
    wanted = [model for model in models if model != "seasonal_naive" and _allows(len(values), model)]
    if not wanted or float(np.ptp(known)) == 0:
        return {model: ahead for model, ahead in found.items() if model in models}
    power = scale_of(values)
    scaled, effects = _ordinary(to_scale(values, power), named or {}, horizon)
    told: dict[Model, Forecast] = {"theta": theta(scaled, horizon)}
    if any(model != "theta" for model in wanted):
        told["harmonic"] = harmonic(scaled, horizon, year=YEAR if len(scaled) >= _RISING * YEAR else None)
        told["combination"] = combine(told["theta"], told["harmonic"])
    for model in wanted:
        middle = np.maximum(from_scale(told[model].middle + effects, power), floor)
        found[model] = Ahead(middle, told[model].error, power, floor)
    return {model: found[model] for model in models if model in found}


def _allows(length: int, model: Model) -> bool:
    return length >= (_FIRST_ORIGIN if model == "theta" else _HARMONIC)


def combine(one: Forecast, other: Forecast) -> Forecast:
    """Take the mean of two forecasts; the error is the mean of theirs, as if they erred together."""
    return Forecast((one.middle + other.middle) / 2, (one.error + other.error) / 2)


def _ordinary(scaled: Numbers, named: Mapping[str, Sequence[int]], horizon: int) -> tuple[Numbers, Numbers]:
    """Fill gaps and named days; give the effects of names that are known, for the days ahead."""
    import numpy as np

    length = len(scaled)
    blank = scaled.copy()
    before = {name: sorted({p for p in places if 0 <= p < length}) for name, places in named.items()}
    blank[[place for seen in before.values() for place in seen]] = math.nan
    if (~np.isnan(blank)).sum() < FEWEST:
        blank = scaled
    whole = fill(blank)
    effects = np.zeros(horizon)
    for name, places in named.items():
        there = [place for place in before[name] if not math.isnan(scaled[place])]
        if sum(1 for place in there if place - 1 not in there) >= _RISING:
            ahead = [place - length for place in places if 0 <= place - length < horizon]
            effects[ahead] += float(np.mean(scaled[there] - whole[there]))
    return whole, effects


# --- looking back -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tried:
    """Hold what a model said from one origin on.

    Attributes:
        model: The model.
        origin: How many days of the series it had seen.
        actual: What came.
        ahead: What it said.
        scale: The seasonal naive error of the days that it had seen, by which MASE is scaled.
    """

    model: Model
    origin: int
    actual: Numbers
    ahead: Ahead
    scale: float


def origins(length: int, horizon: int, most: int = ORIGINS) -> list[int]:
    """Give from where a backtest looks ahead: each horizon once, backwards from the end; no origin sees under 4 weeks.

    At least half of the days are seen by the first origin.

    >>> origins(365, 14)[0], origins(365, 14)[-1], len(origins(365, 14))
    (183, 351, 13)
    """
    first = max(_FIRST_ORIGIN, length // 2)
    back = [length - horizon * step for step in range(1, most + 1)]
    return [origin for origin in reversed(back) if origin >= first]


def backtest(
    values: Numbers,
    horizon: int,
    models: Sequence[Model] = LADDER,
    named: Mapping[str, Sequence[int]] | None = None,
    starts: Sequence[int] | None = None,
) -> list[Tried]:
    """Forecast again and again with what was known then (FPP3 5.10): a model that cannot be had everywhere is left out.

    Args:
        values: A number a day; NaN for gaps.
        horizon: Days ahead.
        models: Which of them.
        named: Places of named days.
        starts: The origins; those of `origins` by default.
    """
    import numpy as np

    tried: list[Tried] = []
    for origin in origins(len(values), horizon) if starts is None else starts:
        seen, actual = values[:origin], values[origin : origin + horizon]
        if not np.any(~np.isnan(actual)):
            continue
        scale = seasonal_scale(seen, WEEK)
        told = look_ahead(seen, horizon, models, named)
        tried += [Tried(model, origin, actual, ahead, scale) for model, ahead in told.items()]
    most = len({one.origin for one in tried})
    everywhere = {model for model in models if sum(one.model == model for one in tried) == most}
    return [one for one in tried if one.model in everywhere]


def choose(mase: Mapping[Model, float]) -> Model:
    """Choose the model with the least mean MASE; seasonal naive stays where nothing is better.

    >>> choose({"seasonal_naive": 1.0, "theta": 1.0, "harmonic": 0.9})
    'harmonic'
    """
    best: Model = "seasonal_naive"
    for model in LADDER:
        if model in mase and mase[model] < mase.get(best, math.inf):
            best = model
    return best


def widths(scores: Sequence[float] | Numbers) -> tuple[float, float]:
    """Give how many standard errors the intervals of 80 and 95 % must reach, by how far off the model was.

    Split conformal prediction (Vovk et al. 2005; Lei et al. 2018) of errors divided by the model's own, which grow with
    the horizon: the ceil((n + 1) level)-th smallest. With fewer than 28 of them, the normal distribution's.

    >>> widths([])
    (1.2815515655446004, 1.959963984540054)
    """
    import numpy as np

    known = np.sort(np.asarray([score for score in scores if math.isfinite(score)], dtype=float))
    if len(known) < _FEWEST_ERRORS:
        return 1.2815515655446004, 1.959963984540054
    low, high = (float(known[min(len(known), math.ceil((len(known) + 1) * level)) - 1]) for level in LEVELS)
    return low, high


def coverage(scores: Sequence[Sequence[float]]) -> tuple[float, float]:
    """Give the share of days inside the intervals, each origin judged by the widths that all others ask for.

    NaN where there is nothing to judge.
    """
    inside = [0, 0]
    judged = 0
    for place, own in enumerate(scores):
        others = [score for other, found in enumerate(scores) if other != place for score in found]
        reach = widths(others)
        known = [score for score in own if not math.isnan(score)]
        judged += len(known)
        for level in (0, 1):
            inside[level] += sum(score <= reach[level] for score in known)
    return (inside[0] / judged, inside[1] / judged) if judged else (math.nan, math.nan)


# --- errors by horizon ------------------------------------------------------------------------------------------------


def rolling_by_horizon(errors: Sequence[float], horizons: Sequence[int], share: float = 0.1) -> list[tuple[int, float]]:
    """Average errors over the horizons up to each, as Prophet's `performance_metrics` does.

    Each mean is over `share` of all errors, those of the longest horizons up to the given one; the horizon that does
    not fit in whole counts by the part that does.

    Returns:
        Horizon and mean, from the first horizon up to which there are enough errors.

    >>> rolling_by_horizon([1, 2, 3, 4], [1, 1, 2, 2], share=0.5)
    [(1, 1.5), (2, 3.5)]
    """
    by_horizon: dict[int, list[float]] = {}
    for error, horizon in zip(errors, horizons, strict=True):
        by_horizon.setdefault(horizon, []).append(error)
    wanted = max(1, int(share * len(errors)))
    steps = sorted(by_horizon)
    found = []
    for place, horizon in enumerate(steps):
        total, count = 0.0, 0
        for step in reversed(steps[: place + 1]):
            own = by_horizon[step]
            taken = min(len(own), wanted - count)
            total += sum(own) * taken / len(own)
            count += taken
            if count == wanted:
                found.append((horizon, total / wanted))
                break
    return found
