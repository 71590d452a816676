"""The mover: works through batches of regions with move_pages and process_madvise, within a bandwidth."""

from memtierd.mover.mover import Mover, WaitResult
from memtierd.mover.params import MoverParams
from memtierd.mover.task import Batch, TaskView

__all__ = ["Batch", "Mover", "MoverParams", "TaskView", "WaitResult"]
