"""List every stage and command with one line of help."""

import ast
from pathlib import Path

import typer

app = typer.Typer(add_completion=False)


@app.command()
def main() -> None:
    """Print `python -m stages.<name>` and the first line of its docstring, one per line."""
    files = sorted(Path(__file__).parent.glob("[a-z]*.py"))
    width = max(len(file.stem) for file in files)
    for file in files:
        help_line = (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").split(
            "\n"
        )[0]
        typer.echo(f"python -m stages.{file.stem:{width}}  {help_line}")


if __name__ == "__main__":
    app()
