"""memtierd watches processes, learns which of their memory is used, and puts it where it belongs."""

__version__ = "0.1.0"
