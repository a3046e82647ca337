"""Non-inferiority: is the treatment worse by no more than a margin?

Belongs here: the test against a margin, for guardrails. Does not belong here: what margin is right (plans say so).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from analytics_assets.statistics.effects import Alternative, Contrast, Effect, Reference, difference, lift

Better = Literal["higher", "lower"]


@dataclass(frozen=True, slots=True)
class NonInferiority:
    """Hold a test against a margin.

    Attributes:
        effect: The difference or lift with its one-sided interval and its test; its null is the margin, with its sign.
        margin: How much worse is still accepted, above zero; a share of the control where the effect is relative.
        better: Whether a higher or a lower outcome is better.
        non_inferior: Whether the whole interval is better than the margin; None without one.
    """

    effect: Effect
    margin: float
    better: Better
    non_inferior: bool | None


def non_inferiority(
    contrast: Contrast,
    margin: float,
    *,
    better: Better = "higher",
    relative: bool = False,
    alpha: float = 0.05,
    reference: Reference = "t",
) -> NonInferiority:
    """Test that the treatment is worse by less than a margin, one-sided at alpha.

    A relative margin is tested as treatment - (1 - margin) control, so that the control's error counts (Fieller 1954).

    >>> from analytics_assets.statistics.means import means
    >>> from analytics_assets.statistics.moments import Moments
    >>> two = means(Moments.from_mean(4000, 10.0, 25.0), Moments.from_mean(4000, 9.95, 25.0))
    >>> non_inferiority(two, 0.3).non_inferior, non_inferiority(two, 0.1).non_inferior
    (True, False)
    """
    if not margin > 0:
        msg = f"a margin is above zero, not {margin}"
        raise ValueError(msg)
    alternative: Alternative = "greater" if better == "higher" else "less"
    null = -margin if better == "higher" else margin
    if relative:
        effect = lift(contrast, method="fieller", alpha=alpha, alternative=alternative, reference=reference, null=null)
    else:
        effect = difference(contrast, alpha=alpha, alternative=alternative, reference=reference, null=null)
    return NonInferiority(effect, margin, better, None if effect.p_value is None else effect.p_value < alpha)
