"""Who visits on a day, and how far each visit goes: the process behind everything else.

Before a first order, a user visits at an own rate and leaves for good with some probability after a visit without
order. From the first order on, the user is a customer: orders come at an own gamma-distributed rate, and after each
of them the customer drops out for good with an own beta-distributed probability (BG/NBD). A customer visits as often as
it takes: rate of orders / P(order | visit), so that every visit, whoever's it is, goes on from step to step with the
planted probabilities. Time is operational (`calendar`).

Belongs here: the state of those who may come back, and one day of it. Does not belong here: the rows of a visit
(`events`, `orders`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from analytics_assets.project.shop import DEVICES, SEGMENTS, STEPS, Effect, Shop, Step
from analytics_assets.sources.shop.calendar import Calendar, Today
from analytics_assets.sources.shop.people import BITS, People, drawn
from analytics_assets.sources.shop.streams import joined, stream
from analytics_assets.sources.shop.vocabulary import REGION_COUNTRY, REGIONS

USER, ANONYMOUS, VISITOR, BOT = range(4)
"""Kinds of visits: of users, of users before they sign up, of people who never do, of crawlers."""

PURCHASE = len(STEPS)
_LIVING = np.dtype(
    [
        ("user", "i8"), ("waits", "f8"), ("rate", "f8"), ("drops", "f8"), ("customer", "?"), ("region", "i2"),
        ("device", "i1"), ("segment", "i1"), ("variants", "u4"), ("assigned", "u2"), ("new", "i4"), ("spend", "f8"),
    ]
)  # fmt: skip
VISIT = np.dtype(
    [
        ("user", "i8"), ("kind", "i1"), ("device", "i1"), ("region", "i2"), ("segment", "i1"), ("campaign", "i2"),
        ("caused", "?"), ("start", "i4"), ("lasts", "i4"), ("deep", "i1"), ("searched", "?"), ("priced", "?"),
        ("ships_free", "?"), ("first_order", "?"), ("clock", "f8"), ("order", "i4"), ("spend", "f8"),
    ]
)  # fmt: skip
"""A visit.

`user` is a number, negative for visitors and crawlers; `start` and `lasts` are milliseconds, of the day; `deep` counts
the steps reached, 0 to 4; `clock` is the operational time of the region; `order` numbers the day's orders from 1;
`spend` is the scale of what the user's orders come to.
"""
_UNIFORMS = 11
_LONGEST = 3_000_000


@dataclass(frozen=True)
class Visits:
    """Hold the visits of one day in the order of their start, and the assignments that they brought.

    Attributes:
        rows: An array of `VISIT`.
        assigned: User, experiment, variant, and milliseconds into the day.
    """

    rows: np.ndarray
    assigned: np.ndarray


@dataclass(frozen=True)
class Running:
    """Describe what an experiment does on one day."""

    place: int
    exposure: str
    effects: tuple[tuple[int, Effect, float], ...]
    ships_free: tuple[int, ...]


class Process:
    """Hold everybody who may come back, from one day to the next."""

    def __init__(self, shop: Shop, calendar: Calendar) -> None:
        self.shop = shop
        self.calendar = calendar
        self.living = np.zeros(0, dtype=_LIVING)
        self.clock = np.zeros(len(REGIONS))
        rates = shop.funnel
        purchase = np.array(rates.purchase.numbers())
        mix = np.array(shop.visits.devices.numbers())
        mix = mix / mix.sum()
        self._mix = mix
        self._purchase = purchase
        own, other = 1 - shop.visits.other_device, shop.visits.other_device
        # P(order | visit) of users by main device
        self.orders_a_visit = (
            rates.view_product * rates.add_to_cart * rates.begin_checkout * (own * purchase + other * (mix @ purchase))
        )
        self._dropout = shop.purchases.a * np.array(shop.purchases.dropout.numbers())

    def day(self, today: Today, signing_up: People) -> Visits:
        """Live through a day."""
        rng = stream(self.shop.seed, "visits", today.number)
        self._begin(today, signing_up)
        running = tuple(self.running(today.number))
        clicks = click_chances(today, self.calendar)
        rounds: list[np.ndarray] = []
        assigned: list[np.ndarray] = []
        due = np.flatnonzero(self.living["waits"] <= 0)
        while len(due):
            visits = self._visit(due, today, signing_up, rng, running, clicks)
            rounds.append(visits)
            assigned.append(self._assign(due, len(rounds), running))
            due = due[self.living["waits"][due] <= 0]
        rows = joined(rounds, VISIT)
        rows["start"] = _in_turn(rows["user"], rows["start"])
        dated = _dated(joined(assigned, _ASSIGNED), rounds, rows)
        rows["lasts"] = np.minimum(_durations(rows["deep"], rng), today.length - 1 - rows["start"])
        return Visits(rows, dated)

    def _begin(self, today: Today, signing_up: People) -> None:
        """Let time pass, forget who is gone, and welcome who signs up."""
        self.clock += today.paces
        living = self.living
        living["waits"] -= today.paces[living["region"]]
        gone = np.isinf(living["waits"])
        if gone.sum() * 8 > len(living):
            living = living[~gone]
        new = np.zeros(len(signing_up), dtype=_LIVING)
        new["user"] = signing_up.number
        new["waits"] = -today.paces[signing_up.region] * (1 - signing_up.uniform)
        new["rate"] = signing_up.rate
        new["region"] = signing_up.region
        new["device"] = signing_up.device
        new["segment"] = signing_up.segment
        new["variants"] = signing_up.variants
        new["new"] = np.arange(1, len(new) + 1)
        living["new"] = 0
        self.living = joined([living, new], _LIVING)

    def running(self, day: int) -> Iterator[Running]:
        """Tell what each experiment does on a day: lifts that fade, by variant."""
        for place, experiment in enumerate(self.shop.experiments.values()):
            span = self.shop.span(experiment)
            if day not in span:
                continue
            names = list(experiment.variants)
            effects = tuple(
                (names.index(name), effect, faded(effect, day - span.start))
                for name, effects in experiment.effects.items()
                for effect in effects
            )
            ships_free = tuple(names.index(name) for name in experiment.free_shipping)
            yield Running(place, experiment.exposure, effects, ships_free)

    def _visit(
        self,
        due: np.ndarray,
        today: Today,
        signing_up: People,
        rng: np.random.Generator,
        running: tuple[Running, ...],
        clicks: np.ndarray,
    ) -> np.ndarray:
        """Let everybody who is due visit once, and draw when each comes next."""
        shop, who = self.shop, self.living[due]
        uniform = rng.random((_UNIFORMS, len(due)))
        visits = np.zeros(len(due), dtype=VISIT)
        for name in ("user", "region", "segment"):
            visits[name] = who[name]
        visits["clock"] = self.clock[who["region"]] + who["waits"]
        other = uniform[0] < shop.visits.other_device
        device = np.where(other, drawn(uniform[1], self._mix), who["device"])
        visits["device"] = device
        visits["searched"] = uniform[2] < shop.funnel.search
        visits["priced"] = uniform[3] < shop.funnel.pricing_page
        visits["deep"], visits["ships_free"] = self._steps(uniform[4:8], who, visits, running)
        self._start(visits, who, today, signing_up, uniform[8])
        come_through(visits, clicks, uniform[9], today.running, first=who["new"] > 0)
        bought = visits["deep"] == PURCHASE
        visits["first_order"] = bought & ~who["customer"]
        leaves = np.where(
            bought, uniform[10] < who["drops"], ~who["customer"] & (uniform[10] < shop.visits.lead_leaves)
        )
        who["new"] = -np.abs(who["new"])  # further visits of the day are no sign-ups
        self._become_customers(who, visits["first_order"], rng)
        with np.errstate(divide="ignore"):
            gap = rng.standard_exponential(len(due)) / who["rate"]
        visits["spend"] = who["spend"]
        who["waits"] = np.where(leaves, np.inf, who["waits"] + gap)
        self.living[due] = who
        return visits

    def _steps(
        self, uniform: np.ndarray, who: np.ndarray, visits: np.ndarray, running: tuple[Running, ...]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw how far visits go, and which of them, if they come to an order, ship for nothing."""
        here = np.ones(len(who), dtype=bool)
        deep = np.zeros(len(who), dtype=np.int8)
        for place, step in enumerate(STEPS):
            here = here & (uniform[place] < self._chance(step, who, visits, running))
            deep += here
        ships_free = np.zeros(len(who), dtype=bool)
        for experiment in running:
            for variant in experiment.ships_free:
                ships_free |= _exposed(experiment, visits) & (_variant(who, experiment.place) == variant)
        return deep, ships_free

    def _chance(
        self, step: Step, who: np.ndarray, visits: np.ndarray, running: tuple[Running, ...]
    ) -> float | np.ndarray:
        """Return the probability of a step, of visits that reached the step before it: lifts act from exposure on."""
        base = self._purchase[visits["device"]] if step == "purchase" else getattr(self.shop.funnel, step)
        rate: float | np.ndarray = base
        for experiment in running:
            for variant, effect, lift in experiment.effects:
                if effect.step == step:
                    hit = _exposed(experiment, visits) & (_variant(who, experiment.place) == variant)
                    if effect.segment is not None:
                        hit = hit & (who["segment"] == SEGMENTS.index(effect.segment))
                    rate = np.where(hit, rate * (1 + lift), rate)
        return rate

    def orders_a_visit_on(self, day: int, who: np.ndarray) -> np.ndarray:
        """Return P(order | visit) of users on a day, under the variants of the experiments that run.

        Args:
            day: The number of the day.
            who: An array with `device` (the main one), `segment` and `variants`.
        """
        running = tuple(self.running(day))
        if not any(experiment.effects for experiment in running):
            chances: np.ndarray = self.orders_a_visit[who["device"]]
            return chances
        visits = np.zeros(len(who), dtype=[("device", "i1"), ("searched", "?"), ("priced", "?")])
        own = 1 - self.shop.visits.other_device
        total = np.zeros(len(who))
        for device, searched, priced in itertools.product(range(len(DEVICES)), (False, True), (False, True)):
            visits["device"], visits["searched"], visits["priced"] = device, searched, priced
            weight = own * (who["device"] == device) + (1 - own) * self._mix[device]
            for happens, rate in ((searched, self.shop.funnel.search), (priced, self.shop.funnel.pricing_page)):
                weight = weight * (rate if happens else 1 - rate)
            for step in STEPS:
                weight = weight * self._chance(step, who, visits, running)
            total += weight
        return total

    def _start(
        self, visits: np.ndarray, who: np.ndarray, today: Today, signing_up: People, uniform: np.ndarray
    ) -> None:
        """Say when visits start: at the sign-up, after it on the same day, or at the hours of the country."""
        start = today.moments(REGION_COUNTRY[who["region"]], uniform)
        new = np.flatnonzero(who["new"])
        if len(new):
            signed_up = signing_up.at[np.abs(who["new"][new]) - 1]
            again = signed_up + (uniform[new] * (today.length - signed_up)).astype(np.int64)
            start[new] = np.where(who["new"][new] > 0, signed_up, again)
        visits["start"] = start

    def _become_customers(self, who: np.ndarray, bought_first: np.ndarray, rng: np.random.Generator) -> None:
        """Draw how often, and how much, those who bought for the first time will buy, and how soon they drop out."""
        first = np.flatnonzero(bought_first)
        if not len(first):
            return
        told = self.shop.purchases
        rate = rng.standard_gamma(told.r, len(first)) / told.alpha
        who["customer"][first] = True
        who["rate"][first] = rate / self.orders_a_visit[who["device"][first]]
        who["drops"][first] = rng.beta(self._dropout[who["segment"][first]], told.b)
        who["spend"][first] = self.shop.spend.gamma / rng.standard_gamma(self.shop.spend.q, len(first))

    def _assign(self, due: np.ndarray, turn: int, running: tuple[Running, ...]) -> np.ndarray:
        """Assign who visits for the first time while an experiment runs; `turn` says in which visit of the day."""
        who = self.living[due]
        told = []
        for experiment in running:
            bit = np.uint16(1 << experiment.place)
            new = np.flatnonzero((who["assigned"] & bit) == 0)
            rows = np.zeros(len(new), dtype=_ASSIGNED)
            rows["user"] = who["user"][new]
            rows["experiment"] = experiment.place
            rows["variant"] = _variant(who[new], experiment.place)
            rows["visit"] = new
            rows["turn"] = turn - 1
            told.append(rows)
            who["assigned"] |= bit
        self.living["assigned"][due] = who["assigned"]
        return joined(told, _ASSIGNED)


_ASSIGNED = np.dtype(
    [("user", "i8"), ("experiment", "i1"), ("variant", "i1"), ("visit", "i8"), ("turn", "i4"), ("at", "i4")]
)


def _exposed(experiment: Running, visits: np.ndarray) -> np.ndarray:
    """Say which visits are exposed once they reach the step that exposes them; of a search or a feature, at once."""
    marked = {"search": "searched", "pricing_page": "priced"}.get(experiment.exposure)
    exposed: np.ndarray = np.ones(len(visits), dtype=bool) if marked is None else visits[marked]
    return exposed


def _variant(who: np.ndarray, place: int) -> np.ndarray:
    variant: np.ndarray = (who["variants"] >> np.uint32(BITS * place)) & np.uint32((1 << BITS) - 1)
    return variant


def faded(effect: Effect, days: int) -> float:
    """Return what is left of a lift so many days after its experiment began.

    >>> faded(Effect(step="purchase", lift=0.2, half_life=10), 10)
    0.1
    """
    return effect.lift if effect.half_life is None else effect.lift * 0.5 ** (days / effect.half_life)


def _in_turn(users: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Give each user's visits of the day, which were drawn in turn, their starts in turn."""
    drawn_in = np.argsort(users, kind="stable")
    by_start = np.lexsort((starts, users))
    ordered = np.empty_like(starts)
    ordered[drawn_in] = starts[by_start]
    return ordered


def _dated(assigned: np.ndarray, rounds: list[np.ndarray], rows: np.ndarray) -> np.ndarray:
    """Date assignments by the visits that brought them."""
    firsts = np.cumsum([0, *(len(visits) for visits in rounds)])
    assigned["at"] = rows["start"][firsts[assigned["turn"]] + assigned["visit"]] if len(assigned) else 0
    return assigned


def _durations(deep: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw how long visits last, in milliseconds: longer the further they go, fifty minutes at most."""
    mean = 40_000 + 60_000 * deep.astype(float)
    durations: np.ndarray = np.minimum(rng.standard_gamma(2.0, len(deep)) * mean / 2 + 1_000, _LONGEST)
    return durations.astype(np.int64)


def click_chances(today: Today, calendar: Calendar) -> np.ndarray:
    """Return, by region, the cumulative probabilities that a visit was caused by, or came through, each campaign."""
    total = 1 + today.quickened.sum(axis=0)
    caused = today.quickened / total
    anyway = 1 - caused.sum(axis=0)
    campaigns = list(calendar.shop.campaigns.values())
    clicked = [anyway * campaigns[place].clicked * calendar.runs_in(place) for place in today.running]
    both = np.concatenate([caused, np.array(clicked).reshape(len(today.running), len(REGIONS))])
    return np.cumsum(both, axis=0).T


def come_through(
    visits: np.ndarray, clicks: np.ndarray, uniform: np.ndarray, running: tuple[int, ...], *, first: np.ndarray
) -> None:
    """Say by which campaign a visit came, and whether it would not have come otherwise; a first visit would."""
    count = len(running)
    visits["campaign"] = -1
    if not count:
        return
    chances = clicks[visits["region"]]
    by_cause = chances[:, count - 1]
    uniform = np.where(first, by_cause + uniform * (1 - by_cause), uniform)
    place = (uniform[:, None] >= chances).sum(axis=1)
    caused = place < count
    came = place < 2 * count
    visits["campaign"] = np.where(came, np.array(running)[place % count], -1)
    visits["caused"] = caused
