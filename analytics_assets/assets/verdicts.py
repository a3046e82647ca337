"""Answers of experiments: results, their course in time, what can be trusted, verdicts and reports.

Belongs here: from the moments of all experiments to the records that statistics read, and back to tables. Does not
belong here: any rule or formula (`statistics`), and who was measured how (`outcomes`).
"""

from __future__ import annotations

import datetime as dt
import functools
import operator
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analytics_assets.analysis.experiments import hashed_variant
from analytics_assets.assets.catalog import Setting, TableAsset, family
from analytics_assets.assets.records import made
from analytics_assets.assets.reports import report
from analytics_assets.contracts import verdicts as promised
from analytics_assets.project.experiments import Guardrail, Measured, Plan
from analytics_assets.project.model import Project
from analytics_assets.statistics.effects import Contrast, p_value
from analytics_assets.statistics.moments import Moments
from analytics_assets.statistics.multiple import adjust
from analytics_assets.statistics.quantiles import quantile, quantiles
from analytics_assets.statistics.srm import WARNING, daily_sample_ratio, sample_ratio
from analytics_assets.statistics.verdicts import (
    TWO_VARIANTS,
    Decision,
    Measure,
    Result,
    Role,
    Rules,
    Trust,
    conclude,
    contrasted,
    decide,
    evaluate,
)

if TYPE_CHECKING:
    from ibis.expr.types import Table

Record = dict[str, Any]
Slot = tuple[str, int, int]
"""A metric, its window and its delay."""
Ranked = Mapping[tuple[str, Slot, str], Mapping[str, tuple[Contrast, Contrast]]]
"""The contrasts of quantiles, by experiment, metric and maturity, of each variant."""
_RATIOS = frozenset({"mean", "ratio", "proportion"})
_PLAIN, _OF_RATIO = ("value", "pre_value"), ("value", "weight", "pre_value", "pre_weight")
_BETTER = {"up": "higher", "down": "lower"}
_LEAST_UNITS = 100.0
_FADING = 0.01
_SEGMENT = 0.05


@dataclass(frozen=True)
class Asked:
    """Hold one metric of a plan, as the statistics know it and as the tables name it."""

    measured: Measured
    measure: Measure
    ranked: float | None = None

    @property
    def slot(self) -> Slot:
        """What names its rows."""
        return self.measured.metric, self.measured.window_days, self.measured.delay_days

    @property
    def columns(self) -> Record:
        """What names its rows, by column."""
        return {**dict(zip(("metric", "window_days", "delay_days"), self.slot, strict=True)), "role": self.measure.role}

    @property
    def days(self) -> int:
        """Days from exposure to maturity."""
        return self.measured.window_days + self.measured.delay_days


@family
def verdict_tables(project: Project) -> Iterator[TableAsset]:
    """Make the tables of answers of a project's experiments, and a report of each."""
    if not project.experiments:
        return
    metrics = project.questions.metrics
    named = {measured.metric for plan in project.experiments.values() for _, measured in plan.measured()}
    moments = ("experiment_moments",) if any(metrics[name].kind != "quantile" for name in named) else ()
    ranked = ("experiment_amounts",) if any(metrics[name].kind == "quantile" for name in named) else ()
    numbers, traffic = (*moments, *ranked), ("experiment_traffic",)
    yield TableAsset(promised.EXPERIMENT_RESULTS, experiment_results, numbers, ())
    yield TableAsset(promised.EXPERIMENT_TIMELINE, experiment_timeline, moments or ranked, ())
    salted = ("experiment_exposures",) if any(plan.salt for plan in project.experiments.values()) else ()
    yield TableAsset(promised.EXPERIMENT_TRUST, experiment_trust, (*moments, *traffic, *salted), ())
    yield TableAsset(promised.EXPERIMENT_VERDICTS, experiment_verdicts, (*numbers, *traffic), ())
    for name in project.experiments:
        yield TableAsset(
            promised.report(name),
            functools.partial(_report, name),
            ("experiment_verdicts", "experiment_results", "experiment_trust"),
            (),
        )


def asked(plan: Plan, project: Project) -> list[Asked]:
    """List the metrics of a plan."""
    found = []
    for role, measured in plan.measured():
        metric = project.questions.metrics[measured.metric]
        found.append(
            Asked(
                measured,
                _measure(role, measured, metric.kind in _RATIOS, _BETTER.get(metric.direction), plan),
                metric.quantile if metric.kind == "quantile" else None,
            )
        )
    return found


def _measure(role: Role, measured: Measured, ratio: bool, better: Any, plan: Plan) -> Measure:  # noqa: ANN401, FBT001
    margin = measured.margin if isinstance(measured, Guardrail) else None
    return Measure(
        measured.metric, role, better, ratio, plan.covariate_days > 0, margin, measured.minimum_effect
    )  # fmt: skip


# --- moments ----------------------------------------------------------------------------------------------------------


def _variables(ask: Asked) -> tuple[str, ...]:
    return _OF_RATIO if ask.measure.ratio else _PLAIN


def _moments(record: Record, ask: Asked) -> Moments:
    """Read the moments of one row of summed-up cells."""
    names = _variables(ask)
    order = ("value", "weight", "pre_value", "pre_weight", "known_before")
    pairs = [sorted((one, other), key=order.index) for one in names for other in names]
    products = [float(record[f"product_{one}_{other}"] or 0.0) for one, other in pairs]
    width = len(names)
    return Moments.from_sums(
        record["n"],
        [float(record[f"sum_{name}"] or 0.0) for name in names],
        [products[row * width : (row + 1) * width] for row in range(width)],
        [float(record[f"shift_{name}"] or 0.0) for name in names],
    )


def _summed(setting: Setting, cells: Table, by: Sequence[str]) -> list[Record]:
    """Add up cells of the moments table; the shifts of an outcome are the same in all of its cells."""
    numbers = [name for name in cells.columns if name.startswith(("sum_", "product_"))]
    shifts = [name for name in cells.columns if name.startswith("shift_")]
    added = cells.group_by(list(by)).aggregate(
        n=cells.n.sum(),
        **{name: cells[name].sum() for name in numbers},
        **{name: cells[name].max() for name in shifts},
    )
    return setting.collect(added.order_by(list(by)))


_OUTCOME = ("experiment", "metric", "window_days", "delay_days")


def _slot(record: Record) -> tuple[str, Slot]:
    return record["experiment"], (record["metric"], record["window_days"], record["delay_days"])


def _counts_by_day(setting: Setting, moments: Table) -> dict[tuple[str, Slot], dict[dt.date, int]]:
    """Count the users of each outcome by the day of their exposure, matured or not."""
    whole = moments.filter(moments.dimension == "")
    by = [*_OUTCOME, "exposed_on"]
    counted: dict[tuple[str, Slot], dict[dt.date, int]] = defaultdict(dict)
    for record in setting.collect(whole.group_by(by).aggregate(n=whole.n.sum()).order_by(by)):
        counted[_slot(record)][record["exposed_on"]] = record["n"]
    return counted


# --- the plan in time -------------------------------------------------------------------------------------------------


def is_over(plan: Plan, questions: Sequence[Asked], last: dt.date) -> bool:
    """Say whether the planned end and the longest window have passed."""
    return last >= plan.ends + dt.timedelta(days=max(ask.days for ask in questions))


def _planned_units(plan: Plan, counts: Mapping[dt.date, int], last: dt.date) -> float | None:
    """Tell how many users the plan will have, from its first week, so that it does not move; None until then."""
    week = min(7, plan.days)
    until = plan.starts + dt.timedelta(days=week)
    if last < until - dt.timedelta(days=1):
        return None
    first = sum(n for day, n in counts.items() if day < until)
    return max(_LEAST_UNITS, first * plan.days / week)


def _rules(plan: Plan, primary: Asked, counts: Mapping[dt.date, int], last: dt.date) -> Rules:
    looks = tuple((time, units) for _, time, units in _looked(plan, primary, counts, last))
    return Rules(plan.method, plan.alpha, plan.power, looks, _planned_units(plan, counts, last))


def _looked(
    plan: Plan, primary: Asked, counts: Mapping[dt.date, int], last: dt.date
) -> list[tuple[dt.date, float, float]]:
    """Give the looks of a group-sequential plan so far that saw more than those before: day, time, and users.

    They are equal steps of time, to the day on which the last window is over.
    """
    if plan.method != "group_sequential":
        return []
    length = plan.days - 1 + primary.days
    found: list[tuple[dt.date, float, float]] = []
    for look in range(1, plan.looks + 1):
        day = plan.starts + dt.timedelta(days=round(length * look / plan.looks))
        units = _matured(counts, day, primary)
        if day <= last and units > (found[-1][2] if found else 0):
            found.append((day, look / plan.looks, float(units)))
    return found


def _matured(counts: Mapping[dt.date, int], day: dt.date, ask: Asked) -> int:
    return sum(n for exposed, n in counts.items() if exposed + dt.timedelta(days=ask.days) <= day)


# --- tables -----------------------------------------------------------------------------------------------------------


def experiment_results(
    setting: Setting, experiment_moments: Table | None = None, experiment_amounts: Table | None = None
) -> Table:
    """Compare every variant with its control: each metric, in all and by segment, of matured users and of all."""
    records: list[Record] = []
    if experiment_moments is not None:
        records += _of_moments(setting, experiment_moments)
    if experiment_amounts is not None:
        records += _of_amounts(setting, experiment_amounts)
    return made(promised.EXPERIMENT_RESULTS, records)


def _of_moments(setting: Setting, moments: Table) -> list[Record]:
    by = (*_OUTCOME, "variant", "dimension", "segment")
    observed = _summed(setting, moments, by)
    matured = _summed(setting, moments.filter(moments.matured), by)
    counts = _counts_by_day(setting, moments)
    cells: dict[tuple[str, Slot, str, str, str], dict[str, Record]] = defaultdict(dict)
    for maturity, rows in (("matured", matured), ("observed", observed)):
        for row in rows:
            name, slot = _slot(row)
            cells[name, slot, maturity, row["dimension"], row["segment"]][row["variant"]] = row
    records: list[Record] = []
    for name, plan in setting.project.experiments.items():
        questions = asked(plan, setting.project)
        for ask in questions:
            rules = _rules(plan, questions[0], counts[name, questions[0].slot], setting.so_far.last)
            found = [
                {**ask.columns, "experiment": name, "maturity": maturity, "dimension": dimension, "segment": segment}
                | _told(result)
                for (whose, slot, maturity, dimension, segment), arms in sorted(cells.items())
                if whose == name and slot == ask.slot
                for result in _evaluated(ask, arms, plan, rules)
            ]
            records += _by_segments(found)
    return records


def _evaluated(ask: Asked, rows: Mapping[str, Record], plan: Plan, rules: Rules) -> list[Result]:
    """Compare the arms of one cell; an arm without users is an arm of none."""
    empty = Moments.of(*([] for _ in _variables(ask)))
    arms = {name: _moments(rows[name], ask) if name in rows else empty for name in plan.variants}
    return evaluate(ask.measure, arms, plan.control, rules)


def _told(result: Result) -> Record:
    """Write a result as a row."""
    fixed, plain, decides = result.fixed, result.plain, result.contrast
    left = decides.variance / plain.variance if decides.variance and plain.variance else None
    reason = fixed.reason or (None if fixed.p_value is not None else "there is no test")
    return {
        "variant": result.variant,
        "n_control": decides.n_control,
        "n": decides.n_treatment,
        "control": plain.control,
        "treatment": plain.treatment,
        "difference": fixed.estimate,
        "low": fixed.low,
        "high": fixed.high,
        "std_error": fixed.std_error,
        "p_value": fixed.p_value,
        "p_adjusted": result.p_adjusted if result.measure.role == "primary" else None,
        "anytime_low": result.anytime.low,
        "anytime_high": result.anytime.high,
        "plain_difference": plain.difference,
        "variance_left": left,
        "lift": result.lift.estimate,
        "lift_low": result.lift.low,
        "lift_high": result.lift.high,
        "chance_to_win": result.posterior.chance_to_win,
        "expected_loss": result.posterior.risk_treatment,
        "margin": result.measure.margin,
        "non_inferior": None if result.non_inferior is None else result.non_inferior.non_inferior,
        "reason": None if reason is None else str(reason),
    }


def _by_segments(found: list[Record]) -> list[Record]:
    """Adjust the p-values of the segments of one metric over each other, by variant and maturity."""
    families: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in found:
        if record["dimension"]:
            families[record["variant"], record["maturity"]].append(record)
    for members in families.values():
        adjusted = adjust([member["p_value"] for member in members], "benjamini-hochberg")
        for member, p in zip(members, adjusted, strict=True):
            member["p_adjusted"] = p
    return found


def _of_amounts(setting: Setting, amounts: Table) -> list[Record]:
    """Compare quantiles, which need the rows themselves, clustered by user."""
    told = _contrasted(setting, amounts)
    records: list[Record] = []
    for name, plan in setting.project.experiments.items():
        for ask in (one for one in asked(plan, setting.project) if one.ranked is not None):
            for maturity in ("matured", "observed"):
                rules = Rules("fixed", plan.alpha, plan.power)
                base = {**ask.columns, "experiment": name, "maturity": maturity, "dimension": "", "segment": ""}
                results = conclude(ask.measure, told[name, ask.slot, maturity], rules)
                records += [base | _told(result) for result in results]
    return records


def _contrasted(setting: Setting, amounts: Table) -> Ranked:
    """Contrast the quantiles of every arm with those of its control."""
    arrays: dict[tuple[str, Slot, str, bool], list[tuple[float, str]]] = defaultdict(list)
    names = [*_OUTCOME, "variant", "user_id", "amount", "matured"]
    for row in setting.collect(amounts.select(*names).order_by(names)):
        name, slot = _slot(row)
        arrays[name, slot, row["variant"], row["matured"]].append((row["amount"], row["user_id"]))
    found: dict[tuple[str, Slot, str], dict[str, tuple[Contrast, Contrast]]] = {}
    for name, plan in setting.project.experiments.items():
        for ask in (one for one in asked(plan, setting.project) if one.ranked is not None):
            for maturity, parts in (("matured", (True,)), ("observed", (True, False))):
                told = {
                    variant: _ranked(
                        [row for done in parts for row in arrays[name, ask.slot, variant, done]], ask.ranked or 0.5
                    )
                    for variant in plan.variants
                }
                both = {variant: quantiles(told[plan.control], told[variant]) for variant in plan.treatments}
                found[name, ask.slot, maturity] = {variant: (one, one) for variant, one in both.items()}
    return found


def _ranked(rows: Sequence[tuple[float, str]], q: float) -> Any:  # noqa: ANN401 - what `quantiles` takes
    return quantile([amount for amount, _ in rows], q, clusters=[user for _, user in rows])


def experiment_timeline(setting: Setting, **tables: Table) -> Table:
    """Show what was known of each metric on every day, with the interval that may be read on every day."""
    moments = tables.get("experiment_moments")
    if moments is None:
        return made(promised.EXPERIMENT_TIMELINE, [])
    cells = _daily(setting, moments)
    counts = _counts_by_day(setting, moments)
    records: list[Record] = []
    for name, plan in setting.project.experiments.items():
        for ask in asked(plan, setting.project):
            planned = _planned_units(plan, counts[name, ask.slot], setting.so_far.last)
            rules = Rules("fixed", plan.alpha, plan.power, (), planned)
            so_far: dict[str, Moments] = {}
            for day, arms in sorted(cells.get((name, ask.slot), {}).items()):
                for variant, row in arms.items():
                    added = _moments(row, ask)
                    so_far[variant] = so_far[variant] + added if variant in so_far else added
                known = day + dt.timedelta(days=ask.days)
                records += [
                    {**ask.columns, "experiment": name, "day": known, **_on_a_day(result)}
                    for result in _on_days(ask, so_far, plan, rules)
                ]
    return made(promised.EXPERIMENT_TIMELINE, records)


def _on_days(ask: Asked, so_far: Mapping[str, Moments], plan: Plan, rules: Rules) -> list[Result]:
    empty = Moments.of(*([] for _ in _variables(ask)))
    return evaluate(ask.measure, {name: so_far.get(name, empty) for name in plan.variants}, plan.control, rules)


def _on_a_day(result: Result) -> Record:
    fixed, anytime = result.fixed, result.anytime
    return {
        "variant": result.variant,
        "n": result.contrast.n,
        "difference": fixed.estimate,
        "low": fixed.low,
        "high": fixed.high,
        "anytime_low": anytime.low,
        "anytime_high": anytime.high,
        "p_value": fixed.p_value,
        "anytime_p": anytime.p_value if fixed.p_value is not None else None,
    }


# --- trust ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Traffic:
    """Hold the users of an experiment by day and variant."""

    assigned: tuple[tuple[int, ...], ...]
    exposed: tuple[tuple[int, ...], ...]
    several: int
    early: int
    all_assigned: int
    outside: int
    unassigned: int

    @property
    def two_variants(self) -> float:
        return self.several / self.all_assigned if self.all_assigned else 0.0


def _traffic(setting: Setting, traffic: Table) -> dict[str, _Traffic]:
    """Read the users of each experiment by day and variant of the plan; who came after its end is not in it."""
    rows = setting.collect(traffic.order_by(["experiment", "day", "variant"]))
    found = {}
    for name, plan in setting.project.experiments.items():
        own = [row for row in rows if row["experiment"] == name and (row["day"] is None or row["day"] <= plan.ends)]
        days = tuple(sorted({row["day"] for row in own if row["day"] is not None}))
        places = {variant: place for place, variant in enumerate(plan.variants)}
        tables: dict[str, dict[dt.date | None, list[int]]] = {}
        for count in ("assigned", "exposed"):
            tables[count] = {day: [0] * len(places) for day in (None, *days)}
            for row in own:
                if row["variant"] in places:
                    tables[count][row["day"]][places[row["variant"]]] += row[count]
        # a roster has no days: its users come before all others
        undated = any(any(table[None]) for table in tables.values())
        dated: tuple[dt.date | None, ...] = (*([None] if undated else []), *days)
        found[name] = _Traffic(
            tuple(tuple(tables["assigned"][day]) for day in dated),
            tuple(tuple(tables["exposed"][day]) for day in dated),
            several=sum(row["several"] for row in own),
            early=sum(row["early"] for row in own),
            all_assigned=sum(row["assigned"] for row in own),
            outside=sum(row["assigned"] for row in own if row["variant"] and row["variant"] not in places),
            unassigned=sum(row["unassigned"] for row in own),
        )
    return found


def _ratio(counts: Sequence[Sequence[int]], plan: Plan, *, over: bool) -> float | None:
    """Test the shares of the arms: by chi-square when the plan is over, until then by the test for every day."""
    shares = list(plan.variants.values())
    whole = [sum(column) for column in zip(*counts, strict=True)] if counts else [0] * len(shares)
    if over or not counts:
        return sample_ratio(whole, shares).p_value
    so_far: list[list[int]] = []
    for row in counts:
        so_far.append([*map(operator.add, so_far[-1], row)] if so_far else list(row))
    return daily_sample_ratio(so_far, shares)[-1]


def _trust(name: str, plan: Plan, traffic: _Traffic, setting: Setting, *, over: bool) -> Trust:
    registered = setting.project.registration(name)
    changed = "; ".join(registered.changes) or registered.reason if registered.state == "changed" else ""
    return Trust(
        _ratio(traffic.assigned, plan, over=over),
        _ratio(traffic.exposed, plan, over=over),
        traffic.two_variants,
        changed,
    )


def experiment_trust(setting: Setting, experiment_traffic: Table, **tables: Table) -> Table:
    """Ask of every experiment what can make its numbers worthless."""
    moments = tables.get("experiment_moments")
    before = _before(setting, moments) if moments is not None else {}
    windows = _windows(setting, moments) if moments is not None else {}
    records: list[Record] = []
    by_name = _traffic(setting, experiment_traffic)
    for name, plan in setting.project.experiments.items():
        traffic = by_name[name]
        questions = asked(plan, setting.project)
        over = is_over(plan, questions, setting.so_far.last)
        trust = _trust(name, plan, traffic, setting, over=over)
        told = [
            _sample_ratio_row("assigned", trust.assigned_p, traffic.assigned, plan),
            _sample_ratio_row("exposed", trust.exposed_p, traffic.exposed, plan),
            {
                "question": "users in two variants",
                "state": "invalid" if trust.two_variants > TWO_VARIANTS else "fine",
                "value": trust.two_variants,
                "limit": TWO_VARIANTS,
                "detail": f"{traffic.several:,} of {traffic.all_assigned:,} assigned users saw several variants",
            },
            {
                "question": "exposed before the assignment",
                "state": "warning" if traffic.early > WARNING * max(traffic.all_assigned, 1) else "fine",
                "value": float(traffic.early),
                "limit": WARNING * traffic.all_assigned,
                "detail": f"{traffic.early:,} of {traffic.all_assigned:,} users had met the event before",
            },
            _outside_row(traffic),
            _plan_row(name, plan, setting),
            *_hash_row(name, plan, setting, tables),
            *_window_rows(windows, name, questions),
            *_metric_rows(before.get(name, {}), questions),
        ]
        records += [{"experiment": name, **row} for row in told]
    return made(promised.EXPERIMENT_TRUST, records)


def _sample_ratio_row(whom: str, p: float | None, counts: Sequence[Sequence[int]], plan: Plan) -> Record:
    totals = [sum(column) for column in zip(*counts, strict=True)] if counts else [0] * len(plan.variants)
    shown = ", ".join(f"{name} {n:,}" for name, n in zip(plan.variants, totals, strict=True))
    planned = ", ".join(f"{share:.4g}" for share in plan.variants.values())
    state = "fine" if p is None or p >= WARNING else "invalid" if Trust(exposed_p=p).broken else "warning"
    return {
        "question": f"sample ratio of {whom} users",
        "state": state,
        "value": p,
        "limit": WARNING,
        "detail": f"{shown}; planned {planned}",
    }


def _outside_row(traffic: _Traffic) -> Record:
    """Tell who is in no arm of the plan: a variant that it does not have, or exposed without an assignment."""
    found, among = traffic.outside + traffic.unassigned, traffic.all_assigned + traffic.unassigned
    return {
        "question": "users outside of the plan",
        "state": "warning" if found > WARNING * among else "fine",
        "value": float(found),
        "limit": WARNING * among,
        "detail": f"{traffic.outside:,} assigned to variants that it does not have, "
        f"{traffic.unassigned:,} exposed without an assignment",
    }


def _plan_row(name: str, plan: Plan, setting: Setting) -> Record:
    registered = setting.project.registration(name)
    state = {"changed": "invalid", "retrospective": "warning"}.get(registered.state, "fine")
    if registered.state == "amended" and registered.versions[-1].locked_on > plan.ends:
        state = "warning"  # whoever amends a plan after its end may know the results
    return {"question": "registered plan", "state": state, "detail": f"{registered.state}: {registered.reason}"}


def _hash_row(name: str, plan: Plan, setting: Setting, tables: Mapping[str, Table]) -> Iterator[Record]:
    """Hold assignments to the documented hash, where the plan says by which salt it assigns."""
    if plan.salt is None:
        return
    users = tables["experiment_exposures"]
    told = users.filter(users.experiment == name, users.first_variant.notnull())
    other = told.first_variant != hashed_variant(told.user_id, plan.salt, plan.variants)
    (found,) = setting.collect(told.aggregate(n=told.count(), other=other.sum()))
    other_users = found["other"] or 0
    yield {
        "question": "assigned by the hash",
        "state": "warning" if other_users else "fine",
        "value": float(other_users),
        "limit": 0.0,
        "detail": f"{other_users:,} of {found['n']:,} users have another variant than the salt {plan.salt} gives",
    }


def _before(setting: Setting, moments: Table) -> dict[str, dict[Slot, dict[str, Record]]]:
    """Read the moments of all users seen so far, by experiment, metric and variant."""
    whole = moments.filter(moments.dimension == "")
    found: dict[str, dict[Slot, dict[str, Record]]] = defaultdict(lambda: defaultdict(dict))
    for row in _summed(setting, whole, (*_OUTCOME, "variant")):
        name, slot = _slot(row)
        found[name][slot][row["variant"]] = row
    return found


def _windows(setting: Setting, moments: Table) -> dict[tuple[str, Slot], tuple[int, int]]:
    """Count the users of each metric, and those whose window is not over."""
    whole = moments.filter(moments.dimension == "")
    by = list(_OUTCOME)
    counted = whole.group_by(by).aggregate(n=whole.n.sum(), still=whole.n.sum(where=~whole.matured).fill_null(0))
    return {_slot(row): (row["n"], row["still"]) for row in setting.collect(counted.order_by(by))}


def _window_rows(
    windows: Mapping[tuple[str, Slot], tuple[int, int]], name: str, questions: Sequence[Asked]
) -> Iterator[Record]:
    """Tell how many users do not decide yet: it is no mistake, and says how much is still to come."""
    for ask in questions:
        if (name, ask.slot) in windows:
            n, still = windows[name, ask.slot]
            yield {
                "question": f"windows not over of {ask.measured.called}",
                "state": "fine",
                "value": float(still),
                "detail": f"{still:,} of {n:,} exposed users do not decide yet",
            }


def _metric_rows(cells: Mapping[Slot, Mapping[str, Record]], questions: Sequence[Asked]) -> Iterator[Record]:
    """Ask whether arms were alike before, and whether there is anything to compare."""
    for ask in questions:
        rows = cells.get(ask.slot, {})
        label = f"{ask.measured.called}"
        if ask.ranked is not None or len(rows) < 2:
            continue
        moments = {variant: _moments(row, ask) for variant, row in rows.items()}
        if all(not of.variance() for of in moments.values()):
            yield {
                "question": f"variance of {label}",
                "state": "warning",
                "value": 0.0,
                "detail": "all users are alike",
            }
        if not ask.measure.covariate:
            continue
        p = _balance(moments, ask)
        yield {
            "question": f"balance before of {label}",
            "state": "warning" if p is not None and p < WARNING / max(len(questions), 1) else "fine",
            "value": p,
            "limit": WARNING / max(len(questions), 1),
            "detail": "least p-value of a difference between arms in the days before exposure",
        }


def _balance(moments: Mapping[str, Moments], ask: Asked) -> float | None:
    """Give the least p-value of a difference before the exposure, adjusted over arms."""
    places = (2, 3) if ask.measure.ratio else (1,)
    alone = Measure(ask.measured.metric, ratio=ask.measure.ratio)
    names = list(moments)
    first = moments[names[0]].select(*places)
    contrasts = {name: contrasted(alone, first, moments[name].select(*places)) for name in names[1:]}
    found = [result.p_adjusted for result in conclude(alone, contrasts, Rules())]
    return min((p for p in found if p is not None), default=None)


# --- verdicts ---------------------------------------------------------------------------------------------------------


def experiment_verdicts(setting: Setting, experiment_traffic: Table, **tables: Table) -> Table:
    """Decide on every variant by the written rules; an experiment whose windows are over stays as it was decided."""
    moments, amounts = tables.get("experiment_moments"), tables.get("experiment_amounts")
    traffic = _traffic(setting, experiment_traffic)
    counts = _counts_by_day(setting, moments) if moments is not None else defaultdict(dict)
    by_day = _daily(setting, moments) if moments is not None else {}
    results = _of_moments(setting, moments) if moments is not None else []
    results += _of_amounts(setting, amounts) if amounts is not None else []
    ranked = _contrasted(setting, amounts) if amounts is not None else {}
    records: list[Record] = []
    for name, plan in setting.project.experiments.items():
        questions = asked(plan, setting.project)
        last = setting.so_far.last
        over = is_over(plan, questions, last)
        trust = _trust(name, plan, traffic[name], setting, over=over)
        rules = _rules(plan, questions[0], counts[name, questions[0].slot], last)
        looked = [day for day, *_ in _looked(plan, questions[0], counts[name, questions[0].slot], last)]
        found = _by_arm(name, plan, questions, by_day, ranked, rules, last, looked)
        own = [row for row in results if row["experiment"] == name and row["maturity"] == "matured"]
        for variant in plan.treatments:
            decision = decide(variant, found[variant], trust, over=over, rules=rules)
            primary = next(result for result in found[variant] if result.measure.role == "primary")
            fading = _fading(name, variant, plan, questions[0], by_day) if questions[0].ranked is None else ()
            notes = [*fading, *_segments(variant, own, questions[0])]
            records.append(
                _verdict(name, plan, questions, decision, primary, setting)
                | {"over": over, "notes": "; ".join(notes), "as_of": min(last, _end(plan, questions))}
            )
    return made(promised.EXPERIMENT_VERDICTS, records)


def _end(plan: Plan, questions: Sequence[Asked]) -> dt.date:
    return plan.ends + dt.timedelta(days=max(ask.days for ask in questions))


Daily = Mapping[tuple[str, Slot], Mapping[dt.date, Mapping[str, Record]]]


def _daily(setting: Setting, moments: Table) -> Daily:
    """Read the moments of matured users by experiment, metric, day of exposure and variant."""
    whole = moments.filter(moments.dimension == "", moments.matured)
    cells: dict[tuple[str, Slot], dict[dt.date, dict[str, Record]]] = defaultdict(lambda: defaultdict(dict))
    for row in _summed(setting, whole, (*_OUTCOME, "exposed_on", "variant")):
        cells[_slot(row)][row["exposed_on"]][row["variant"]] = row
    return cells


def _merged(days: Mapping[dt.date, Mapping[str, Record]], ask: Asked, plan: Plan, until: dt.date) -> dict[str, Moments]:
    """Add up the moments of users whose window was over on a day."""
    empty = Moments.of(*([] for _ in _variables(ask)))
    parts: dict[str, list[Moments]] = {variant: [] for variant in plan.variants}
    for day, arms in sorted(days.items()):
        if day + dt.timedelta(days=ask.days) <= until:
            for variant, row in arms.items():
                parts[variant].append(_moments(row, ask))
    return {variant: functools.reduce(operator.add, members, empty) for variant, members in parts.items()}


def _by_arm(  # noqa: PLR0913, PLR0917 - what is known of one experiment
    name: str,
    plan: Plan,
    questions: Sequence[Asked],
    by_day: Daily,
    ranked: Ranked,
    rules: Rules,
    last: dt.date,
    looked: Sequence[dt.date],
) -> dict[str, list[Result]]:
    """Evaluate every metric; a group-sequential primary as it stood at the look that crossed, else at the last one."""
    found: dict[str, list[Result]] = {variant: [] for variant in plan.treatments}
    for ask in questions:
        days = by_day.get((name, ask.slot), {})
        if ask.ranked is not None:
            results = conclude(ask.measure, ranked[name, ask.slot, "matured"], rules)
        else:
            results = evaluate(ask.measure, _merged(days, ask, plan, last), plan.control, rules)
        if ask is questions[0] and ask.ranked is None and plan.method == "group_sequential":
            results = _at_looks(ask, days, plan, rules, looked) or results
        for result in results:
            found[result.variant].append(result)
    return found


def _at_looks(
    ask: Asked, days: Mapping[dt.date, Mapping[str, Record]], plan: Plan, rules: Rules, looked: Sequence[dt.date]
) -> list[Result]:
    """Go through the looks so far; each arm stops at the first that it crosses."""
    stopped: dict[str, Result] = {}
    results: list[Result] = []
    for place, until in enumerate(looked):
        at = Rules(rules.method, rules.alpha, rules.power, rules.looks[: place + 1], rules.horizon)
        results = evaluate(ask.measure, _merged(days, ask, plan, until), plan.control, at)
        for result in results:
            told = result.decisive
            if told.low is not None and told.high is not None and (told.low > 0 or told.high < 0):
                stopped.setdefault(result.variant, result)
    return [stopped.get(result.variant, result) for result in results]


def _fading(name: str, variant: str, plan: Plan, primary: Asked, by_day: Daily) -> Iterator[str]:
    """Note an effect that differs between the first and the second half of the exposures."""
    days = by_day.get((name, primary.slot), {})
    middle = plan.starts + dt.timedelta(days=plan.days // 2)
    halves = []
    for early in (True, False):
        part = {day: arms for day, arms in days.items() if (day < middle) == early}
        arms = _merged(part, primary, plan, dt.date.max)
        plain = Rules("fixed", plan.alpha, plan.power)
        halves.append(
            next(r for r in evaluate(primary.measure, arms, plan.control, plain) if r.variant == variant).fixed
        )
    first, second = halves
    if first.estimate is None or second.estimate is None or not first.std_error or not second.std_error:
        return
    z = (first.estimate - second.estimate) / (first.std_error**2 + second.std_error**2) ** 0.5
    p = p_value(z, None, "two-sided")
    if p < _FADING:
        verb = "fades" if abs(second.estimate) < abs(first.estimate) else "grows"
        verb = "turns" if first.estimate * second.estimate < 0 else verb
        yield (
            f"the effect {verb}: {first.estimate:+.4g} for users exposed in the first half of the days, "
            f"{second.estimate:+.4g} in the second (p {p:.2g})"
        )


def _segments(variant: str, results: Sequence[Record], primary: Asked) -> Iterator[str]:
    """Note segments whose effect on the primary differs from that of all users (Hausman 1978), adjusted over them."""
    own = [
        row
        for row in results
        if (row["metric"], row["window_days"], row["delay_days"]) == primary.slot and row["variant"] == variant
    ]
    whole = next((row for row in own if not row["dimension"]), None)
    if whole is None or whole["difference"] is None or not whole["std_error"]:
        return
    told: list[tuple[Record, float]] = []
    for row in own:
        if row["dimension"] and row["difference"] is not None and row["std_error"]:
            apart = row["std_error"] ** 2 - whole["std_error"] ** 2
            if apart > 0:
                z = (row["difference"] - whole["difference"]) / apart**0.5
                told.append((row, p_value(z, None, "two-sided")))
    for (row, _), p in zip(told, adjust([p for _, p in told], "benjamini-hochberg"), strict=True):
        if p is not None and p < _SEGMENT:
            where = f"{row['dimension']} {row['segment']}"
            yield f"{where} differs from all: {row['difference']:+.4g} against {whole['difference']:+.4g} (p {p:.2g})"


def _verdict(
    name: str, plan: Plan, questions: Sequence[Asked], decision: Decision, primary: Result, setting: Setting
) -> Record:
    told = primary.decisive
    return {
        "experiment": name,
        "variant": decision.variant,
        "verdict": decision.verdict,
        "because": decision.because,
        "plan": setting.project.registration(name).state,
        "hypothesis": plan.hypothesis,
        "owner": plan.owner or None,
        "starts": plan.starts,
        "ends": plan.ends,
        "method": plan.method,
        "metric": questions[0].measured.called,
        "n_control": primary.contrast.n_control,
        "n": primary.contrast.n_treatment,
        "difference": told.estimate,
        "low": told.low,
        "high": told.high,
        "p_value": primary.p_adjusted,
        "detectable": decision.detectable,
    }


def _report(
    name: str, setting: Setting, experiment_verdicts: Table, experiment_results: Table, experiment_trust: Table
) -> Table:
    """Write the report and decision record of one experiment."""
    rows = {
        "verdicts": experiment_verdicts,
        "results": experiment_results,
        "trust": experiment_trust,
    }
    told = {
        kind: setting.collect(table.filter(table.experiment == name).order_by(_order(kind)))
        for kind, table in rows.items()
    }
    plan = setting.project.experiments[name]
    verdict = told_verdict(told["verdicts"])
    text = report(name, plan, setting.project.registration(name), **told)
    return made(promised.report(name), [{"verdict": verdict or "too early", "report": text}])


def told_verdict(verdicts: Sequence[Record]) -> str:
    """Tell the verdict of an experiment, of several variants each."""
    return "; ".join(
        row["verdict"] if len(verdicts) == 1 else f"{row['variant']}: {row['verdict']}" for row in verdicts
    )


def _order(kind: str) -> list[str]:
    keys = {
        "verdicts": promised.EXPERIMENT_VERDICTS,
        "results": promised.EXPERIMENT_RESULTS,
        "trust": promised.EXPERIMENT_TRUST,
    }
    return list(keys[kind].key)
