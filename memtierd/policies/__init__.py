"""Policies: each classifies regions by what was observed and says where each class should be."""

from collections.abc import Callable
from typing import Any

from memtierd.policies.age import AgeParams, AgePolicy
from memtierd.policies.avoid_oom import AvoidOomParams, AvoidOomPolicy
from memtierd.policies.common import Policy, PolicyParams
from memtierd.policies.demote_idle import DemoteIdleParams, DemoteIdlePolicy
from memtierd.policies.heat import HeatParams, HeatPolicy
from memtierd.policies.ratio import RatioParams, RatioPolicy
from memtierd.policies.stub import StubPolicy, StubPolicyParams

REGISTRY: dict[str, type[PolicyParams]] = {
    "age": AgeParams,
    "avoid-oom": AvoidOomParams,
    "demote-idle": DemoteIdleParams,
    "heat": HeatParams,
    "ratio": RatioParams,
    "stub": StubPolicyParams,
}
"""Parameters of every policy by its name in the configuration."""

_POLICIES: dict[type[PolicyParams], Callable[[Any], Policy]] = {
    AgeParams: AgePolicy,
    AvoidOomParams: AvoidOomPolicy,
    DemoteIdleParams: DemoteIdlePolicy,
    HeatParams: HeatPolicy,
    RatioParams: RatioPolicy,
    StubPolicyParams: StubPolicy,
}


def build(params: PolicyParams) -> Policy:
    """Return the policy for its parameters."""
    if type(params) not in _POLICIES:
        raise TypeError(f"no policy takes {type(params).__name__}")
    return _POLICIES[type(params)](params)


__all__ = ["REGISTRY", "Policy", "PolicyParams", "build"]
