"""Reading the configuration file again when it changes or when somebody asks for it, while everything runs."""

from memtierd.reloading.reloader import Reloader, ReloadListener

__all__ = ["ReloadListener", "Reloader"]
