"""Findings: what the tables of a release say, as records that sentences are made of.

Belongs here: one record a kind of finding, with what follows from its own numbers. Does not belong here: how they are
found (`assets.report`) and told (`writing`).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Literal

from analytics_assets.statistics.changes import Change

MONTH = 30.44
"""Days of a month, by which what things are worth is told."""

Unit = Literal["count", "money", "share"]


@dataclass(frozen=True)
class Range:
    """Hold the days of a period."""

    first: dt.date
    last: dt.date

    @property
    def days(self) -> int:
        """How many there are."""
        return (self.last - self.first).days + 1


@dataclass(frozen=True)
class Kpi:
    """Say how one number of the business stands.

    Attributes:
        name: What is counted.
        unit: Of what it is.
        better: Which way is better: up, down, or neither.
        chance: What its interval speaks of: days or people.
        table: What it is counted in.
        value: Of the last period.
        low: Lower end of the interval of a share.
        high: Upper end.
        change: Against the period before; None: there is none.
        year: Against the same weeks of the year before.
        plain: Against the period before, without the pairs of days of which one has a name.
        plain_days: How many pairs are left.
    """

    name: str
    unit: Unit
    better: Literal["up", "down", ""]
    chance: Literal["days", "people"]
    table: str
    value: float
    low: float | None = None
    high: float | None = None
    change: Change | None = None
    year: Change | None = None
    plain: Change | None = None
    plain_days: int = 0

    @property
    def worse(self) -> bool:
        """Whether it went the wrong way, as far as its interval tells."""
        change = self.change
        if change is None or change.low is None or change.high is None:
            return False
        return (self.better == "up" and change.high < 0) or (self.better == "down" and change.low > 0)


@dataclass(frozen=True)
class Worsened:
    """Say which numbers of the business went the wrong way, by their intervals.

    Attributes:
        names: Which.
        direction: Which way they went: fell or rose.
        table: What the first of them is counted in.
        held: Which named days make the periods unlike each other; empty for none.
    """

    names: str
    direction: Literal["fell", "rose"]
    table: str
    held: str = ""


@dataclass(frozen=True)
class Step:
    """Say how many of a funnel go on to a step, of those who have had the time."""

    name: str
    previous: str
    came: int
    went_on: int
    rate: float
    low: float
    high: float

    @property
    def lost(self) -> int:
        """How many do not go on."""
        return self.came - self.went_on


@dataclass(frozen=True)
class Friction:
    """Say where the users of one value of a breakdown go on less often than the others.

    Attributes:
        funnel: The funnel.
        dimension: The breakdown.
        value: Its value.
        name: The step that they do not reach.
        previous: The step that they come from.
        units: What goes through the funnel.
        came: How many came there.
        rate: The share of them who go on.
        rate_of_others: The share of all others.
        gap: How much less often, in points.
        gap_low: Lower end of its interval of 95 % (Newcombe).
        gap_high: Upper end.
        p_adjusted: Of no gap, Holm-adjusted over the funnel.
        lost: How many more would go on at the others' rate.
        lost_a_month: How many of them would have ended the funnel, a month.
        worth: What these orders would bring a month, at the average order; None: not an order's funnel.
        worth_of: What that is of: profit where costs are known, else revenue.
        worth_low: The same at the lower end of the gap.
        worth_high: And at the upper.
    """

    funnel: str
    dimension: str
    value: str
    name: str
    previous: str
    units: str
    came: int
    rate: float
    rate_of_others: float
    gap: float
    gap_low: float
    gap_high: float
    p_adjusted: float
    lost: float
    lost_a_month: float
    worth: float | None = None
    worth_low: float | None = None
    worth_high: float | None = None
    worth_of: str = "revenue"

    @property
    def by(self) -> str:
        """The breakdown, as charts are called."""
        return self.dimension.replace(".", "_")


@dataclass(frozen=True)
class Funnel:
    """Say how a funnel of the project goes.

    Attributes:
        name: The funnel.
        units: What goes through it: users or sessions.
        steps: Its steps after the first, of all matured entries.
        frictions: Where some go on significantly less often than the others, the largest loss first.
        change: Of the share that ends it, between the last two periods of matured entries.
        compared: Which periods these are.
    """

    name: str
    units: str
    steps: tuple[Step, ...]
    frictions: tuple[Friction, ...] = ()
    change: Change | None = None
    compared: tuple[Range, Range] | None = None


@dataclass(frozen=True)
class Experiment:
    """Say what was decided of a variant, and what it is worth a month where everybody gets it."""

    experiment: str
    variant: str
    verdict: str
    because: str
    notes: str = ""
    metric: str = ""
    over: bool = True
    ends: dt.date | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    detectable: float | None = None
    told: bool = False
    revenue: float | None = None
    revenue_low: float | None = None
    revenue_high: float | None = None
    margin: float | None = None
    margin_low: float | None = None
    margin_high: float | None = None
    why_no_worth: str = ""

    @property
    def value(self) -> float | None:
        """What it is worth: profit where costs are known, else revenue."""
        return self.revenue if self.margin is None else self.margin

    @property
    def value_low(self) -> float | None:
        """The lower end of that."""
        return self.revenue_low if self.margin is None else self.margin_low

    @property
    def value_high(self) -> float | None:
        """The upper end."""
        return self.revenue_high if self.margin is None else self.margin_high

    @property
    def caution(self) -> str:
        """What else to know before acting on it."""
        return f"Note: {self.notes}." if self.notes else ""

    @property
    def value_of(self) -> str:
        """What that is of."""
        return "revenue" if self.margin is None else "profit"


@dataclass(frozen=True)
class Segment:
    """Say how large an RFM segment is, and how its share moved between the last two whole months."""

    segment: str
    place: int
    customers: int
    share: float
    revenue: float
    revenue_share: float | None
    month: dt.date | None = None
    before: dt.date | None = None
    change: Change | None = None

    @property
    def moved_low(self) -> float | None:
        """The lower end of the move of its share."""
        return self.change.low if self.change else None

    @property
    def moved_high(self) -> float | None:
        """The upper end."""
        return self.change.high if self.change else None


@dataclass(frozen=True)
class Churn:
    """Say how well the churn of customers can be told, and how much of it is expected among those at risk."""

    churn_days: int
    state: str
    customers: int = 0
    churned: int = 0
    rate_low: float | None = None
    rate_high: float | None = None
    auc: float | None = None
    auc_low: float | None = None
    auc_high: float | None = None
    calibration: str = ""
    at_risk: int = 0
    expected_loss: float | None = None

    @property
    def loss_a_month(self) -> float | None:
        """What those at risk are expected to take along, a month."""
        return None if self.expected_loss is None else self.expected_loss / self.churn_days * MONTH


@dataclass(frozen=True)
class Lifetime:
    """Say what is expected of customers within a horizon, and how the model did on days that it had not seen."""

    horizon_days: int
    customers: int
    expected_orders: float | None
    expected_value: float | None
    state: str
    holdout_days: int | None = None
    holdout_orders: int | None = None
    holdout_expected: float | None = None
    holdout_error: float | None = None
    independence: str = ""


@dataclass(frozen=True)
class Part:
    """Say what one category, country or product brings, and how that changed."""

    name: str
    net: float
    share: float
    change: Change | None = None


@dataclass(frozen=True)
class Returned:
    """Say that a product comes back more often than the others."""

    product: str
    units: int
    rate: float
    rate_of_others: float
    gap: float
    gap_low: float
    gap_high: float
    p_adjusted: float
    worth: float | None = None
    of_net: float | None = None


@dataclass(frozen=True)
class Products:
    """Say what is sold."""

    sold: int
    first_class: int
    customers: int | None = None
    top_decile_share: float | None = None
    best: tuple[Part, ...] = ()
    categories: tuple[Part, ...] = ()


@dataclass(frozen=True)
class Outlook:
    """Say what is expected of the days to come.

    Attributes:
        days: How many days ahead.
        until: The last of them.
        forecast: Their net revenue.
        low: The sum of the lower ends of the days' 80 % intervals.
        high: The sum of the upper ends.
        last: The net revenue of as many last days.
        model: Which model says so.
        state: How it was chosen.
        mape: Its mean error in the backtest, in percent of a day.
        coverage: The share of the backtest's days inside the interval of 80 %.
    """

    days: int
    until: dt.date
    forecast: float
    low: float
    high: float
    last: float
    model: str
    state: str = ""
    mape: float | None = None
    coverage: float | None = None


@dataclass(frozen=True)
class Special:
    """Say what a named day did to revenue, and when it comes again."""

    name: str
    effect: float | None
    low: float | None
    high: float | None
    occurrences: int
    method: str
    state: str = ""
    comes: dt.date | None = None


@dataclass(frozen=True)
class Weekday:
    """Say what a day of the week does to revenue."""

    weekday: int
    effect: float
    low: float | None
    high: float | None
    method: str


@dataclass(frozen=True)
class Season:
    """Say what repeats, and which days stand out."""

    weekdays: tuple[Weekday, ...] = ()
    specials: tuple[Special, ...] = ()
    named_now: tuple[str, ...] = ()
    named_before: tuple[str, ...] = ()
    judged: int = 0
    odd: tuple[Odd, ...] = ()


@dataclass(frozen=True)
class Odd:
    """Say that a day stands out."""

    day: dt.date
    measure: str
    observed: float
    expected: float
    low: float
    high: float
    days_ago: int = 0
    named: str = ""

    @property
    def wrong(self) -> str:
        """On which side."""
        return "above" if self.observed > self.expected else "below"


@dataclass(frozen=True)
class Campaign:
    """Say what a campaign cost, and what it brought in three ways of telling.

    Attributes:
        campaign: The campaign.
        name: Its name.
        spend: What was spent.
        over: Whether it is over; None: its days are not known.
        naive: ROI of all revenue on its days.
        attributed: ROI of what is credited to it.
        attributed_by: By which model.
        state: Whether its increment is identified.
        reason: Why it is not.
        roi: ROI of what would not have come without it.
        roi_low: Lower end of its interval of 95 %.
        roi_high: Upper end.
        revenue: What would not have come.
        margin: Profit on that revenue; None: costs are not known.
        spend_a_day: What it cost a day.
    """

    campaign: str
    name: str
    spend: float
    over: bool | None = None
    naive: float | None = None
    attributed: float | None = None
    attributed_by: str = ""
    state: str = ""
    reason: str = ""
    roi: float | None = None
    roi_low: float | None = None
    roi_high: float | None = None
    revenue: float | None = None
    revenue_low: float | None = None
    revenue_high: float | None = None
    margin: float | None = None

    @property
    def called(self) -> str:
        """How people call it."""
        return f"{self.name} ({self.campaign})" if self.name else self.campaign

    @property
    def gain(self) -> float | None:
        """What it left: profit, else revenue, less the spend."""
        return self._left(self.revenue)

    @property
    def gain_low(self) -> float | None:
        """The lower end of that."""
        return self._left(self.revenue_low)

    @property
    def gain_high(self) -> float | None:
        """The upper end."""
        return self._left(self.revenue_high)

    @property
    def gain_of(self) -> str:
        """Of what that is."""
        return "revenue" if self.margin is None else "profit"

    @property
    def lost(self) -> float | None:
        """What it lost."""
        return None if self.gain is None else -self.gain

    def _left(self, revenue: float | None) -> float | None:
        if revenue is None:
            return None
        return revenue * (1.0 if self.margin is None else self.margin) - self.spend


@dataclass(frozen=True)
class Delivered:
    """Say what a source delivered lately, and what was rejected of it.

    Attributes:
        table: The raw table that it feeds.
        rows: Rows of the period; of a snapshot all of them.
        rejected: Those of them that were rejected.
        main_reason: Why most of them were.
        last: The last day of a delivery; None: longer ago.
        silent_days: How long ago that is; 0 of a snapshot.
        usual_gap: The longest silence before; None: silence means nothing.
        snapshot: Whether each delivery replaces the one before.
    """

    table: str
    rows: int
    rejected: int
    main_reason: str = ""
    last: dt.date | None = None
    silent_days: int = 0
    usual_gap: int | None = None
    snapshot: bool = False

    @property
    def rejected_share(self) -> float | None:
        """The share of its rows that were rejected."""
        return self.rejected / self.rows if self.rows else None


@dataclass(frozen=True)
class Doubt:
    """Say that a day or a sum cannot be trusted."""

    table: str
    severity: str
    reason: str
    day: dt.date | None = None


@dataclass(frozen=True)
class Quality:
    """Say what can be trusted."""

    delivered: tuple[Delivered, ...] = ()
    doubts: tuple[Doubt, ...] = ()
    sums: int = 0
    sums_differ: tuple[str, ...] = ()
    watched: bool = False


@dataclass(frozen=True)
class Findings:
    """Hold all that a report says.

    Attributes:
        project: The project's name.
        description: What it is about.
        currency: Of its amounts.
        as_of: The last day delivered.
        period: The days that are looked at; None: there are no days.
        before: The days that they are compared with; None: there are too few.
        year: The same weeks of the year before; None: the project is younger.
        release: The release that was read.
        absent: What the report would say of tables that are not there, by section, with the reason.
    """

    project: str
    currency: str
    as_of: dt.date
    description: str = ""
    period: Range | None = None
    before: Range | None = None
    year: Range | None = None
    first_day: dt.date | None = None
    release: int = 0
    kpis: tuple[Kpi, ...] = ()
    funnels: tuple[Funnel, ...] = ()
    experiments: tuple[Experiment, ...] = ()
    segments: tuple[Segment, ...] = ()
    churn: Churn | None = None
    lifetime: Lifetime | None = None
    products: Products | None = None
    returned: tuple[Returned, ...] = ()
    places: tuple[Part, ...] = ()
    outlook: Outlook | None = None
    season: Season = field(default_factory=Season)
    campaigns: tuple[Campaign, ...] = ()
    quality: Quality = field(default_factory=Quality)
    absent: dict[str, str] = field(default_factory=dict)

    @property
    def frictions(self) -> tuple[Friction, ...]:
        """Where some go on less often than others; what several funnels show is told of the first of them."""
        told: dict[tuple[str, ...], Friction] = {}
        for funnel in self.funnels:
            for one in funnel.frictions:
                told.setdefault((one.dimension, one.value, one.previous, one.name), one)
        return tuple(told.values())

    @property
    def worsened(self) -> tuple[Worsened, ...]:
        """Which key figures went the wrong way."""
        periods = (("the period", self.season.named_now), ("the one before", self.season.named_before))
        named = [f"{which} held {', '.join(names)}" for which, names in periods if names]
        held = f"{'; '.join(named)};" if named else ""
        directions: tuple[tuple[str, Literal["fell", "rose"]], ...] = (("up", "fell"), ("down", "rose"))
        found = []
        for better, direction in directions:
            wrong = [kpi for kpi in self.kpis if kpi.better == better and kpi.worse]
            if wrong:
                names = [kpi.name for kpi in wrong]
                told = " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]
                found.append(Worsened(told, direction, wrong[0].table, held))
        return tuple(found)

    @property
    def churns(self) -> tuple[Churn, ...]:
        """The churn of customers, if it is known."""
        return (self.churn,) if self.churn else ()

    @property
    def outlooks(self) -> tuple[Outlook, ...]:
        """The outlook, if there is one."""
        return (self.outlook,) if self.outlook else ()

    @property
    def deliveries(self) -> tuple[Delivered, ...]:
        """What sources delivered."""
        return self.quality.delivered

    @property
    def doubts(self) -> tuple[Doubt, ...]:
        """What cannot be trusted."""
        return self.quality.doubts

    @property
    def odd_days(self) -> tuple[Odd, ...]:
        """Days that stand out."""
        return self.season.odd
