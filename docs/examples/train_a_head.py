"""Train a small head on cached heatmaps and score it; no stage of the pipeline is run.

Usage, in a checkout in which `make repro` or `dvc repro` was run:
``python docs/examples/train_a_head.py [DATA [EPOCHS [OUT]]]``. Each ``# %%`` begins a cell in
editors with notebooks.
"""

# %% What to read and where to write
import sys
from pathlib import Path
from tempfile import mkdtemp

import torch
from torch import nn
from torch.utils.data import DataLoader

from posereel import ClipCaches, score

DATA = Path(sys.argv[1] if len(sys.argv) > 1 else "data")
EPOCHS = int(sys.argv[2]) if len(sys.argv) > 2 else 10
OUT = Path(sys.argv[3] if len(sys.argv) > 3 else mkdtemp())

# %% The clips: one item per person and key frame
clips = ClipCaches(DATA, split="train", reads=["heatmaps"])
one = clips[0]
frames, joints, *grid = one["heatmaps"].shape
print(f"{len(clips)} clips of {frames} frames, {joints} joints on {grid[0]} x {grid[1]} cells")
print(f"the first: video {one['clip']['video']}, frame {one['clip']['frame']}")

# %% A head in five lines: it corrects the key frame's heatmaps by those of all frames
torch.manual_seed(0)
head = nn.Sequential(
    nn.Flatten(1, 2),
    nn.Conv2d(frames * joints, 32, 3, padding=1),
    nn.ReLU(),
    nn.Conv2d(32, joints, 3, padding=1),
)

# %% Training on the batches that the pipeline trains on
optimizer = torch.optim.AdamW(head.parameters(), lr=1e-3)
loader = clips.loader(batch=32, seed=0)
for epoch in range(EPOCHS):
    for batch in loader:
        key_frame = batch["heatmaps"][:, frames // 2]
        error = key_frame + head(batch["heatmaps"]) - batch["target"]
        loss = (batch["weights"][:, :, None, None] * error.square()).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"epoch {epoch + 1}: loss {loss.item():.6f}")

# %% The score, beside that of the heatmaps without the head
val = ClipCaches(DATA, split="val_gt", reads=["heatmaps"])
plain, corrected = [], []
with torch.no_grad():
    for batch in DataLoader(val, batch_size=64):
        plain.append(batch["heatmaps"][:, frames // 2])
        corrected.append(plain[-1] + head(batch["heatmaps"]))
for name, heatmaps in (("plain", plain), ("corrected", corrected)):
    folder = val.write_predictions(torch.cat(heatmaps), OUT / name)
    metrics = score(val.annotations, folder)
    print(f"{name}: PoseTrack AP {metrics['ap_total']:.2f}")
