"""What cases about experiments ask of `statistics`: their inputs as moments, and our answer under their keys.

A case that asks for what the project leaves out on purpose raises `UnsupportedError` with the reason. A convention is
told by a case's method, parameters and convention, never by its id.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from analytics_assets.statistics import adjustment, multiple, proportions, ranks
from analytics_assets.statistics.bayes import Prior, best_share, posterior
from analytics_assets.statistics.effects import Arm, Contrast, Effect, contrast, critical_value, difference, lift
from analytics_assets.statistics.logistic import logistic
from analytics_assets.statistics.means import clustered_means, means, ratios
from analytics_assets.statistics.moments import Moments
from analytics_assets.statistics.noninferiority import non_inferiority
from analytics_assets.statistics.power import Design, detectable_effect, power, power_of_shares, units_needed
from analytics_assets.statistics.quantiles import Quantile, cluster_variance, quantile_of_bounds, quantiles
from analytics_assets.statistics.sequential import always_valid, boundaries
from analytics_assets.statistics.srm import binomial_sample_ratio, sample_ratio

Case = Mapping[str, Any]
Answer = dict[str, Any]


class UnsupportedError(Exception):
    """Say why the project does not offer what a case asks for."""


def answer(case: Case) -> Answer:
    """Compute what a case expects, under the same keys."""
    method = case["method"]
    if method in _UNSUPPORTED:
        raise UnsupportedError(_UNSUPPORTED[method])
    return _ANSWERS[method](case)


# --- inputs


def moments(arm: Mapping[str, Any]) -> Moments:
    """Read an arm: raw values, a mean, a ratio, a covariate beside either, or successes."""
    if "values" in arm:
        return Moments.of(arm["values"])
    n = arm["n"]
    if "successes" in arm and "sum" not in arm:
        arm = {**arm, "sum": arm["successes"], "sum_squares": arm["successes"]}
    if "num_sum" in arm:
        names = ["num", "den", *(["pre_num", "pre_den"] if "pre_num_sum" in arm else [])]
        sums = [arm[f"{name}_sum"] for name in names]
        products = [
            [
                arm[f"{a}_sum_squares"] if a == b else arm.get(f"{a}_{b}_product", arm.get(f"{b}_{a}_product"))
                for b in names
            ]
            for a in names
        ]
        return Moments.from_sums(n, sums, products)
    if "pre_sum" in arm:
        joint = arm["sum_pre_product"]
        squares = [arm["sum_squares"], arm.get("pre_sum_squares", arm["pre_sum"])]
        return Moments.from_sums(n, [arm["sum"], arm["pre_sum"]], [[squares[0], joint], [joint, squares[1]]])
    return Moments.from_sums(n, [arm["sum"]], [[arm["sum_squares"]]])


def kind_of(case: Case) -> str:
    """Tell what kind of metric a case has: said, or seen from its inputs."""
    if said := case["params"].get("kind"):
        return str(said)
    arm = case["inputs"]["control"]
    if "num_sum" in arm:
        return "cuped_ratio" if "pre_num_sum" in arm else "ratio"
    if "quantile_hat" in arm:
        return "quantile_clustered" if "n_clusters" in arm else "quantile"
    if "pre_sum" in arm:
        return "cuped_mean"
    return "proportion" if "successes" in arm else "mean"


def quantile_of(arm: Mapping[str, Any]) -> Quantile:
    """Read a quantile with its bounds; the peer counts rows, also in clusters, and takes n - 1 of n of the variance."""
    n, q = arm["n"], arm["nu"]
    inflation = arm.get("n_star", n) / n * (n - 1) / n
    if "n_clusters" in arm:
        joint = arm["main_denominator_sum_product"]
        clusters = Moments.from_sums(
            arm["n_clusters"],
            [arm["main_sum"], arm["denominator_sum"]],
            [[arm["main_sum_squares"], joint], [joint, arm["denominator_sum_squares"]]],
        )
        inflation *= cluster_variance(clusters) / (q * (1 - q) / n)
    return quantile_of_bounds(
        q, arm["quantile_hat"], arm["quantile_lower"], arm["quantile_upper"], n, inflation=inflation
    )


def two_arms(case: Case) -> Contrast:
    """Make the contrast that a case is about."""
    control, treatment = case["inputs"]["control"], case["inputs"]["treatment"]
    kind = kind_of(case)
    if kind == "proportion":
        return proportions.shares(
            *(int(arm.get(key, arm.get("sum"))) for arm in (control, treatment) for key in ("successes", "n"))
        )
    if kind.startswith("quantile"):
        return quantiles(quantile_of(control), quantile_of(treatment))
    make: Callable[..., Contrast] = {
        "mean": means,
        "count": means,
        "ratio": ratios,
        "cuped_mean": adjustment.cuped,
        "cuped_proportion": adjustment.cuped,
        "cuped_ratio": lambda a, b: adjustment.cuped_ratios(a, b, pooling="arms"),
    }[kind]
    return make(moments(control), moments(treatment))


def alpha_of(params: Mapping[str, Any]) -> float:
    return float(params["alpha"]) if "alpha" in params else 1 - float(params.get("confidence_level", 0.95))


# --- answers


def told(effect: Effect, two: Contrast | None = None, prefix: str = "") -> Answer:
    """Write an effect under the keys of the oracles."""
    found = {
        f"{prefix}estimate": effect.estimate,
        f"{prefix}ci_lower": effect.low,
        f"{prefix}ci_upper": effect.high,
        f"{prefix}std_error": effect.std_error,
        "p_value": effect.p_value,
        "statistic": effect.statistic,
        "df": effect.df,
        "control_mean": effect.control,
        "treatment_mean": effect.treatment,
    }
    return {**found, "theta": two.theta} if two is not None else found


def inferred(case: Case, two: Contrast, **options: Any) -> Effect:
    """Infer a difference or a lift, as the case says."""
    params = case["params"]
    asked = {"alpha": alpha_of(params), "alternative": params.get("alternative", "two-sided"), **options}
    return (lift if params.get("difference_type") == "relative" else difference)(two, **asked)


def fixed_horizon(case: Case) -> Answer:
    two = two_arms(case)
    return told(inferred(case, two), two)


def normal(case: Case) -> Answer:
    return told(inferred(case, two_arms(case), reference="normal"))


def t_test(case: Case) -> Answer:
    pair = [moments(case["inputs"][arm]) for arm in ("control", "treatment")]
    return told(inferred(case, means(*pair, equal_variances=bool(case["params"].get("equal_var")))))


def log_lift(case: Case) -> Answer:
    """Give the lift on the log scale with the difference beside it: the peer's p-value is the difference's."""
    params, (control, treatment) = case["params"], (moments(case["inputs"][arm]) for arm in ("control", "treatment"))
    if params.get("equal_var"):
        raise UnsupportedError("variances of outcomes over their means are never taken as equal")
    kind = kind_of(case)
    two = {
        "cuped_mean": lambda: adjustment.cuped(control, treatment, baseline="adjusted"),
        "cuped_ratio": lambda: adjustment.cuped_ratios(control, treatment, baseline="adjusted"),
        "ratio": lambda: ratios(control, treatment),
    }.get(kind, lambda: means(control, treatment))()
    asked = {
        "alpha": alpha_of(params),
        "alternative": params.get("alternative", "two-sided"),
        "reference": "t" if params.get("use_t", True) else "normal",
    }
    relative, absolute = lift(two, method="log", **asked), difference(two, **asked)
    return {**told(relative, prefix="rel_"), **told(absolute, two)}


def fieller(case: Case) -> Answer:
    two = two_arms(case)
    if "s2/(n-1)" in case["convention"]:
        arms = [moments(case["inputs"][arm]) for arm in ("control", "treatment")]
        two = contrast(*(Arm(of.n, 0.0, of.mean(), of.variance() * of.n / (of.n - 1)) for of in arms))
    alpha = alpha_of(case["params"])
    effect = lift(two, method="fieller", alpha=alpha, reference="normal")
    z = critical_value(alpha, None, "two-sided")
    assert two.control_variance is not None
    assert two.control is not None
    return {**told(effect), "defined": effect.low is not None, "g": z * z * two.control_variance / two.control**2}


def pooled_z(case: Case) -> Answer:
    control, treatment, params = case["inputs"]["control"], case["inputs"]["treatment"], case["params"]
    counts = (control["successes"], control["n"], treatment["successes"], treatment["n"])
    return told(
        proportions.pooled_z(
            *counts,
            alpha=alpha_of(params),
            alternative=params.get("alternative", "two-sided"),
            correction=bool(params.get("correction")),
        )
    )


def two_shares_interval(case: Case) -> Answer:
    control, treatment, params = case["inputs"]["control"], case["inputs"]["treatment"], case["params"]
    counts = (control["successes"], control["n"], treatment["successes"], treatment["n"])
    method, compare, alpha = params["method"], params.get("compare", "diff"), alpha_of(params)
    if compare == "odds-ratio" and method == "logit":
        fitted = logistic([counts[0], counts[2]], {"treatment": [0, 1]}, trials=[counts[1], counts[3]], alpha=alpha)[
            "treatment"
        ]
        return {"ci_lower": fitted.low, "ci_upper": fitted.high}
    if compare == "ratio" and method in {"log", "log-adjusted"}:
        found = proportions.ratio_interval(*counts, alpha=alpha, method=method)
    elif compare == "diff" and method in _OF_DIFFERENCES:
        correction = bool(params.get("correction"))
        found = proportions.difference_interval(
            *counts, alpha=alpha, method=_OF_DIFFERENCES[method], correction=correction
        )
        if method == "score":
            _without_slip(case, counts, (found.low, found.high), correction=correction)
    else:
        raise UnsupportedError(f"no interval of a {compare} by the method {method}: differences and lifts have others")
    return {"ci_lower": found.low, "ci_upper": found.high}


def _without_slip(case: Case, counts: tuple[int, int, int, int], found: tuple[Any, Any], *, correction: bool) -> None:
    """Refuse a score interval whose restricted share has a count where Miettinen and Nurminen (1985) have a size.

    statsmodels 0.15 has that slip in `score_test_proportions_2indep`; it matters unless shares are small.
    """
    s, n, t, m = counts
    expected = [float(case["expected"][end]) for end in ("ci_lower", "ci_upper")]
    total, z = n + m, critical_value(alpha_of(case["params"]), None, "two-sided")
    slips = []
    for ours, null in zip(found, expected, strict=True):
        l2, l1 = (m + 2 * n) * null - total - s - t, (s * null - total - 2 * s) * null + s + t
        q = (l2 / (3 * total)) ** 3 - l1 * l2 / (6 * total**2) + s * null * (1 - null) / (2 * total)
        p = math.copysign(math.sqrt(max((l2 / (3 * total)) ** 2 - l1 / (3 * total), 0.0)), q)
        if not p or abs(q / p**3) > 1:
            return
        share = 2 * p * math.cos((math.pi + math.acos(q / p**3)) / 3) - l2 / (3 * total)
        variance = share * (1 - share) / n + (share + null) * (1 - share - null) / m
        variance *= total / (total - 1) if correction else 1
        at_the_end = math.isclose(abs(t / m - s / n - null), z * math.sqrt(max(variance, 0.0)), rel_tol=1e-5)
        slips.append(at_the_end and not math.isclose(ours, null, rel_tol=1e-6, abs_tol=1e-9))
    if all(slips):
        raise UnsupportedError("its restricted share has a count where Miettinen and Nurminen (1985) have a size")


def one_share_interval(case: Case) -> Answer:
    params = case["params"]
    if params["method"] not in _OF_SHARES:
        raise UnsupportedError(f"no interval of one share by the method {params['method']}")
    counts = case["inputs"]["successes"], case["inputs"]["n"]
    found = proportions.share_interval(*counts, alpha=alpha_of(params), method=_OF_SHARES[params["method"]])
    return {"ci_lower": found.low, "ci_upper": found.high}


def chi_square(case: Case) -> Answer:
    params = case["params"]
    which = params.get("lambda_")
    if which not in {None, "pearson", "log-likelihood", 0, 1}:
        raise UnsupportedError(f"no power divergence of {which}")
    found = proportions.chi_square(
        case["inputs"]["table"],
        correction=bool(params.get("correction")),
        likelihood_ratio=which in {"log-likelihood", 0},
    )
    return {"statistic": found.statistic, "p_value": found.p_value, "df": found.df}


def chi_square_of_arms(case: Case) -> Answer:
    """Give the p-value of chi-square, and the unpooled interval."""
    control, treatment = case["inputs"]["control"], case["inputs"]["treatment"]
    hits = [treatment["successes"], control["successes"]]
    table = [hits, [treatment["n"] - hits[0], control["n"] - hits[1]]]
    return {**normal(case), "p_value": proportions.chi_square(table).p_value}


def exact(case: Case) -> Answer:
    params, table = case["params"], case["inputs"]["table"]
    alternative = params.get("alternative", "two-sided")
    points = {"points": params["n"]} if "n" in params else {}
    if case["method"] == "fisher_exact":
        found = proportions.fisher_exact(table, alternative=alternative)
    elif case["method"] == "barnard_exact":
        pooled = params.get("pooled", True)
        found = proportions.barnard_exact(table, alternative=alternative, pooled=pooled, **points)
    else:
        found = proportions.boschloo_exact(table, alternative=alternative, **points)
    return {"statistic": found.statistic, "odds_ratio": found.statistic, "p_value": found.p_value}


def mann_whitney(case: Case) -> Answer:
    params = case["params"]
    found = ranks.mann_whitney(
        *(case["inputs"][arm]["values"] for arm in ("control", "treatment")),
        alternative=params.get("alternative", "two-sided"),
        continuity=params.get("use_continuity", True),
        method=params.get("method", "auto"),
    )
    return {"statistic": found.statistic, "p_value": found.p_value, "estimate": found.superiority}


def regression(case: Case) -> Answer:
    control, treatment, params = case["inputs"]["control"], case["inputs"]["treatment"], case["params"]
    errors = params.get("cov_type", "HC2")
    if errors not in {"HC0", "HC1", "HC2", "HC3", "nonrobust"}:
        raise UnsupportedError(f"no covariance of type {errors}")
    two = adjustment.regression_adjusted(
        [*control["y"], *treatment["y"]],
        [0] * len(control["y"]) + [1] * len(treatment["y"]),
        [*control["x"], *treatment["x"]],
        interact=bool(params.get("interact")),
        errors="classical" if errors == "nonrobust" else errors,
    )
    use_t = params.get("use_t", errors == "nonrobust")
    return told(difference(two, alpha=alpha_of(params), reference="t" if use_t else "normal"))


def post_stratification(case: Case) -> Answer:
    kind = case["params"].get("kind", "mean")
    if kind == "cuped_ratio":
        raise UnsupportedError("ratios are adjusted for a covariate or for strata, not for both")
    strata = case["inputs"]["strata"]
    pairs = [(moments(stratum["control"]), moments(stratum["treatment"])) for stratum in strata]
    if kind == "proportion":
        # the peer's variance of a share has the divisor n
        pairs = [
            tuple(Moments.from_mean(arm.n, arm.mean(), arm.mean() * (1 - arm.mean())) for arm in pair)  # type: ignore[misc]
            for pair in pairs
        ]
    two = adjustment.post_stratified(pairs, kind={"ratio": "ratio", "cuped_mean": "ancova"}.get(kind, "mean"))  # type: ignore[arg-type]
    return told(inferred(case, two), two)


def sequential(case: Case) -> Answer:
    two = two_arms(case)
    effect = always_valid(inferred(case, two), horizon=case["params"]["tuning_parameter"])
    found = told(effect, two)
    if effect.alternative != "two-sided" and effect.p_value is not None:
        # the peer searches for it, between these two
        found["p_value"] = min(max(effect.p_value, 1e-5), 0.4999)
    return found


def group_sequential(case: Case) -> Answer:
    params = case["params"]
    plan = boundaries(
        params["information_fractions"],
        params["alpha"],
        sides=params.get("sides", 2),
        power=params.get("spending_power", 2),
    )
    return {"z_bounds": list(plan.z), "alpha_spent": list(plan.spent)}


def gaussian_posterior(case: Case) -> Answer:
    params, two = case["params"], two_arms(case)
    effect, prior = inferred(case, two), None
    if (said := params.get("prior")) and said.get("proper", True):
        prior = Prior(said["mean"], math.sqrt(said["variance"]))
        if not effect.relative:
            prior = prior.scaled(two.control or 0.0)
    found = posterior(effect, prior=prior, better="lower" if params.get("inverse") else "higher")
    return {
        "estimate": found.mean,
        "posterior_sd": found.sd,
        "ci_lower": found.low,
        "ci_upper": found.high,
        "chance_to_win": found.chance_to_win,
        "risk_control": found.risk_control,
        "risk_treatment": found.risk_treatment,
    }


def best_of_shares(case: Case) -> Answer:
    params = case["params"]
    arms = [(arm["successes"], arm["n"]) for arm in case["inputs"]["arms"]]
    found = best_share(arms, prior=(params.get("prior_alpha", 0.5), params.get("prior_beta", 0.5)))
    return {"prob_best": list(found.chances), "expected_loss": list(found.losses)}


def ratio_of_samples(case: Case) -> Answer:
    weights = case["params"]["weights"]
    found = sample_ratio(case["inputs"]["observed"], [weight / math.fsum(weights) for weight in weights])
    return {"statistic": found.statistic, "p_value": found.p_value, "df": found.df}


def binomial_ratio(case: Case) -> Answer:
    params, (control, treatment) = case["params"], case["inputs"]["observed"]
    weights = params.get("weights") or [1, params.get("ratio", 1)]
    method = params.get("method", "auto")
    found = binomial_sample_ratio(
        control,
        treatment,
        weights[1] / sum(weights),
        exact=method == "binom" or (method == "auto" and control + treatment < 1000),
        correction=params.get("correction", True),
    )
    return {"p_value": found.p_value, "statistic": found.statistic}


def family(case: Case) -> Answer:
    params = case["params"]
    method = params.get("method") or _METHODS_OF[case["method"]](case["convention"])
    return _adjusted(case["inputs"]["p_values"], method, alpha_of(params))


def variants(case: Case) -> Answer:
    control, *others = case["inputs"]["arms"]
    alpha = alpha_of(case["params"])
    effects = [normal({"inputs": {"control": control, "treatment": arm}, "params": {"alpha": alpha}}) for arm in others]
    p_values = [effect["p_value"] for effect in effects]
    found = _adjusted(p_values, case["params"]["correction_method"], alpha)
    return {**found, "p_values": p_values, "estimates": [effect["estimate"] for effect in effects]}


def _adjusted(p_values: Sequence[float], method: str, alpha: float) -> Answer:
    if method not in _FAMILIES:
        raise UnsupportedError(f"no adjustment by the method {method}")
    adjusted = multiple.adjust(p_values, _FAMILIES[method])  # type: ignore[arg-type]
    return {"p_adjusted": adjusted, "rejected": [p is not None and p <= alpha for p in adjusted]}


def standardised_power(case: Case) -> Answer:
    """Give the power of a difference in standard deviations; the first group's size is the one that is told."""
    params, ratio = case["params"], case["params"].get("ratio", 1.0)
    design = Design(
        variance=1.0,
        ratio=ratio,
        alpha=params["alpha"],
        alternative={"larger": "greater", "smaller": "less"}.get(params["alternative"], params["alternative"]),  # type: ignore[arg-type]
        reference="t" if case["method"] == "power_t" else "normal",
        equal_variances=True,
    )
    if params["solve"] == "power":
        return {"power": power(design, params["effect_size_d"], params["n1"] * (1 + ratio))}
    if params["solve"] == "n1":
        units = units_needed(design, params["effect_size_d"], params["power"])
        assert units is not None
        return {"n1": units / (1 + ratio)}
    return {"effect_size_d": detectable_effect(design, params["n1"] * (1 + ratio), params["power"])}


def power_of_proportions(case: Case) -> Answer:
    """Give power or size of the pooled z test; the first group is the one with the difference added."""
    params = case["params"]
    base = params.get("prop2", params.get("control", params.get("p_control")))
    share = base + params["diff"] if "diff" in params else params.get("prop1", params.get("p_treatment"))
    ratio = params.get("ratio", 1)
    said = params.get("alternative", "two-sided")
    asked: dict[str, Any] = {
        "alpha": params["alpha"],
        "alternative": {"larger": "greater", "smaller": "less"}.get(said, said),
    }
    if params.get("value"):
        raise UnsupportedError("no power of shares against another hypothesis than equality")
    for size in ("nobs1", "n1", "n"):
        if size in params:
            n1 = params[size]
            return {"power": power_of_shares(base, share, n1 * ratio, n1, **asked)}
    from scipy.optimize import brentq

    return {
        "n1": brentq(
            lambda n: power_of_shares(base, share, n * ratio, n, **asked) - params["power"], 2, 1e12, xtol=1e-9
        )
    }


def power_of_metric(case: Case) -> Answer:
    params, inputs = case["params"], case["inputs"]
    design = Design(
        variance=inputs["variance"],
        ratio=params.get("ratio", 1.0),
        alpha=params.get("alpha", 0.05),
        alternative=params.get("alternative", "two-sided"),
        reference="t" if params.get("use_t", True) else "normal",
        equal_variances=bool(params.get("equal_var")),
    )
    mean, target = inputs["mean"], params.get("power", 0.8)
    units: float | None = params.get("n_obs", inputs.get("n"))
    effect = params.get("effect_size")
    if effect is None and "rel_effect_size" in params:
        effect = params["rel_effect_size"] * mean
    if params["solve"] == "n_obs":
        units = units_needed(design, effect, target)
        assert units is not None
        units = math.ceil(units)
    elif params["solve"] == "power":
        target = power(design, effect, units or 0)
    else:
        effect = detectable_effect(design, units or 0, target)
    assert effect is not None
    return {"power": target, "effect_size": effect, "rel_effect_size": effect / mean, "n_obs": units}


def power_of_lift(case: Case) -> Answer:
    params, inputs = case["params"], case["inputs"]
    design = Design(
        variance=inputs["variance"],
        mean=inputs["mean"],
        alpha=params["alpha"],
        relative=True,
        horizon=params.get("sequential_tuning") or None,
    )
    units = 2 * params["users_total"] / params["n_variations"]
    if "rel_effect_size" not in params:
        return {"mde": detectable_effect(design, units, params.get("power", 0.8))}
    return {"power": power(design, params["rel_effect_size"], units)}


def size_of_two_groups(case: Case) -> Answer:
    params = dict(case["params"])
    metric, mde, alpha, target = (params.pop(key) for key in ("metric", "mde", "alpha", "power"))
    variance = params.pop("variance", params.pop("baseline_variance", None))
    if metric == "binomial":
        share = params.pop("proportion")
        variance = share * (1 - share)
    if params.pop("treatments", 2) != 2 or params:
        raise UnsupportedError("units are planned for one treatment at a time; how to share them out is the plan's")
    units = units_needed(Design(variance=variance, alpha=alpha), mde, target)
    assert units is not None
    group = math.ceil(units / 2)
    return {"n_total": 2 * group, "n_per_group": [group, group]}


def margin_of_control(case: Case) -> Answer:
    """Take the margin as a number: the peer multiplies it by the control's mean, as if that were known."""
    params, two = case["params"], two_arms(case)
    share, wanted = params["nim"]
    assert two.control is not None
    found = non_inferiority(
        two,
        share * two.control,
        better="lower" if wanted == "decrease" else "higher",
        alpha=alpha_of(params),
        reference="normal",
    )
    return {**told(found.effect), "null_hypothesis": found.effect.null}


def margin(case: Case) -> Answer:
    params = case["params"]
    found = non_inferiority(
        two_arms(case),
        params["margin"],
        better="lower" if params.get("better") == "lower" else "higher",
        alpha=alpha_of(params),
        reference="t" if params.get("use_t") else "normal",
    )
    return told(found.effect)


def clustered(case: Case) -> Answer:
    inputs, params = case["inputs"], case["params"]
    two = clustered_means(
        inputs["y"], inputs["treated"], inputs["cluster"], correction=params.get("use_correction", True)
    )
    if not params.get("df_correction", True):
        two = replace(two, df=len(inputs["y"]) - 2)
    return told(difference(two, alpha=alpha_of(params), reference="t" if params.get("use_t", True) else "normal"))


def scaled_impact(case: Case) -> Answer:
    """Tell a difference per unit as one per day, for everybody: units a day at full traffic are known numbers."""
    params = case["params"]
    days = params.get("phase_length_days", 1)
    if params.get("total_users"):
        units = params["total_users"] / (params.get("traffic_percentage", 1) * days)
    else:
        part = params.get("traffic_proportion_b", params.get("traffic_percentage", 1))
        units = case["inputs"]["treatment"]["n"] / part / days
    two = two_arms(case)
    effect = difference(two, alpha=alpha_of(params), alternative=params.get("alternative", "two-sided"))
    if params.get("sequential") or "tuning_parameter" in params:
        effect = always_valid(effect, horizon=params.get("tuning_parameter", 5000))
    if "chance_to_win" in case["expected"] or params.get("engine") == "bayesian":
        found = gaussian_posterior(case)
        return {k: v * units if k in _SCALED and v is not None else v for k, v in found.items()}
    return told(effect.scaled(units))


_SCALED = {"estimate", "ci_lower", "ci_upper", "posterior_sd"}
_OF_DIFFERENCES: dict[str, Any] = {
    "wald": "wald", "agresti-caffo": "agresti-caffo", "newcomb": "newcombe", "newcombe": "newcombe", "score": "score",
}  # fmt: skip
_OF_SHARES: dict[str, Any] = {
    "wilson": "wilson", "beta": "clopper-pearson", "jeffreys": "jeffreys", "normal": "wald",
    "agresti_coull": "agresti-coull",
}  # fmt: skip
_FAMILIES = {
    "bonferroni": "bonferroni", "sidak": "sidak", "holm": "holm", "holm-sidak": "holm-sidak",
    "simes-hochberg": "hochberg", "hochberg": "hochberg", "hochberg-sidak": "hochberg-sidak", "hommel": "hommel",
    "fdr_bh": "benjamini-hochberg", "fdr_by": "benjamini-yekutieli",
}  # fmt: skip


def _said(convention: str) -> str:
    """Read a method from the words of a convention."""
    words = convention.lower()
    step = "holm" if "holm" in words or "step-down" in words else "hochberg"
    if "yekutieli" in words or "fdr_by" in words:
        return "fdr_by"
    if "benjamini" in words or "fdr" in words:
        return "fdr_bh"
    return f"{step}-sidak" if "sidak" in words else step


_METHODS_OF: dict[str, Callable[[str], str]] = {
    "multiple_testing_holm": lambda _: "holm",
    "multiple_testing_bh": lambda _: "fdr_bh",
    "multiple_testing_bonferroni": lambda _: "bonferroni",
    "multiple_testing_other": _said,
    "multiple_testing_teatasting": _said,
}

_UNSUPPORTED = {
    "proportion_z_teatasting": "an interval with the pooled variance assumes the hypothesis that it is there to leave",
    "proportion_z_unpooled_relative_naive": "a control taken as known makes a lift too sure: `lift` counts its error",
    "cuped_linreg_spotify": "divisors of n and n - 1 are mixed; `cuped` has n - 1 throughout",
    "cuped_mean_relative_growthbook": "its error is taken at the treatment's mean as observed, its estimate at the one "
    "that is adjusted; `lift` of `cuped` takes both at the adjusted one",
    "sequential_msprt_statsig": "its mixing variance shrinks as units come in, so that the bound stays where it is and "
    "is crossed in the end without any effect; `mixture_sequential` fixes it before the start",
    "bandit_thompson": "the project runs experiments with fixed shares, not bandits",
    "power_mid_experiment": "a plan's power is fixed before its start; units are not added for what was seen",
}

_ANSWERS: dict[str, Callable[[Case], Answer]] = {
    "proportion_z_pooled": pooled_z,
    "proportion_diff_ci": two_shares_interval,
    "proportion_ci": one_share_interval,
    "proportion_welch_growthbook": fixed_horizon,
    "proportion_z_unpooled": normal,
    "chi_square_2x2": chi_square,
    "chi_square_kxr": chi_square,
    "chi_square_spotify": chi_square_of_arms,
    "fisher_exact": exact,
    "barnard_exact": exact,
    "boschloo_exact": exact,
    "welch_t_absolute": t_test,
    "student_t_absolute": t_test,
    "welch_t_raw_large_offset": t_test,
    "z_mean_absolute": normal,
    "lift_delta_t": fixed_horizon,
    "lift_delta_t_one_sided": fixed_horizon,
    "lift_log_delta_t": log_lift,
    "lift_fieller": fieller,
    "mann_whitney_u": mann_whitney,
    "ratio_delta_absolute": fixed_horizon,
    "ratio_delta_relative": fixed_horizon,
    "ratio_log_delta_relative": log_lift,
    "cuped_mean_absolute": fixed_horizon,
    "cuped_mean_relative_teatasting": log_lift,
    "cuped_ratio_growthbook": fixed_horizon,
    "cuped_ratio_teatasting": log_lift,
    "regression_adjustment": regression,
    "post_stratification": post_stratification,
    "sequential_asymptotic_cs": sequential,
    "sequential_asymptotic_cs_one_sided": sequential,
    "sequential_group_lan_demets": group_sequential,
    "bayesian_gaussian_effect": gaussian_posterior,
    "bayesian_beta_binomial": best_of_shares,
    "srm_chi_square": ratio_of_samples,
    "srm_binomial": binomial_ratio,
    "multiple_testing_holm": family,
    "multiple_testing_bh": family,
    "multiple_testing_bonferroni": family,
    "multiple_testing_other": family,
    "multiple_testing_teatasting": family,
    "multiple_variants_vs_control": variants,
    "power_t": standardised_power,
    "power_z": standardised_power,
    "power_proportions": power_of_proportions,
    "sample_size_proportions": power_of_proportions,
    "power_teatasting": power_of_metric,
    "power_lift_growthbook": power_of_lift,
    "sample_size_spotify": size_of_two_groups,
    "quantile_iid": fixed_horizon,
    "quantile_clustered": fixed_horizon,
    "non_inferiority_spotify": margin_of_control,
    "non_inferiority_absolute": margin,
    "clustered_mean_difference": clustered,
    "scaled_impact": scaled_impact,
}
