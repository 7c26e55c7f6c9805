"""The number of threads of the numeric libraries in this process."""

import os
import sys


def limit_threads(threads: int) -> None:
    """Fix the number of threads of the numeric libraries, whether they are loaded yet or not.

    Args:
        threads: Threads of each library.
    """
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(threads)
    # Not imported here: a stage that needs neither library must not wait for it to load.
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(threads)
    if cv2 := sys.modules.get("cv2"):
        cv2.setNumThreads(threads)
