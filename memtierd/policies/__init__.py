"""Policies: each classifies regions by what was observed and says where each class should be."""

from memtierd.policies.age import AgeParams, AgePolicy
from memtierd.policies.common import Policy, PolicyParams
from memtierd.policies.heat import HeatParams, HeatPolicy

REGISTRY: dict[str, type[PolicyParams]] = {"age": AgeParams, "heat": HeatParams}
"""Parameters of every policy by its name in the configuration."""


def build(params: PolicyParams) -> Policy:
    """Return the policy for its parameters."""
    if isinstance(params, AgeParams):
        return AgePolicy(params)
    if isinstance(params, HeatParams):
        return HeatPolicy(params)
    raise TypeError(f"no policy takes {type(params).__name__}")


__all__ = ["REGISTRY", "Policy", "PolicyParams", "build"]
