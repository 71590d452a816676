"""Policies: each classifies regions by what was observed and says where each class should be."""
