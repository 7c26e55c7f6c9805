"""Run `posereel <command>` as `python -m posereel <command>`."""

from posereel.cli import app

if __name__ == "__main__":
    app(prog_name="posereel")
