"""Every system by name, as the params file describes it; ``hrnet`` is the backbone itself."""

from pathlib import Path
from typing import Literal

from pipeline.head_params.control import control_system, read_control
from pipeline.head_params.jmpose import jmpose_system, read_jmpose
from pipeline.head_params.network import System
from pipeline.head_params.vremd import read_vremd, vremd_system

SystemName = Literal["hrnet", "refine", "fuse", "jmpose", "vit", "fuse_vit", "vremd"]


def read_system(params: Path, name: SystemName) -> System:
    """Return a system as the params file describes it.

    Args:
        params: The params file; only the section of this system is read.
        name: The system; ``hrnet`` has no network and reads the heatmaps of the key frame.

    Raises:
        ValueError: If the section is malformed.
    """
    match name:
        case "hrnet":
            return System(name, "hrnet", ("heatmaps",), 1, {})
        case "jmpose":
            return jmpose_system(read_jmpose(params))
        case "vremd":
            return vremd_system(read_vremd(params))
        case _:
            return control_system(read_control(params), name)
