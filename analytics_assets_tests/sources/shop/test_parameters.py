"""What may be said of a shop, and what is told of a wrong word."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from analytics_assets.project.shop import SEGMENTS, SIZES, BySegment, Dirt, Shop


def refused(**says: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        Shop.model_validate(says)
    return "\n".join(
        f"{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in caught.value.errors(include_url=False)
    )


def experiment(**says: Any) -> dict[str, Any]:
    return {"experiments": {"x": {"starts": 0, "lasts": 1, "exposure": "view_product", **says}}}


@pytest.mark.parametrize("size", SIZES)
def test_a_size_gives_what_is_not_given(size):
    shop = Shop.model_validate({"size": size})
    assert {"users": shop.users, "products": shop.products, "days": shop.days} == SIZES[size]
    other = Shop.model_validate({"size": size, "users": 7})
    assert (other.users, other.products, other.days) == (7, shop.products, shop.days)


def test_the_default_is_the_demo_with_everything():
    shop = Shop()
    assert (shop.users, shop.products, shop.days, shop.preset) == (50_000, 1_000, 365, "everything")
    assert len(shop.campaigns) == 12
    assert set(shop.experiments) == {
        "checkout_redesign", "pdp_redesign", "aa_test", "free_shipping_banner", "recommendations_v2",
        "search_ranking", "pricing_page", "loyalty_badge",
    }  # fmt: skip
    assert all(experiment.verdict for experiment in shop.experiments.values())


def test_plain_leaves_nothing_but_the_process():
    shop = Shop(preset="plain")
    assert (shop.campaigns, shop.experiments) == ({}, {})
    assert set(shop.dirt.model_dump().values()) == {0.0}
    assert shop.season.weekdays == [1.0] * 7
    assert (shop.season.amplitude, shop.season.growth, shop.season.holidays) == (0, 0, {})
    assert (shop.orders.cancelled, shop.orders.pending) == (0, 0)
    assert len(set(shop.purchases.dropout.numbers())) == 1
    assert (shop.funnel, shop.spend, shop.visits) == (Shop().funnel, Shop().spend, Shop().visits)


def test_a_preset_names_every_kind_of_dirt():
    assert set(Shop(preset="plain").dirt.model_dump()) == set(Dirt.model_fields)


def test_part_of_a_mapping_leaves_the_rest_as_preset():
    shop = Shop.model_validate({"preset": "plain", "dirt": {"late": 0.1}, "orders": {"shipping": 1}})
    assert (shop.dirt.late, shop.dirt.bots) == (0.1, 0)
    assert (shop.orders.shipping, shop.orders.cancelled) == (1, 0)
    assert shop.orders.returned == Shop().orders.returned
    told = Shop.model_validate({"preset": "plain", "purchases": {"dropout": {"loyal": 0.5}, "r": 2}})
    assert told.purchases.dropout.numbers() == (1, 1, 0.5)
    assert (told.purchases.r, told.purchases.b) == (2, Shop().purchases.b)


def test_what_is_given_of_what_a_preset_took_away_stands_alone():
    shop = Shop.model_validate({"preset": "plain", **experiment()})
    assert list(shop.experiments) == ["x"]
    assert Shop.model_validate({"experiments": {}, "campaigns": {}}).experiments == {}
    season = Shop.model_validate({"preset": "plain", "season": {"holidays": {"02-29": 2}}}).season
    assert (season.holidays, season.amplitude) == ({"02-29": 2}, 0)


def test_a_shop_is_the_same_after_it_was_written_down():
    shop = Shop.model_validate({"preset": "plain", "size": "tiny", "dirt": {"late": 0.1}, "seed": 2**63 - 1})
    assert Shop.model_validate_json(shop.model_dump_json()) == shop
    assert Shop.model_validate_json(Shop().model_dump_json()) == Shop()


def test_numbers_come_in_the_order_of_their_names():
    assert BySegment(loyal=3, standard=2, bargain=1).numbers() == (1, 2, 3)
    assert SEGMENTS == ("bargain", "standard", "loyal")


@pytest.mark.parametrize(
    ("says", "told"),
    [
        ({"preset": "plane"}, "preset: Input should be 'everything' or 'plain'"),
        ({"size": "huge"}, "size: Input should be 'tiny' or 'demo'"),
        ({"users": 0}, "users: Input should be greater than or equal to 1"),
        ({"users": -5}, "users: Input should be greater than or equal to 1"),
        ({"products": 100_001}, "products: Input should be less than or equal to 100000"),
        ({"days": 0}, "days: Input should be greater than or equal to 1"),
        ({"seed": -1}, "seed: Input should be greater than or equal to 0"),
        ({"seed": 2**63}, "seed: Input should be less than 9223372036854775808"),
        ({"sead": 1}, "sead: Extra inputs are not permitted"),
        ({"dirt": {"late": 1.1}}, "dirt.late: Input should be less than or equal to 1"),
        ({"dirt": {"late": -0.1}}, "dirt.late: Input should be greater than or equal to 0"),
        ({"dirt": {"mud": 0.1}}, "dirt.mud: Extra inputs are not permitted"),
        ({"funnel": {"view_product": 1.5}}, "funnel.view_product: Input should be less than or equal to 1"),
        ({"funnel": {"purchase": {"mobile": 0.5}}}, "funnel.purchase.desktop: Field required"),
        ({"purchases": {"alpha": 0}}, "purchases.alpha: Input should be greater than 0"),
        ({"purchases": {"dropout": {"loyal": 0.5}}}, "purchases.dropout.bargain: Field required"),
        ({"spend": {"q": 1}}, "spend.q: Input should be greater than 1"),
        ({"season": {"weekdays": [1.0] * 6}}, "season.weekdays: List should have at least 7 items"),
        ({"season": {"holidays": {"13-01": 2}}}, "'13-01' is no day of a year: write month-day, such as 11-28"),
        ({"season": {"growth": -1}}, "season.growth: Input should be greater than -1"),
        ({"campaigns": {"c": {"name": "c", "channel": "tv", "starts": 0, "lasts": 1, "uplift": 0, "spend": 1}}},
         "campaigns.c.channel: Input should be 'search'"),
        ({"campaigns": {"c": {"name": "c", "channel": "email", "starts": 0, "lasts": 1, "uplift": -1, "spend": 1}}},
         "campaigns.c.uplift: Input should be greater than or equal to 0"),
        (experiment(variants={"a": 0.5, "b": 0.4}), "the shares of its variants come to 0.9"),
        (experiment(variants={"a": 1}), "experiments.x.variants: Dictionary should have at least 2 items"),
        (experiment(variants={"a": 1.5, "b": -0.5}), "experiments.x.variants.b: Input should be greater than 0"),
        (experiment(variants=dict.fromkeys("abcde", 0.2)), "experiments.x.variants: Dictionary should have at most 4"),
        (experiment(lost={"treatmant": 0.1}), "there is no variant 'treatmant'; it has control, treatment"),
        (experiment(free_shipping=["b"]), "there is no variant 'b'; it has control, treatment"),
        (experiment(effects={"b": []}), "there is no variant 'b'; it has control, treatment"),
        (experiment(exposure="purchase"), "experiments.x.exposure: Input should be 'page_view', 'search'"),
        (experiment(effects={"treatment": [{"step": "view_product", "lift": 1}]}),
         "view_product does not come after view_product, by which a visit is exposed"),
        (experiment(exposure="begin_checkout", effects={"treatment": [{"step": "add_to_cart", "lift": 1}]}),
         "add_to_cart does not come after begin_checkout, by which a visit is exposed"),
        (experiment(effects={"treatment": [{"step": "purchase", "lift": -1}]}), "Input should be greater than -1"),
        (experiment(effects={"treatment": [{"step": "search", "lift": 1}]}), "step: Input should be 'view_product'"),
        ({"experiments": {f"x{n}": experiment()["experiments"]["x"] for n in range(16)}}, "at most 15 items"),
    ],
)  # fmt: skip
def test_a_wrong_word_is_refused(says, told):
    assert told in refused(**says)


def test_what_is_no_mapping_is_refused():
    with pytest.raises(ValidationError, match="valid dictionary or instance of Shop"):
        Shop.model_validate([1])


@pytest.mark.parametrize(
    ("says", "told"),
    [
        ({"visits": {"devices": {"mobile": 0.5, "desktop": 0.1, "tablet": 0.1}}}, "devices come to 0.7, not to 1"),
        ({"visits": {"segments": {"bargain": 5, "standard": 4, "loyal": 1}}}, "segments come to 10, not to 1"),
        ({"orders": {"cancelled": 0.7, "pending": 0.6}}, "cancelled and pending come to 1.3, more than all orders"),
        ({"purchases": {"r": float("inf")}}, "purchases.r: Input should be a finite number"),
    ],
)
def test_shares_that_do_not_add_up_are_refused(says, told):
    assert told in refused(**says)
