"""Pseudo files of the kernel: one module for each file system, pure parsers with thin readers."""
