"""The stages of dvc.yaml: `python -m stages.<name>` runs the stage of that name."""
