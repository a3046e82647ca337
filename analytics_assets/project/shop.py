"""The parameters of the synthetic shop, each with what it plants: what `shop.yaml` of a project may say.

Belongs here: the model of the world, its sizes and presets. Does not belong here: how rows are made of it
(`sources.shop`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from analytics_assets.project.base import Model


def _day_of_year(text: str) -> str:
    try:
        dt.date.fromisoformat(f"2024-{text}")
    except ValueError as error:
        raise ValueError(f"'{text}' is no day of a year: write month-day, such as 11-28") from error
    return text


Share = Annotated[float, Field(ge=0, le=1)]
DayOfYear = Annotated[str, AfterValidator(_day_of_year)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Step = Literal["view_product", "add_to_cart", "begin_checkout", "purchase"]
Exposure = Literal["page_view", "search", "pricing_page", "view_product", "add_to_cart", "begin_checkout"]
Segment = Literal["bargain", "standard", "loyal"]
Feature = Literal[
    "chat", "store_finder", "newsletter", "loyalty_page", "wishlist", "reviews", "size_guide", "compare", "gift_wrap"
]

STEPS: tuple[Step, ...] = ("view_product", "add_to_cart", "begin_checkout", "purchase")
SEGMENTS: tuple[Segment, ...] = ("bargain", "standard", "loyal")
Device = Literal["mobile", "desktop", "tablet"]
DEVICES: tuple[Device, ...] = ("mobile", "desktop", "tablet")

LONGEST_RETURN = 30
"""Days after which nothing comes back any more."""
_ROUNDING = 1e-9
SIZES: dict[str, dict[str, int]] = {
    "tiny": {"users": 600, "products": 60, "days": 60},
    "demo": {"users": 50_000, "products": 1_000, "days": 365},
}
_CLEAN = {
    "duplicates": 0,
    "resent": 0,
    "late": 0,
    "too_late": 0,
    "malformed_times": 0,
    "unknown_products": 0,
    "mixed_case": 0,
    "negative_quantities": 0,
    "bots": 0,
    "missing": 0,
}
PRESETS: dict[str, dict[str, Any]] = {
    "everything": {},
    "plain": {
        "season": {"weekdays": [1.0] * 7, "amplitude": 0, "growth": 0, "holidays": {}},
        "campaigns": {},
        "experiments": {},
        "purchases": {"dropout": {"bargain": 1, "standard": 1, "loyal": 1}},
        "orders": {"cancelled": 0, "pending": 0},
        "dirt": _CLEAN,
    },
}


def _come_to_one(shares: tuple[float, ...], what: str) -> None:
    if abs(sum(shares) - 1) > _ROUNDING:
        raise ValueError(f"the shares of {what} come to {sum(shares):g}, not to 1")


class ByDevice(Model):
    """Give each device a number."""

    mobile: Share
    desktop: Share
    tablet: Share

    def numbers(self) -> tuple[float, ...]:
        """Return the numbers in the order of `DEVICES`."""
        return tuple(getattr(self, name) for name in DEVICES)


class BySegment(Model):
    """Give each segment a number."""

    bargain: Positive
    standard: Positive
    loyal: Positive

    def numbers(self) -> tuple[float, ...]:
        """Return the numbers in the order of `SEGMENTS`."""
        return tuple(getattr(self, name) for name in SEGMENTS)


class Visits(Model):
    """Say who comes, and how often."""

    devices: ByDevice = Field(
        ByDevice(mobile=0.55, desktop=0.37, tablet=0.08), description="share of users by main device"
    )
    other_device: Share = Field(0.1, description="share of visits whose device is any, drawn as main devices are")
    lead_shape: Positive = Field(
        0.7, description="shape of the gamma distribution of visits a day before a first order"
    )
    lead_rate: Positive = Field(0.12, description="mean visits a day before a first order")
    lead_leaves: Share = Field(0.3, description="probability of leaving for good after a visit without a first order")
    earlier: Share = Field(0.3, description="share of users who visited before they signed up, under an anonymous id")
    visitors: float = Field(0.5, ge=0, description="visits by people who never sign up, a sign-up")
    segments: BySegment = Field(
        BySegment(bargain=0.35, standard=0.45, loyal=0.2), description="share of users by segment"
    )

    @model_validator(mode="after")
    def _adds_up(self) -> Visits:
        for name in ("devices", "segments"):
            _come_to_one(getattr(self, name).numbers(), name)
        return self


class Funnel(Model):
    """Say with which probability a visit goes on to the next step, whoever the user is."""

    view_product: Share = Field(0.72, description="P(view_product | visit)")
    add_to_cart: Share = Field(0.36, description="P(add_to_cart | view_product)")
    begin_checkout: Share = Field(0.55, description="P(begin_checkout | add_to_cart)")
    purchase: ByDevice = Field(
        ByDevice(mobile=0.56, desktop=0.78, tablet=0.68),
        description="P(purchase | begin_checkout) by device of the visit: the planted friction on mobile",
    )
    search: Share = Field(0.3, description="P(search | visit), whatever else happens in it")
    pricing_page: Share = Field(0.2, description="P(the feature pricing_page | visit), whatever else happens in it")
    features: dict[Feature, Share] = Field(
        {"chat": 0.03, "store_finder": 0.03, "newsletter": 0.03, "loyalty_page": 0.04, "wishlist": 0.12,
         "reviews": 0.2, "size_guide": 0.1, "compare": 0.06, "gift_wrap": 0.1},
        description="P(feature | visit); from wishlist to compare: of visits with view_product, gift_wrap: add_to_cart",
    )  # fmt: skip


class Purchases(Model):
    """Say how customers buy again: BG/NBD (Fader, Hardie, Lee 2005), from the first order on, in operational days."""

    r: Positive = Field(0.8, description="shape of the gamma distribution of the rate of orders")
    alpha: Positive = Field(45.0, description="its rate, in operational days: the mean is r / alpha orders a day")
    a: Positive = Field(1.0, description="first parameter of the beta distribution of dropping out after an order")
    b: Positive = Field(4.0, description="its second parameter: the mean probability is a / (a + b)")
    dropout: BySegment = Field(
        BySegment(bargain=2.5, standard=1.0, loyal=0.4),
        description="what `a` is multiplied by in a segment: churn that can be known beforehand",
    )


class Spend(Model):
    """Say what an order comes to: Gamma-Gamma (Fader, Hardie 2013). Net of discount, before tax and shipping."""

    p: Positive = Field(6.0, description="shape of an order's value around its customer's mean")
    q: float = Field(4.0, gt=1, description="shape of the distribution of customers' means")
    gamma: Positive = Field(30.0, description="its scale: the mean order is p x gamma / (q - 1)")


class Orders(Model):
    """Say what orders look like, and what comes back."""

    more_lines: float = Field(0.353, ge=0, le=3, description="mean number of lines beyond the first")
    cancelled: Share = Field(0.04, description="share of orders that are cancelled")
    pending: Share = Field(0.02, description="share of orders that are pending")
    shipping: float = Field(6.9, ge=0, description="shipping of an order below `free_above`")
    free_above: float = Field(100.0, ge=0, description="net order value from which shipping is free")
    returned: Share = Field(0.0425, description="share of the lines of completed orders that come back")
    return_days: Positive = Field(
        9.0, ge=1, description="mean days from order to return, before longer ones are cut to 30"
    )

    @model_validator(mode="after")
    def _leaves_some(self) -> Orders:
        if self.cancelled + self.pending > 1:
            raise ValueError(f"cancelled and pending come to {self.cancelled + self.pending:g}, more than all orders")
        return self


class Season(Model):
    """Say how the pace of visits and sign-ups changes with the calendar; 1 is the ordinary pace."""

    weekdays: list[Positive] = Field(
        [0.92, 0.9, 0.93, 0.98, 1.06, 1.1, 1.11],
        min_length=7,
        max_length=7,
        description="pace from Monday to Sunday, in the time of the user's country",
    )
    amplitude: Share = Field(0.12, lt=1, description="height of the yearly wave around the ordinary pace")
    peak_day: int = Field(340, ge=1, le=366, description="day of the year on which the wave is highest")
    growth: float = Field(0.1, gt=-1, description="growth of the pace within 365 days")
    holidays: dict[DayOfYear, Positive] = Field(
        {"11-28": 1.9, "11-29": 1.5, "11-30": 1.4, "12-01": 1.6, "12-12": 1.3, "12-13": 1.35, "12-14": 1.35,
         "12-20": 1.3, "12-24": 0.6, "12-25": 0.45, "12-31": 0.7, "01-01": 0.6},
        description="pace on days of the year, month-day, on top of the rest",
    )  # fmt: skip


class Campaign(Model):
    """Describe a campaign; it quickens the visits of users in the regions where it runs."""

    name: str = Field(description="its name")
    channel: Literal["search", "social", "email", "display", "affiliate", "video"] = Field(description="where it runs")
    starts: Share = Field(description="its first day, as a share of `days`")
    lasts: Share = Field(description="how long it runs, as a share of `days`")
    uplift: float = Field(ge=0, description="visits that it adds for every visit that would have come anyway")
    clicked: Share = Field(0.06, description="share of the visits that would have come anyway that come through it")
    withheld: Share = Field(0, description="share of regions, drawn at random, in which it does not run")
    spend: float = Field(ge=0, description="mean spend a day")


def _campaign(
    name: str, channel: str, starts: float, lasts: float, uplift: float, withheld: float, spend: float
) -> Any:  # noqa: ANN401
    return {"name": name, "channel": channel, "starts": starts, "lasts": lasts, "uplift": uplift, "withheld": withheld,
            "spend": spend}  # fmt: skip


_CAMPAIGNS = {
    "C01": _campaign("Opening week", "display", 0.00, 0.03, 0.15, 0.0, 600),
    "C02": _campaign("Winter sale", "search", 0.05, 0.05, 0.30, 0.5, 450),
    "C03": _campaign("Valentine", "social", 0.10, 0.03, 0.20, 0.4, 300),
    "C04": _campaign("Spring mailing", "email", 0.18, 0.02, 0.25, 0.5, 90),
    "C05": _campaign("Spring collection", "video", 0.24, 0.06, 0.10, 0.5, 700),
    "C06": _campaign("Brand search", "search", 0.32, 0.10, 0.00, 0.5, 350),
    "C07": _campaign("Summer sale", "search", 0.46, 0.06, 0.30, 0.5, 500),
    "C08": _campaign("Holiday stories", "social", 0.54, 0.05, 0.15, 0.4, 280),
    "C09": _campaign("Back to school", "affiliate", 0.64, 0.05, 0.20, 0.5, 260),
    "C10": _campaign("Autumn mailing", "email", 0.74, 0.02, 0.25, 0.5, 90),
    "C11": _campaign("Black Friday", "search", 0.895, 0.03, 0.35, 0.0, 900),
    "C12": _campaign("Christmas display", "display", 0.93, 0.06, 0.00, 0.3, 650),
}


class Effect(Model):
    """Say what a variant changes, in the visits in which the user is exposed to it."""

    step: Step = Field(description="the step whose probability it multiplies")
    lift: float = Field(gt=-1, description="by how much: 0.1 is a tenth more; certainty is the most")
    segment: Segment | None = Field(None, description="only for users of this segment")
    half_life: Positive | None = Field(None, description="days after which half of the lift has faded: novelty")


class Experiment(Model):
    """Describe an experiment: users are assigned at their first visit in its time, and exposed by an event."""

    starts: Share = Field(description="its first day, as a share of `days`")
    lasts: Share = Field(description="how long it runs, as a share of `days`")
    exposure: Exposure = Field(description="the event, or the feature, by which a visit is exposed")
    variants: dict[str, Positive] = Field(
        {"control": 0.5, "treatment": 0.5}, min_length=2, max_length=4, description="share of users by variant"
    )
    effects: dict[str, list[Effect]] = Field({}, description="what each variant changes; none: it changes nothing")
    free_shipping: list[str] = Field([], description="variants in which an order of an exposed visit ships for nothing")
    lost: dict[str, Share] = Field({}, description="share of a variant's assignments that never arrive")
    verdict: str = Field("", description="the verdict that an analysis should come to")

    @model_validator(mode="after")
    def _adds_up(self) -> Experiment:
        _come_to_one(tuple(self.variants.values()), "its variants")
        named = {*self.effects, *self.free_shipping, *self.lost}
        if strangers := sorted(named - set(self.variants)):
            raise ValueError(f"there is no variant '{strangers[0]}'; it has {', '.join(self.variants)}")
        order = ("page_view", "search", "pricing_page", *STEPS)
        for effects in self.effects.values():
            for effect in effects:
                if order.index(effect.step) <= order.index(self.exposure):
                    raise ValueError(f"{effect.step} does not come after {self.exposure}, by which a visit is exposed")
        return self


def _treated(step: str, lift: float, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"treatment": [{"step": step, "lift": lift, **more}]}


_EXPERIMENTS: dict[str, Any] = {
    "checkout_redesign": {
        "starts": 0.25, "lasts": 0.2, "exposure": "begin_checkout", "effects": _treated("purchase", 0.12),
        "verdict": "ship",
    },
    "pdp_redesign": {
        "starts": 0.35, "lasts": 0.1, "exposure": "view_product", "effects": _treated("add_to_cart", 0.01),
        "verdict": "inconclusive",
    },
    "aa_test": {"starts": 0.02, "lasts": 0.9, "exposure": "page_view", "verdict": "no meaningful difference"},
    "free_shipping_banner": {
        "starts": 0.5, "lasts": 0.28, "exposure": "add_to_cart", "effects": _treated("begin_checkout", 0.08),
        "free_shipping": ["treatment"], "verdict": "rollback",
    },
    "recommendations_v2": {
        "starts": 0.25, "lasts": 0.72, "exposure": "view_product", "effects": _treated("add_to_cart", 0.03),
        "lost": {"treatment": 0.04}, "verdict": "invalid",
    },
    "search_ranking": {
        "starts": 0.6, "lasts": 0.25, "exposure": "search", "effects": _treated("add_to_cart", 0.6, half_life=14),
        "verdict": "a lift that fades",
    },
    "pricing_page": {
        "starts": 0.7, "lasts": 0.25, "exposure": "pricing_page",
        "variants": {"control": 0.34, "monthly_first": 0.33, "yearly_first": 0.33},
        "effects": {
            "monthly_first": [{"step": "begin_checkout", "lift": 0.02}],
            "yearly_first": [{"step": "begin_checkout", "lift": 0.35}],
        },
        "verdict": "ship yearly_first",
    },
    "loyalty_badge": {
        "starts": 0.78, "lasts": 0.2, "exposure": "page_view",
        "effects": _treated("begin_checkout", 0.3, segment="loyal"),
        "verdict": "an effect on the segment loyal only",
    },
}  # fmt: skip


class Dirt(Model):
    """Say what is wrong with the deliveries: shares of a table's rows unless said otherwise; all of it is counted."""

    duplicates: Share = Field(0.003, description="rows that stand in their file twice")
    resent: Share = Field(0.002, description="rows that come once more, 1 to 3 days later")
    late: Share = Field(0.006, description="events that arrive 1 to 3 days late")
    too_late: Share = Field(0.0005, description="events added that arrive 5 days late, when nobody waits for them")
    malformed_times: Share = Field(0.001, description="rows added whose time cannot be read")
    unknown_products: Share = Field(0.001, description="product views added, of products that nobody listed")
    mixed_case: Share = Field(0.002, description="codes of products written in another case or with spaces")
    negative_quantities: Share = Field(0.002, description="order lines added with a negative quantity")
    bots: Share = Field(0.004, description="visits of crawlers, to every visit of a person")
    missing: Share = Field(0.15, description="missing values in each optional field of a profile: age, gender, city")


class Shop(Model):
    """Describe a synthetic shop; every effect that the analyses may find in its data is a parameter here.

    >>> Shop(size="tiny").users, Shop(size="tiny", preset="plain", users=50).experiments
    (600, {})
    """

    seed: int = Field(1, ge=0, lt=2**63, description="another seed is another world with the same truth")
    preset: Literal["everything", "plain"] = Field(
        "everything", description="plain: no season, campaigns, experiments, cancellations or dirt"
    )
    size: Literal["tiny", "demo"] = Field("demo", description="gives users, products and days where they are not given")
    users: int = Field(0, ge=1, description="people who sign up within `days`")
    products: int = Field(0, ge=1, le=100_000, description="products in the list")
    days: int = Field(0, ge=1, le=20_000, description="days over which the users sign up; the shop goes on after them")
    visits: Visits = Field(Visits(), description="who comes, and how often")
    funnel: Funnel = Field(Funnel(), description="how a visit goes")
    purchases: Purchases = Field(Purchases(), description="how customers buy again")
    spend: Spend = Field(Spend(), description="what an order comes to")
    orders: Orders = Field(Orders(), description="what orders look like, and what comes back")
    season: Season = Field(Season(), description="how the calendar changes the pace")
    campaigns: dict[str, Campaign] = Field(
        {name: Campaign.model_validate(told) for name, told in _CAMPAIGNS.items()}, description="campaigns by id"
    )
    experiments: dict[str, Experiment] = Field(
        {name: Experiment.model_validate(told) for name, told in _EXPERIMENTS.items()},
        max_length=15,
        description="experiments by name",
    )
    dirt: Dirt = Field(Dirt(), description="what is wrong with the deliveries")

    def span(self, told: Campaign | Experiment) -> range:
        """Return the numbers of the days of a campaign or an experiment; it has one at least."""
        begin = round(told.starts * self.days)
        return range(begin, begin + max(1, round(told.lasts * self.days)))

    @model_validator(mode="before")
    @classmethod
    def _with_size_and_preset(cls, given: Any) -> Any:  # noqa: ANN401
        """Let the size and the preset give what is not given; a wrong name of either is told by its own field."""
        if not isinstance(given, dict):
            return given
        size = SIZES.get(str(given.get("size", "demo")), SIZES["demo"])
        preset = PRESETS.get(str(given.get("preset", "everything")), {})
        return _merged({**size, **preset}, given)


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay mappings over mappings; whatever else is given above takes the place of what is below."""
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        if isinstance(under, Mapping) and under and isinstance(value, Mapping):
            value = _merged(under, value)  # noqa: PLW2901
        merged[key] = value
    return merged
