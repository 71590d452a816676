"""The damon tracker: the kernel samples accesses itself (Documentation/mm/damon) and memtierd takes in its reports."""
