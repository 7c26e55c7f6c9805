"""Check versions, hardware, disk, weights and data."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer


def main(
    params: Annotated[Path, typer.Option(help="Params file.")] = Path("params.yaml"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check everything that a run needs; each failed check has a remedy."""
    from pipeline.maintenance.doctor import examine
    from posereel.torch_operators import check_torch

    findings = examine(params, check_torch)
    bad = [finding for finding in findings if not finding.ok]
    if as_json:
        content = {"ok": not bad, "findings": [asdict(finding) for finding in findings]}
        typer.echo(json.dumps(content, indent=1))
    else:
        width = max(len(finding.check) for finding in findings)
        for finding in findings:
            mark = "ok  " if finding.ok else "BAD "
            cure = f"; cure: {finding.cure}" if finding.cure else ""
            typer.echo(f"{mark}{finding.check:<{width}}  {finding.found}{cure}")
    if bad:
        raise ValueError(f"{len(bad)} of {len(findings)} checks failed (above, each with its cure)")
