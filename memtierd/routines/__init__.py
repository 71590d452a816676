"""Routines: commands that run beside the policy, every so often or after so much swapping out."""

from memtierd.routines.host import REGISTRY, Routines, RoutineView
from memtierd.routines.params import StatActionsParams
from memtierd.routines.routine import Ports
from memtierd.routines.runs import Console, Prompt

__all__ = ["REGISTRY", "Console", "Ports", "Prompt", "RoutineView", "Routines", "StatActionsParams"]
