"""Diagnose each layer while a network trains, in plain PyTorch."""

import torch
from sklearn.datasets import load_digits

from wwopt_objectives import AlphaMonitor

images, classes = (torch.as_tensor(part) for part in load_digits(return_X_y=True))
images = images.float() / 16
torch.manual_seed(0)
model = torch.nn.Sequential(
    torch.nn.Linear(64, 128), torch.nn.ReLU(), torch.nn.Linear(128, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10)
)
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
monitor = AlphaMonitor(model)

for epoch in range(12):
    for batch in torch.randperm(len(images)).split(64):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(images[batch]), classes[batch]).backward()
        optimizer.step()
    report = monitor.step(epoch)
    print(
        f"epoch {epoch:2d}  score {report.score:5.2f} ",
        *(f"{layer.name}: {layer.alpha:.2f} {layer.verdict:14s}" for layer in report.layers),
    )
    if report.broken:
        break
