"""What was learned outlives the daemon: written to a file in time, and given back to the processes that still live."""

from memtierd.state.keeper import Keeper

__all__ = ["Keeper"]
