"""A process that is killed while it replaces an artifact leaves the old one or the new one, whole."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from turnout.artifacts.folder import read_artifact, write_artifact

# Kills itself at the n-th audited file operation of `write_artifact`, so at every step in turn.
KILLER = """
import os, signal, sys
from pathlib import Path
import numpy as np
import safetensors.numpy
from turnout.artifacts.folder import write_artifact
left = [int(sys.argv[1])]
def hook(event, args):
    if event in ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "ctypes.dlopen", "os.scandir"):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(hook)
write_artifact(Path(sys.argv[2]), {"router": "new"}, {"a": np.ones(3, np.float32)}, "card")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="renameat2 is Linux's")
def test_a_kill_at_any_step_leaves_one_whole_artifact(tmp_path: Path) -> None:
    out = tmp_path / "made"
    found = []
    for step in range(1, 40, 2):
        write_artifact(out, {"router": "old"}, {"a": np.zeros(3, np.float32)}, "card")
        done = subprocess.run([sys.executable, "-c", KILLER, str(step), str(out)], check=False)
        found.append(read_artifact(out)[0]["router"])
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
    assert done.returncode == 0
    assert found[0] == "old"
    assert found[-1] == "new"
    assert found == sorted(found, reverse=True)
