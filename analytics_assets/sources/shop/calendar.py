"""The pace of a day: season, weekday and hour in the time of each country, and the campaigns that quicken visits.

Operational time runs at this pace: a day at pace 1.5 holds as many visits as a day and a half of the ordinary kind, so
that the process of purchases is the same in operational time whatever the calendar does.

Belongs here: pace and clocks. Does not belong here: anybody who visits.
"""

from __future__ import annotations

import datetime as dt
import functools
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np

from analytics_assets.project.shop import Campaign, Shop
from analytics_assets.sources.shop.streams import stream
from analytics_assets.sources.shop.vocabulary import COUNTRIES, REGION_COUNTRY, REGIONS

_HOURS = np.array([0.3, 0.15, 0.1, 0.08, 0.08, 0.15, 0.4, 0.7, 0.9, 1.1, 1.2, 1.3, 1.45, 1.3, 1.15, 1.1, 1.2, 1.4, 1.6,
                   1.9, 2.1, 1.9, 1.3, 0.7])  # fmt: skip
_HOURS = _HOURS * 24 / _HOURS.sum()


@dataclass(frozen=True)
class Today:
    """Hold the pace of one reporting day.

    Attributes:
        date: The day.
        number: Days since the shop opened.
        starts: Its first instant, in milliseconds since 1970 UTC.
        length: Its milliseconds: 23 to 25 hours.
        paces: The pace of visits by region, campaigns included.
        quickened: What each running campaign adds to a pace of 1, by region.
        running: The places of the campaigns that run, among all.
        hours: Cumulative share of a country's visits by hour of the reporting day: countries x 25.
    """

    date: dt.date
    number: int
    starts: int
    length: int
    paces: np.ndarray
    quickened: np.ndarray
    running: tuple[int, ...]
    hours: np.ndarray

    def moments(self, country: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        """Return milliseconds into the day, at the hours at which people of the countries come."""
        cumulated = self.hours[country]
        hour = (cumulated[:, 1:-1] <= uniform[:, None]).sum(axis=1)
        rows = np.arange(len(hour))
        below = cumulated[rows, hour]
        width = cumulated[rows, hour + 1] - below
        moments: np.ndarray = ((hour + (uniform - below) / width) * (self.length / 24)).astype(np.int64)
        return moments


class Calendar:
    """Tell the pace of every day of a shop."""

    def __init__(self, shop: Shop, first_day: dt.date, zone: str) -> None:
        self.shop = shop
        self.first_day = first_day
        self._zone = ZoneInfo(zone)
        self._zones = [ZoneInfo(country.zone) for country in COUNTRIES]
        self._withheld = [self._regions_without(name, campaign) for name, campaign in shop.campaigns.items()]
        self._arrivals = np.zeros(1)

    def _regions_without(self, name: str, campaign: Campaign) -> np.ndarray:
        """Draw the regions in which a campaign does not run."""
        order = stream(self.shop.seed, f"withheld {name}").permutation(len(REGIONS))
        return order[: round(campaign.withheld * len(REGIONS))]

    def withheld(self, campaign: str) -> list[str]:
        """Name the regions in which a campaign does not run."""
        place = list(self.shop.campaigns).index(campaign)
        return sorted(REGIONS[region][1] for region in self._withheld[place])

    def season(self, date: dt.date) -> float:
        """Return the pace of a date but for weekdays: the yearly wave, growth, and the day itself."""
        season = self.shop.season
        angle = 2 * np.pi * (date.timetuple().tm_yday - season.peak_day) / 365.25
        grown = (1 + season.growth) ** ((date - self.first_day).days / 365)
        return float((1 + season.amplitude * np.cos(angle)) * grown * season.holidays.get(f"{date:%m-%d}", 1.0))

    @functools.lru_cache(maxsize=64)  # noqa: B019 - a calendar lives as long as its shop
    def today(self, number: int) -> Today:
        """Tell the pace of a day by its number."""
        date = self.first_day + dt.timedelta(days=number)
        midnight = dt.datetime.combine(date, dt.time(), self._zone)
        morrow = dt.datetime.combine(date + dt.timedelta(days=1), dt.time(), self._zone)
        starts, ends = (int(moment.timestamp()) * 1000 for moment in (midnight, morrow))
        noon = dt.datetime.fromtimestamp(starts / 1000 + 12 * 3600, dt.UTC)
        own = _offset(noon, self._zone)
        season = self.season(date)
        weekdays = np.array(self.shop.season.weekdays)
        profiles = np.empty((len(COUNTRIES), 24))
        for place, zone in enumerate(self._zones):
            local = np.arange(24) + round((_offset(noon, zone) - own) / 3600)
            profiles[place] = _HOURS[local % 24] * weekdays[(date.weekday() + local // 24) % 7] / 24
        of_country = profiles.sum(axis=1)
        running, quickened = self._campaigns(number)
        paces = season * of_country[REGION_COUNTRY] * (1 + quickened.sum(axis=0))
        hours = np.concatenate([np.zeros((len(COUNTRIES), 1)), np.cumsum(profiles, axis=1)], axis=1)
        return Today(
            date=date,
            number=number,
            starts=starts,
            length=ends - starts,
            paces=paces,
            quickened=quickened,
            running=running,
            hours=hours / hours[:, -1:],
        )

    def _campaigns(self, number: int) -> tuple[tuple[int, ...], np.ndarray]:
        """Return the campaigns that run on a day, and what each adds in each region."""
        running = [
            place for place, campaign in enumerate(self.shop.campaigns.values()) if number in self.shop.span(campaign)
        ]
        added = np.zeros((len(running), len(REGIONS)))
        campaigns = list(self.shop.campaigns.values())
        for row, place in enumerate(running):
            added[row] = campaigns[place].uplift
            added[row, self._withheld[place]] = 0
        return tuple(running), added

    def runs_in(self, place: int) -> np.ndarray:
        """Say of each region whether a campaign runs there."""
        runs = np.ones(len(REGIONS), dtype=bool)
        runs[self._withheld[place]] = False
        return runs

    def sign_ups(self, number: int) -> range:
        """Return the numbers of the users who sign up on a day; users are numbered in the order of their sign-ups."""
        while len(self._arrivals) <= max(number + 1, self.shop.days):
            known = len(self._arrivals) - 1
            more = np.array([self._arrivals_on(known + ahead) for ahead in range(self.shop.days)])
            self._arrivals = np.concatenate([self._arrivals, self._arrivals[-1] + np.cumsum(more)])
        scale = self.shop.users / self._arrivals[self.shop.days]
        # the day's share of users, rounded so that all `days` together have exactly `users`
        first, last = (int(np.floor(self._arrivals[n] * scale + 0.5)) for n in (number, number + 1))
        return range(first, last)

    def _arrivals_on(self, number: int) -> float:
        date = self.first_day + dt.timedelta(days=number)
        return self.season(date) * float(self.shop.season.weekdays[date.weekday()])


def _offset(moment: dt.datetime, zone: ZoneInfo) -> float:
    """Return the seconds by which a zone is ahead of UTC."""
    ahead = moment.astimezone(zone).utcoffset()
    return ahead.total_seconds() if ahead else 0.0
