"""Ablation tables: rows, experiments and results."""
