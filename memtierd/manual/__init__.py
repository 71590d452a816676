"""The manual pages and the completions of shells, made from the declarations that help and the JSON Schema come from.

`python -m memtierd.manual` writes them.
"""
