"""Desired minus actual placement, within limits: pure functions from columns to a plan."""
