"""What was planted in the synthetic shop beside what its tables say, in a sentence each.

Belongs here: at most five sentences, each of what the tables hold; where they hold nothing yet, there is no sentence.
Does not belong here: how the truth is known (`sources.shop`), how it is looked for (`assets.shop`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analytics_assets.charts.house import share
from analytics_assets.report.words import counted, named, points, points_between

Record = Mapping[str, Any]
Tables = Mapping[str, Sequence[Record]]
READS = (
    "shop_truth",
    "shop_findings",
    "shop_dirt",
    "experiment_verdicts",
    "funnel_purchase_friction",
    "campaign_incrementality",
    "dim_campaigns",
    "customer_churn_performance",
)
"""The tables that sentences are made of; any of them may be missing."""
_LIFT = re.compile(r"experiment\.(?P<experiment>\w+)\.(?P<variant>\w+)\.(?P<step>\w+)\.lift")
_FEW = 3
_CHECKOUT = re.compile(r"funnel\.purchase\.(?P<device>\w+)")


@dataclass(frozen=True)
class Answer:
    """Hold what was planted and found of one thing.

    Attributes:
        about: What it is about, in a word or two.
        says: The sentence.
    """

    about: str
    says: str


def answers(tables: Tables) -> list[Answer]:
    """Say what was planted in the shop and what its tables say of it."""
    truth = {row["name"]: row for row in tables.get("shop_truth", ()) if row["value"] is not None}
    parts = (
        _experiment(truth, tables.get("experiment_verdicts", ())),
        _friction(tables.get("shop_findings", ()), tables.get("funnel_purchase_friction", ())),
        _campaign(truth, tables.get("campaign_incrementality", ()), tables.get("dim_campaigns", ())),
        _churn(truth, tables.get("customer_churn_performance", ())),
        _dirt(tables.get("shop_findings", ()), tables.get("shop_dirt", ())),
    )
    return [answer for part in parts for answer in part]


def _experiment(truth: Mapping[str, Record], verdicts: Sequence[Record]) -> Iterator[Answer]:
    """Tell of the first experiment that changes a step and is over."""
    lifts = {(found["experiment"], found["variant"]): name for name in truth if (found := _LIFT.fullmatch(name))}
    over = [row for row in verdicts if row["over"] and row["low"] is not None]
    for row in sorted(over, key=lambda row: (row["starts"], row["experiment"], row["variant"])):
        name = lifts.get((row["experiment"], row["variant"]))
        if name is None:
            continue
        step = name.split(".")[3]
        expected = truth[name]["reappears"].partition("verdict: ")[2]
        as_planted = "as planted" if row["verdict"] == expected else f"where {expected} was planted"
        between = points_between(row["low"], row["high"]).removesuffix(" points")
        yield Answer(
            f"experiment {row['experiment']}",
            f"the step {step} was {_lifted(truth[name]['value'])}; found {points(row['difference'])} [{between}] in "
            f"{row['metric']}. Verdict: {row['verdict']}, {as_planted}.",
        )
        return


def _lifted(lift: float) -> str:
    if not lift:
        return "left as it is"
    return f"made {share(abs(lift))} {'likelier' if lift > 0 else 'less likely'}"


def _friction(findings: Sequence[Record], friction: Sequence[Record]) -> Iterator[Answer]:
    """Tell on which device checkouts were made hardest, and whether the funnel says so."""
    seen = [row for row in findings if _CHECKOUT.fullmatch(row["name"]) and row["low"] is not None]
    devices = sorted(seen, key=lambda row: row["planted"])
    if len(devices) <= 1:
        return
    worst, best = devices[0], devices[-1]
    name, other = (row["name"].rpartition(".")[2] for row in (worst, best))
    first = next((row for row in friction if row["dimension"] and row["rank"] == 1), None)
    told = ""
    if first is not None:
        as_planted = "as planted" if (first["dimension"], first["value"]) == ("device", name) else "not as planted"
        told = f" The funnel's largest loss is {named(first['value'])} at {first['name']}, {as_planted}."
    yield Answer(
        f"checkout on {name}",
        f"{share(worst['planted'])} were to end in a purchase ({other}: {share(best['planted'])}); found "
        f"{_shares(worst)} ({other}: {_shares(best)}).{told}",
    )


def _shares(row: Record) -> str:
    low, high = (share(row[end]).removesuffix(" %") for end in ("low", "high"))
    return f"{share(row['found'])} [{low} to {high}]"


def _campaign(truth: Mapping[str, Record], found: Sequence[Record], campaigns: Sequence[Record]) -> Iterator[Answer]:
    """Tell of the campaign with most to find, and of how many the interval holds the truth."""
    planted = {
        row["campaign_id"]: truth[name]["value"]
        for row in found
        if (name := f"campaign.{row['campaign_id']}.visits") in truth
    }
    visits = [row for row in found if row["outcome"] == "visits" and row["campaign_id"] in planted]
    told = [row for row in visits if row["low"] is not None and row["complete"]]
    if not told:
        return
    most = max(told, key=lambda row: (planted[row["campaign_id"]], row["campaign_id"]))
    holding = sum(row["low"] <= planted[row["campaign_id"]] <= row["high"] for row in told)
    names = {row["campaign_id"]: row["name"] for row in campaigns}
    unknown = len(visits) - len(told)
    more = f", and {unknown} more cannot be told" if unknown else ""
    yield Answer(
        f"campaign {named(names.get(most['campaign_id'], most['campaign_id']))}",
        f"{counted(round(planted[most['campaign_id']]), 'more visit')} were planted; found {_whole(most['estimate'])} "
        f"[{_whole(most['low'])} to {_whole(most['high'])}] against regions without it. "
        f"The interval holds the truth for {holding} of {counted(len(told), 'campaign')}{more}.",
    )


def _whole(value: float) -> str:
    return f"{round(value):,}"


def _churn(truth: Mapping[str, Record], performance: Sequence[Record]) -> Iterator[Answer]:
    """Tell how well customers who leave are told from those who stay, and how well they could be."""
    best = truth.get("churn.auc")
    row = next(
        (row for row in performance if (row["model"], row["metric"]) == ("boosting", "auc") and row["low"] is not None),
        None,
    )
    if best is None or row is None:
        return
    yield Answer(
        "churn",
        f"whoever knew the truth would tell leavers from stayers with an AUC of {best['value']:.3f}; the model's is "
        f"{row['value']:.3f} [{row['low']:.3f} to {row['high']:.3f}], on {counted(row['customers'], 'customer')} of "
        f"{row['test_cut']:%Y-%m-%d}, after its training.",
    )


def _dirt(findings: Sequence[Record], dirt: Sequence[Record]) -> Iterator[Answer]:
    """Tell how much of the dirt was found, and whether what was sold is there to the cent."""
    net = next((row for row in findings if row["name"] == "happened.net"), None)
    sold = ""
    if net is not None and net["found"] is not None:
        found = "found to the cent" if net["verdict"] == "agrees" else f"found as {net['found']:,.2f}"
        sold = f"Net sales of {net['planted']:,.2f} are {found}."
    if dirt:
        wrong = [row for row in dirt if row["planted"] != row["found"]]
        most = ", ".join(f"{row['found']:,} of {row['planted']:,} {row['found_as']}" for row in wrong[:_FEW])
        told = f"{counted(len(wrong), 'kind')} not so: {most}" if wrong else "each was found as what it is"
        rows = sum(row["planted"] for row in dirt)
        yield Answer("dirt", f"{counted(rows, 'row')} of {counted(len(dirt), 'kind')} planted; {told}. {sold}".strip())
    elif sold:
        yield Answer("sales", sold)
