"""The rules by which recommendations follow from numbers, and by which the report says that evidence is too thin.

Belongs here: each rule as a declared object, and what fires. Does not belong here: any number (`findings`), any other
sentence (`writing`).

A rule goes over one kind of finding. All its conditions must hold of a finding's own numbers; a number that is not
there lets no condition hold. So no rule fires on what is not known, and none speaks of more than it names.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from analytics_assets.report.findings import Findings
from analytics_assets.report.words import Template

_CONDITION = re.compile(
    r"(?P<name>\w+) (?P<is>=|!=|>=|<=|>|<) (?:'(?P<text>[^']*)'|(?P<number>-?[\d.]+)|(?P<other>\w+))"
)
_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}


_MONTHS = 12


@dataclass(frozen=True)
class Rule:
    """Declare when a sentence is said, and what it rests on.

    Attributes:
        name: What it is called.
        over: The findings that it goes over: an attribute of `Findings`.
        when: Conditions on a finding's numbers, all of which must hold: `name > 0`, `name = 'text'`, `name < other`.
        says: The sentence, with the finding's numbers in it: what to do or what cannot be told, a colon, and why.
        enough: What evidence is enough, for people.
        table: The table that it rests on.
        figures: Charts that show it, by name or pattern, the best first.
        does: Whether it recommends something, or says that the evidence is too thin.
        worth: The numbers that say what it is worth, with its interval; nothing where that is not told.
        of: What that is of, as a template.
        per: How often that is.
        first: Whether it comes before all else, because all else rests on it.
    """

    name: str
    over: str
    when: tuple[str, ...]
    says: str
    enough: str
    table: str
    figures: tuple[str, ...] = ()
    does: Literal["recommend", "doubt"] = "recommend"
    worth: tuple[str, ...] = ()
    of: str = ""
    per: Literal["a month", "each time"] = "a month"
    first: bool = False


@dataclass(frozen=True)
class Fired:
    """Say that a rule fired.

    Attributes:
        rule: The rule.
        head: What to do, or what cannot be told.
        why: Why.
        table: The table that it rests on.
        figures: Charts that show it, by name or pattern.
        of: What it is worth is of.
        worth: What it is worth; None: it is not told.
        low: Lower end of that.
        high: Upper end.
    """

    rule: Rule
    head: str
    why: str
    table: str
    figures: tuple[str, ...]
    of: str = ""
    worth: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def a_year(self) -> float | None:
        """What it is worth a year, by which it is ordered: what is told of each time counts once."""
        if self.worth is None:
            return None
        return self.worth * (_MONTHS if self.rule.per == "a month" else 1)


def numbers(finding: object) -> dict[str, Any]:
    """Name the numbers of a finding: its fields, and what follows from them."""
    properties = [name for name, member in vars(type(finding)).items() if isinstance(member, property)]
    named = [field.name for field in fields(finding)] if hasattr(finding, "__dataclass_fields__") else []  # type: ignore[arg-type]
    return {name: getattr(finding, name) for name in (*named, *properties)}


def holds(condition: str, of: Mapping[str, Any]) -> bool:
    """Say whether a condition holds of named numbers.

    >>> holds("low > 0", {"low": 0.1}), holds("low > 0", {"low": None}), holds("verdict = 'ship'", {"verdict": "ship"})
    (True, False, True)
    >>> holds("silent > usual", {"silent": 3, "usual": 1})
    True
    """
    found = _CONDITION.fullmatch(condition)
    if found is None:
        raise ValueError(
            f"{condition!r} is no condition: write a number's name, a comparison, and a number, text or name"
        )
    value = of[found["name"]]
    if found["text"] is not None:
        than: Any = found["text"]
    else:
        than = of[found["other"]] if found["other"] else float(found["number"])
    if value is None or than is None:
        return False
    return bool(_OPERATORS[found["is"]](value, than))


def fired(findings: Findings, rules: Iterable[Rule] | None = None) -> tuple[Fired, ...]:
    """Apply rules to findings.

    Returns:
        What fires: what comes first, then what is worth most a year, then as the rules are written.
    """
    template = Template(findings.currency)
    found = [
        _fire(rule, numbers(finding), template)
        for rule in (RULES if rules is None else rules)
        for finding in getattr(findings, rule.over)
        if all(holds(condition, numbers(finding)) for condition in rule.when)
    ]
    return tuple(sorted(found, key=lambda one: (not one.rule.first, one.a_year is None, -(one.a_year or 0.0))))


def _fire(rule: Rule, of: Mapping[str, Any], template: Template) -> Fired:
    worth = [of[name] for name in rule.worth]
    middle, low, high = worth if len(worth) == 3 else (*worth, None, None) if worth else (None, None, None)
    head, _, why = rule.says.partition(": ")
    plain = {name: "" if value is None else str(value) for name, value in of.items()}
    return Fired(
        rule=rule,
        head=template.fill(head, of).strip(),
        why=template.fill(why, of).strip(),
        table=rule.table.format(**plain),
        figures=tuple(figure.format(**plain) for figure in rule.figures),
        of=template.fill(rule.of, of),
        worth=middle,
        low=low,
        high=high,
    )


_WORTH = ("value", "value_low", "value_high")
_EFFECT = ("experiment_{experiment}_effects", "experiments_overview")
_ROI = ("campaign_roi",)

RULES: tuple[Rule, ...] = (
    Rule(
        name="mend_broken_data",
        over="doubts",
        when=("severity = 'error'",),
        says="Mend {table:name} before its numbers are used: {reason:text}.",
        enough="A check that must hold does not, or two tables disagree about a sum; nobody has accepted it.",
        table="{table}",
        figures=("quality_series",),
        first=True,
    ),
    Rule(
        name="ask_a_silent_source",
        over="deliveries",
        when=("silent_days > usual_gap",),
        says=(
            "Ask why nothing was delivered for {table:name} since {last:day}: {silent_days:count} days, where the "
            "longest gap of the eight weeks before was {usual_gap:count}."
        ),
        enough="It is silent for longer than ever in the eight weeks before.",
        table="staged_{table}",
        figures=("quality_series",),
        first=True,
    ),
    Rule(
        name="look_at_rejected_rows",
        over="deliveries",
        when=("rejected_share > 0.05", "rejected >= 20"),
        says=(
            "Look at the rejected rows of {table:name}: {rejected:count} of {rows:count} of the period "
            "({rejected_share:share}), most of them {main_reason:name}."
        ),
        enough="More than 5 % of the rows of the period, and 20 of them at least, were rejected: counted, no sample.",
        table="staged_{table}",
        figures=("quality_shares",),
    ),
    Rule(
        name="ship",
        over="experiments",
        when=("verdict = 'ship'", "value_low > 0"),
        says=(
            "Give {variant:name} of {experiment:name} to everybody: {because:text}. At the traffic of the experiment "
            "that "
            "is worth {value:money} of {value_of:text} a month ({value_low:number} to {value_high:money}). "
            "{caution:text}"
        ),
        enough="The verdict of the registered plan is ship, and the interval of its worth lies above zero.",
        table="experiment_impact",
        figures=_EFFECT,
        worth=_WORTH,
        of="{value_of:text}",
    ),
    Rule(
        name="ship_of_unknown_worth",
        over="experiments",
        when=("verdict = 'ship'", "told = 0"),
        says=(
            "Give {variant:name} of {experiment:name} to everybody: {because:text}. What that is worth is not told: "
            "{why_no_worth:text}. {caution:text}"
        ),
        enough="The verdict of the registered plan is ship.",
        table="experiment_verdicts",
        figures=_EFFECT,
    ),
    Rule(
        name="ship_of_doubtful_worth",
        over="experiments",
        when=("verdict = 'ship'", "value_low <= 0"),
        says=(
            "Give {variant:name} of {experiment:name} to everybody if it costs nothing to keep: {because:text}. What "
            "it is "
            "worth may be nothing: {value_low:number} to {value_high:money} of {value_of:text} a month. "
            "{caution:text}"
        ),
        enough="The verdict of the registered plan is ship; the interval of its worth holds zero.",
        table="experiment_impact",
        figures=_EFFECT,
    ),
    Rule(
        name="roll_back",
        over="experiments",
        when=("verdict = 'rollback'",),
        says="Take {variant:name} of {experiment:name} back: {because:text}.",
        enough="The verdict of the registered plan is rollback: the primary or a guardrail is worse.",
        table="experiment_verdicts",
        figures=_EFFECT,
    ),
    Rule(
        name="repeat_invalid_experiment",
        over="experiments",
        when=("verdict = 'invalid'",),
        says="Decide nothing on {experiment:name}: {because:text}. Find the cause, then run it again.",
        enough="A check of the experiment's trust is invalid: its numbers mean nothing, whatever they are.",
        table="experiment_trust",
        figures=("experiments_traffic", *_EFFECT),
    ),
    Rule(
        name="mend_a_step",
        over="frictions",
        when=("p_adjusted < 0.05", "gap_high < 0", "came >= 100"),
        says=(
            "Look for what stops {value:name} ({dimension:name}) between {previous:name} and {name:name}: "
            "{rate:share} go "
            "on, of the others {rate_of_others:share} ({gap:points}, {gap_low:bare} to {gap_high:points}). At the "
            "others' rate {lost_a_month:count} more {units:text} a month would end the funnel {funnel:name}; they may "
            "differ in more than that, so test the change as an experiment."
        ),
        enough="The gap is significant after Holm's adjustment over all steps and values, of 100 entries at least.",
        table="funnel_{funnel}_friction",
        figures=("funnel_{funnel}_by_{by}", "funnel_{funnel}_steps"),
        worth=("worth", "worth_low", "worth_high"),
        of="{worth_of:text}",
    ),
    Rule(
        name="run_a_campaign_again",
        over="campaigns",
        when=("state = 'identified'", "gain_low > 0"),
        says=(
            "Run {called:name} again: of what would not have come without it, {gain:money} of {gain_of:text} is left "
            "after its spend ({gain_low:number} to {gain_high:money})."
        ),
        enough="Its increment is identified by regions without it, and the whole interval is above its spend.",
        table="campaign_roi_analysis",
        figures=_ROI,
        worth=("gain", "gain_low", "gain_high"),
        of="{gain_of:text}",
        per="each time",
    ),
    Rule(
        name="stop_a_campaign",
        over="campaigns",
        when=("state = 'identified'", "gain_high < 0"),
        says=(
            "Do not run {called:name} again as it was: the {gain_of:text} that would not have come without it is below "
            "its spend of {spend:money}, by {lost:money} ({gain_low:number} to {gain_high:money} is left)."
        ),
        enough="Its increment is identified by regions without it, and the whole interval is below its spend.",
        table="campaign_roi_analysis",
        figures=_ROI,
        worth=("lost",),
        of="{gain_of:text}",
        per="each time",
    ),
    Rule(
        name="whether_a_campaign_pays",
        over="campaigns",
        when=("state = 'identified'", "gain_low <= 0", "gain_high >= 0"),
        says=(
            "Whether {called:name} pays cannot be told: after its spend of {spend:money}, between "
            "{gain_low:number} and {gain_high:money} of {gain_of:text} is left."
        ),
        enough="The interval of what is left after the spend holds zero.",
        table="campaign_incrementality",
        figures=_ROI,
        does="doubt",
    ),
    Rule(
        name="what_a_campaign_brought",
        over="campaigns",
        when=("state = 'not identified'", "spend > 0"),
        says=(
            "What {called:name} brought that would not have come anyway is not identified, of {spend:money} spent: "
            "{reason:text}. Declare a region without the next one like it."
        ),
        enough="There is no control, or too few days before it; revenue on its days is no evidence.",
        table="campaign_incrementality",
        figures=_ROI,
        does="doubt",
    ),
    Rule(
        name="win_customers_back",
        over="churns",
        when=("state = 'fitted'", "auc_low > 0.5", "calibration = 'calibrated'", "expected_loss > 0"),
        says=(
            "Turn to the {at_risk:count} customers of `customer_churn_risk` first: they are expected to take along "
            "{loss_a_month:money} of revenue a month by not ordering for {churn_days:count} days. That is the most "
            "that "
            "winning them back can bring, not what a mailing would; withhold some to see."
        ),
        enough="On customers that it had not seen, the model tells better than chance, and its chances are calibrated.",
        table="customer_churn_risk",
        figures=("clv_calibration",),
    ),
    Rule(
        name="whether_churn_is_calibrated",
        over="churns",
        when=("state = 'fitted'", "calibration != 'calibrated'"),
        says=(
            "How much the customers at risk take along cannot be told: the model's chances are {calibration:text}. "
            "Their "
            "order can still be used, if it tells better than chance."
        ),
        enough="On customers that it had not seen, what came is more than 5 points off what was expected.",
        table="customer_churn_performance",
        does="doubt",
    ),
    Rule(
        name="explain_a_fall",
        over="worsened",
        when=("direction = 'fell'",),
        says=(
            "Find out why {names:text} fell against the period before: {held:text} of each, the whole interval of the "
            "change lies below zero."
        ),
        enough="The 95 % interval of the change lies below zero, and more would be better.",
        table="{table}",
        figures=("revenue_forecast", "active_users"),
    ),
    Rule(
        name="explain_a_rise",
        over="worsened",
        when=("direction = 'rose'",),
        says=(
            "Find out why {names:text} rose against the period before: {held:text} of each, the whole interval of the "
            "change lies above zero."
        ),
        enough="The 95 % interval of the change lies above zero, and less would be better.",
        table="{table}",
        figures=("revenue_forecast", "active_users"),
    ),
    Rule(
        name="keep_the_best_customers",
        over="segments",
        when=("segment = 'Champions'", "moved_high < 0"),
        says=(
            "Find out why the share of {segment:name} fell: of all customers, it changed by {moved_low:bare} to "
            "{moved_high:points} within a month; so far they brought {revenue_share:share} of all revenue."
        ),
        enough="The interval of the change of their share between the last two whole months lies below zero.",
        table="rfm_history",
        figures=("rfm_migration", "rfm"),
    ),
    Rule(
        name="turn_to_those_at_risk",
        over="segments",
        when=("segment = 'At Risk'", "moved_low > 0"),
        says=(
            "Turn to the {customers:count} customers in {segment:name}: their share of all customers changed by "
            "{moved_low:bare} to {moved_high:points} within a month; so far they brought {revenue_share:share} of all "
            "revenue."
        ),
        enough="The interval of the change of their share between the last two whole months lies above zero.",
        table="rfm_customer_segments",
        figures=("rfm_migration", "rfm"),
    ),
    Rule(
        name="prepare_for_more",
        over="outlooks",
        when=("low > last",),
        says=(
            "Prepare for more: the next {days:count} days are expected to bring {forecast:money} of net revenue "
            "({low:number} to {high:money}), the last {days:count} brought {last:money}."
        ),
        enough="Even the sum of the lower ends of the days' 80 % intervals is above what as many last days brought.",
        table="forecast",
        figures=("revenue_forecast",),
    ),
    Rule(
        name="plan_for_less",
        over="outlooks",
        when=("high < last",),
        says=(
            "Plan for less: the next {days:count} days are expected to bring {forecast:money} of net revenue "
            "({low:number} to {high:money}), the last {days:count} brought {last:money}."
        ),
        enough="Even the sum of the upper ends of the days' 80 % intervals is below what as many last days brought.",
        table="forecast",
        figures=("revenue_forecast",),
    ),
    Rule(
        name="look_at_returns",
        over="returned",
        when=("p_adjusted < 0.05", "gap_low > 0", "units >= 50", "of_net >= 0.0005"),
        says=(
            "Look at why {product:name} comes back: {rate:share} of {units:count} pieces, of all others "
            "{rate_of_others:share} ({gap:points}, {gap_low:bare} to {gap_high:points})."
        ),
        enough=(
            "Of 50 pieces at least, more come back than of the others, after Holm's adjustment over products; what is "
            "paid back for that is 0.05 % of net revenue at least."
        ),
        table="product_performance",
        worth=("worth",),
        of="refunds",
    ),
    Rule(
        name="look_at_an_odd_day",
        over="odd_days",
        when=("days_ago < 7", "named = ''"),
        says=(
            "Look at {day:day}: {measure:text} of {observed:number} lie {wrong:text} what the eight weeks before allow "
            "({low:number} to {high:number})."
        ),
        enough="One ordinary day in a thousand is called out; named days are not.",
        table="anomalies",
        figures=("revenue_anomalies",),
    ),
    Rule(
        name="whether_a_variant_helps",
        over="experiments",
        when=("verdict = 'inconclusive'",),
        says="Whether {variant:name} of {experiment:name} helps cannot be told: {because:text}.",
        enough="Neither an effect nor its absence is shown: the interval holds zero and reaches beyond what matters.",
        table="experiment_verdicts",
        figures=_EFFECT,
        does="doubt",
    ),
    Rule(
        name="too_early_to_decide",
        over="experiments",
        when=("verdict = 'too early'",),
        says="It is too early to decide on {variant:name} of {experiment:name}: {because:text}.",
        enough="Its last window is not over, and no sequential bound is crossed.",
        table="experiment_verdicts",
        figures=("experiment_{experiment}_timeline", *_EFFECT),
        does="doubt",
    ),
)
"""Every rule, in the order in which what is worth the same is told."""
