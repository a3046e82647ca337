"""What every model of a project's YAML has in common.

Belongs here: the base class alone, so that the models of one file need not know those of another. Does not belong here:
any key of any file (`model`, `shop`).
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """Refuse unknown keys, and do not change once read."""

    model_config = ConfigDict(extra="forbid", frozen=True)
