"""RFM: how recently, how often and for how much each customer bought, in quintiles and named segments.

Belongs here: the measures, their scores, the rules of the segments, and how customers move between segments from month
to month. Does not belong here: which orders count (the caller hands them over), and what a customer will do (models).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import ibis

from analytics_assets.analysis.periods import Period, known_users, numbers, ratio, with_zeros
from analytics_assets.contracts.customers import NOBODY_YET

if TYPE_CHECKING:
    from ibis.expr.types import IntegerValue, StringValue, Table, Value

Measure: TypeAlias = Literal["recency", "frequency", "monetary"]

SCORES = 5
"""How many scores there are: quintiles."""
MONTHS = 24
"""The most month ends that a history has: it holds every customer at each of them."""
_MONTH = Period("month")
_MONEY = "decimal(38, 4)"


@dataclass(frozen=True)
class Rule:
    """Hold the lowest and the highest score of each measure, both counted in, that a segment takes.

    Attributes:
        r: Of recency: 5 bought most recently.
        f: Of frequency: 5 bought most often.
        m: Of net revenue: 5 brought the most.
    """

    r: tuple[int, int] = (1, SCORES)
    f: tuple[int, int] = (1, SCORES)
    m: tuple[int, int] = (1, SCORES)

    def takes(self, r: int, f: int, m: int) -> bool:
        """Say whether these scores are within the rule.

        >>> Rule(r=(4, 5)).takes(4, 1, 1), Rule(r=(4, 5)).takes(3, 1, 1)
        (True, False)
        """
        bounds = zip((r, f, m), (self.r, self.f, self.m), strict=True)
        return all(low <= score <= high for score, (low, high) in bounds)

    def __str__(self) -> str:
        """Write the rule as people read it.

        >>> print(Rule(r=(4, 5), f=(1, 1)))
        r 4-5, f 1
        """
        shown = ((name, *bounds) for name, bounds in (("r", self.r), ("f", self.f), ("m", self.m)))
        told = [f"{name} {low}" if low == high else f"{name} {low}-{high}" for name, low, high in shown
                if (low, high) != (1, SCORES)]  # fmt: skip
        return ", ".join(told)


@dataclass(frozen=True)
class Segment:
    """Name customers by their scores.

    Attributes:
        name: What people call them.
        meaning: Who they are, in one line.
        rules: A customer is of the segment when one of the rules takes the scores.
    """

    name: str
    meaning: str
    rules: tuple[Rule, ...]

    def __str__(self) -> str:
        """Write the rules as people read them."""
        return " or ".join(map(str, self.rules))


SEGMENTS = (
    Segment("Champions", "recent, frequent and valuable", (Rule((4, 5), (4, 5), (4, 5)),)),
    Segment(
        "Loyal",
        "frequent, and recent for little money, or of middling recency",
        (Rule((4, 5), (4, 5), (1, 3)), Rule((3, 3), (4, 5))),
    ),
    Segment("Potential Loyalist", "recent, with some orders already", (Rule((4, 5), (2, 3)),)),
    Segment("New", "recent, with as few orders as anybody", (Rule((4, 5), (1, 1)),)),
    Segment(
        "Needs Attention",
        "of middling recency and not frequent, or once frequent for little money",
        (Rule((3, 3), (1, 3)), Rule((1, 2), (3, 5), (1, 2))),
    ),
    Segment("At Risk", "was frequent and valuable, is not recent", (Rule((1, 2), (3, 5), (3, 5)),)),
    Segment("Lost", "not recent, and never frequent", (Rule((1, 2), (1, 2)),)),
)
"""The segments from best to worst; each of the 125 combinations of scores is in exactly one."""


def segment_of(r: int, f: int, m: int) -> str:
    """Name the segment of three scores.

    Raises:
        ValueError: Where a score is not one of 1 to 5.

    >>> segment_of(5, 5, 5), segment_of(5, 1, 3), segment_of(1, 5, 5)
    ('Champions', 'New', 'At Risk')
    """
    for segment in SEGMENTS:
        if any(rule.takes(r, f, m) for rule in segment.rules):
            return segment.name
    raise ValueError(f"scores are from 1 to {SCORES}: not {r}, {f}, {m}")


def rfm(orders: Table, as_of: dt.date) -> Table:
    """Measure, score and segment every customer, as of the end of a day.

    Recency is the days from the last order to `as_of`, frequency the number of orders (several of one day are several),
    monetary the exact sum of net. See `scored` for ties, and for customers whose net is zero or less.

    Args:
        orders: Columns user_id, day, net: a row an order. Rows of nobody, and those after `as_of`, are left out.
        as_of: The day from which recency is counted; who bought on it has 0.

    Returns:
        A row a customer: user_id, recency_days, frequency, monetary, first_order_on, last_order_on, r_score, f_score,
        m_score, rfm (the three scores as text), segment.

    >>> bought = {"user_id": ["ann", "ann", "bob"], "day": [dt.date(2024, 3, d) for d in (1, 9, 2)]}
    >>> orders = ibis.memtable({**bought, "net": [20, 30, 10]}).cast({"net": "decimal(18, 4)"})
    >>> told = rfm(orders, dt.date(2024, 3, 10)).order_by("user_id").execute()
    >>> told[["user_id", "recency_days", "frequency", "rfm", "segment"]].values.tolist()
    [['ann', 1, 2, '533', 'Potential Loyalist'], ['bob', 8, 1, '311', 'Needs Attention']]
    """
    until = ibis.literal(as_of)
    bought = known_users(orders).filter(ibis._.day <= until)
    measured = bought.group_by("user_id").aggregate(
        frequency=bought.count(),
        monetary=bought.net.cast(_MONEY).sum(),
        first_order_on=bought.day.min(),
        last_order_on=bought.day.max(),
    )
    return segmented(scored(measured.mutate(recency_days=until.delta(measured.last_order_on, unit="day"))))


def scored(customers: Table, by: Sequence[str] = ()) -> Table:
    """Score recency, frequency and monetary from 1 to 5 by the share of customers with a strictly smaller value.

    With k = floor(5 x that share), f and m are 1 + k, and r, where few days are good, is 5 - k. Net of less than zero
    counts as zero. So equal values have equal scores, the order of rows does not matter, and whatever the ties are: f
    or m of s says that at least s - 1 fifths of the customers have strictly less; the smallest value has 1, and so has
    every net of zero or less; who bought last of all has r = 5. Heavy ties leave scores empty: with 60 % of customers
    at one order, these have f = 1 and the next ones 4.

    Args:
        customers: Columns recency_days, frequency, monetary, and those of `by`: a row a customer.
        by: Customers are compared with those of the same values.

    Returns:
        The same rows with r_score, f_score, m_score.

    >>> told = {"recency_days": [9, 9, 9, 0, 3], "frequency": [1, 1, 1, 2, 7], "monetary": [-5, 0, 10, 20, 20]}
    >>> scored(ibis.memtable(told)).execute()[["r_score", "f_score", "m_score"]].values.tolist()
    [[3, 1, 1], [3, 1, 1], [3, 1, 3], [5, 4, 4], [4, 5, 4]]
    """
    group = list(by) or None
    everybody = ibis._.count().over(ibis.window(group_by=group))
    counted = customers.mutate(money_=ibis.greatest(customers.monetary, 0), customers_=everybody)

    def fifth(column: str) -> IntegerValue:
        smaller = ibis.rank().over(ibis.window(group_by=group, order_by=column))
        return (smaller * SCORES // counted.customers_).cast("int64")

    ranked = counted.mutate(
        r_score=SCORES - fifth("recency_days"), f_score=1 + fifth("frequency"), m_score=1 + fifth("money_")
    )
    return ranked.drop("money_", "customers_")


def segmented(customers: Table) -> Table:
    """Add `rfm`, the three scores as text, and `segment` to rows that have r_score, f_score and m_score."""
    scores = (customers.r_score, customers.f_score, customers.m_score)
    code = scores[0].cast("string") + scores[1].cast("string") + scores[2].cast("string")
    coded = customers.mutate(rfm=code)
    return coded.mutate(segment=_segment(coded))


def _segment(customers: Table) -> StringValue:
    """Name the segment of each row, by the rules."""
    branches = [
        (
            customers.r_score.between(*rule.r)
            & customers.f_score.between(*rule.f)
            & customers.m_score.between(*rule.m),
            ibis.literal(segment.name),
        )
        for segment in SEGMENTS
        for rule in segment.rules
    ]
    return ibis.cases(*branches, else_=ibis.null("string"))


def segment_names() -> Table:
    """List the segments: place (1 is the best), segment, rule.

    >>> segment_names().count().execute()
    7
    """
    return ibis.memtable(
        [{"place": n, "segment": told.name, "rule": str(told)} for n, told in enumerate(SEGMENTS, 1)],
        schema={"place": "int64", "segment": "string", "rule": "string"},
    )


def segment_sums(customers: Table) -> Table:
    """Sum up the customers of each segment: a row a segment, also where it has nobody.

    Args:
        customers: As `rfm` makes them.

    Returns:
        Columns place, segment, rule, customers, share, orders, revenue (exact), revenue_share (null where all net
        together is nothing), mean_recency_days, mean_frequency, mean_monetary, average_order (revenue / orders);
        nothing where there is no customer.
    """
    counted = customers.group_by("segment").aggregate(
        customers=customers.count(),
        orders=customers.frequency.sum().cast("int64"),
        revenue=customers.monetary.sum().cast(_MONEY),
        days=customers.recency_days.sum().cast("int64"),
    )
    full = with_zeros(counted, there(segment_names().select("segment"), customers), ())
    told = full.inner_join(segment_names(), "segment")
    return told.select(
        "place",
        "segment",
        "rule",
        "customers",
        "orders",
        "revenue",
        share=ratio(told.customers, told.customers.sum().over()),
        revenue_share=ratio(told.revenue, told.revenue.sum().over()),
        mean_recency_days=ratio(told.days, told.customers),
        mean_frequency=ratio(told.orders, told.customers),
        mean_monetary=ratio(told.revenue, told.customers),
        average_order=ratio(told.revenue, told.orders),
    )


def score_grid(customers: Table) -> Table:
    """Count customers and revenue by score of recency and of frequency: 25 rows, or none where there is no customer.

    Args:
        customers: As `rfm` makes them.

    Returns:
        Columns r_score, f_score, customers, share, revenue.
    """
    counted = customers.group_by(["r_score", "f_score"]).aggregate(
        customers=customers.count(), revenue=customers.monetary.sum().cast(_MONEY)
    )
    spine = numbers(1, SCORES).rename(r_score="number").cross_join(numbers(1, SCORES).rename(f_score="number"))
    grid = with_zeros(counted, there(spine, customers), ())
    return grid.mutate(share=ratio(grid.customers, grid.customers.sum().over()))


def thresholds(customers: Table) -> Table:
    """Say which values each score stands for: a row a measure and score, also where nobody has it.

    Args:
        customers: As `rfm` makes them.

    Returns:
        Columns measure (recency, frequency, monetary), score, lowest and highest (value; null where nobody has the
        score), customers; nothing where there is no customer.
    """
    parts: list[Table] = []
    measures: tuple[tuple[Measure, Value, Value], ...] = (
        ("recency", customers.r_score, customers.recency_days),
        ("frequency", customers.f_score, customers.frequency),
        ("monetary", customers.m_score, customers.monetary),
    )
    for name, score, value in measures:
        told = customers.select(score=score.cast("int64"), value=value.cast(_MONEY))
        spine = there(numbers(1, SCORES), customers).rename(score="number")
        empty = spine.select("score", value=ibis.null(_MONEY), n=ibis.literal(0, "int64"))
        both = told.mutate(n=ibis.literal(1, "int64")).union(empty)
        counted = both.group_by("score").aggregate(
            lowest=both.value.min(), highest=both.value.max(), customers=both.n.sum().cast("int64")
        )
        parts.append(counted.select("score", "lowest", "highest", "customers", measure=ibis.literal(name)))
    return parts[0].union(parts[1], parts[2])


def there(spine: Table, customers: Table) -> Table:
    """Keep all rows of a spine where there is any customer, and none where there is nobody."""
    anybody = customers.aggregate(anybody_=customers.count()).filter(ibis._.anybody_ > 0)
    return spine.cross_join(anybody).drop("anybody_")


def monthly_rfm(orders: Table, first: dt.date, last: dt.date, months: int = MONTHS) -> Table:
    """Measure, score and segment every customer as of the end of each month, by the orders until then.

    The month of `last` is as of `last`. Of a longer history the last `months` months are given, and the one before
    them, to tell where customers came from.

    Args:
        orders: Columns user_id, day, net: a row an order; the full history.
        first: The first day of the history.
        last: The last day that the data hold.
        months: How many months to show.

    Returns:
        A row a customer and month: user_id, number (of the month, see `Period`), as_of, the measures, scores and
        segment as `rfm` makes them.
    """
    high = _MONTH.number_of(last)
    low = max(_MONTH.number_of(first), high - months)
    bought = known_users(orders).filter(ibis._.day <= ibis.literal(last))
    per = bought.group_by(user_id=bought.user_id, began=_MONTH.number(bought.day)).aggregate(
        orders=bought.count(), net=bought.net.cast(_MONEY).sum(), last_order_on=bought.day.max()
    )
    before = ibis.window(group_by="user_id", order_by="began", preceding=None, following=0)
    after = ibis.window(group_by="user_id", order_by="began")
    known = per.select(
        "user_id",
        "began",
        "last_order_on",
        frequency=per.orders.sum().over(before).cast("int64"),
        monetary=per.net.sum().over(before).cast(_MONEY),
        until=per.began.lead().over(after),
    )
    ends = numbers(low, high)
    ends = ends.mutate(ended=_MONTH.start(ends.number + 1) - ibis.interval(days=1))
    ends = ends.select("number", as_of=ibis.least(ends.ended.cast("date"), ibis.literal(last)))
    still = known.until.isnull() | (known.until > ends.number)
    states = known.inner_join(ends, [known.began <= ends.number, still]).drop("began", "until")
    told = states.mutate(recency_days=states.as_of.delta(states.last_order_on, unit="day"))
    return segmented(scored(told, by=["number"]))


def history(states: Table, first: dt.date, last: dt.date, months: int = MONTHS) -> Table:
    """Count customers and revenue by month end and segment, with zeros, from the first month with a customer on.

    Args:
        states: As `monthly_rfm` makes them, with the same days.
        first: The first day of the history.
        last: The last day that the data hold.
        months: How many months to show.

    Returns:
        Columns month (its first day), as_of, segment, place, customers, share, revenue (all that these customers had
        brought until then), complete (the month is over).
    """
    shown = states.filter(states.number >= _low(first, last, months))
    counted = shown.group_by(["number", "as_of", "segment"]).aggregate(
        customers=shown.count(), revenue=shown.monetary.sum().cast(_MONEY)
    )
    full = with_zeros(counted, segment_names().select("segment"), ["number", "as_of"])
    placed = full.inner_join(segment_names().select("segment", "place"), "segment")
    everybody = placed.customers.sum().over(ibis.window(group_by="number"))
    return placed.select(
        _MONTH.start(placed.number).name("month"),
        "as_of",
        "segment",
        "place",
        "customers",
        "revenue",
        share=ratio(placed.customers, everybody),
        complete=placed.number <= _MONTH.last_complete(last),
    )


def migration(states: Table, first: dt.date, last: dt.date, months: int = MONTHS) -> Table:
    """Count the customers who went from one segment at a month's end to another at the next one's.

    Args:
        states: As `monthly_rfm` makes them, with the same days.
        first: The first day of the history.
        last: The last day that the data hold.
        months: How many months to show.

    Returns:
        Columns month (at whose end they are in to_segment), from_segment (at the end of the month before; `(none)`: was
        no customer yet), to_segment, customers, share (of all in from_segment; null of `(none)`), complete. Only moves
        that somebody made, staying included.
    """
    before = states.segment.lag().over(ibis.window(group_by="user_id", order_by="number"))
    moves = states.select("number", to_segment="segment", from_segment=before.fill_null(NOBODY_YET))
    moves = moves.filter(moves.number >= _low(first, last, months))
    counted = moves.group_by(["number", "from_segment", "to_segment"]).aggregate(customers=moves.count())
    whole = counted.customers.sum().over(ibis.window(group_by=["number", "from_segment"]))
    return counted.select(
        _MONTH.start(counted.number).name("month"),
        "from_segment",
        "to_segment",
        "customers",
        share=(counted.from_segment == NOBODY_YET).ifelse(ibis.null("float64"), ratio(counted.customers, whole)),
        complete=counted.number <= _MONTH.last_complete(last),
    )


def _low(first: dt.date, last: dt.date, months: int) -> int:
    return max(_MONTH.number_of(first), _MONTH.number_of(last) - months + 1)
