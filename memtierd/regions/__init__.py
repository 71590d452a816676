"""The region table, its geometry and its state machines: pure functions over NumPy columns."""
