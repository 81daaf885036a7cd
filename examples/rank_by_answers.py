"""Choose among networks that learned digits with 40% wrong labels, without a single right one.

Needs wwopt[demo]. Takes half a minute.
"""

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

import wwopt

digits = load_digits()
images, right = torch.as_tensor(digits.data / 16, dtype=torch.float32), torch.as_tensor(digits.target)
train, test = slice(0, 900), slice(900, None)

rng = np.random.default_rng(0)
labels = right[train].clone()
wrong = torch.as_tensor(rng.permutation(900)[:360])
labels[wrong] = (labels[wrong] + torch.as_tensor(rng.integers(1, 10, size=360))) % 10


def learn(seed: int, epochs: int, decay: float) -> tuple[nn.Module, float]:
    """Train a perceptron; return it with its training loss."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10))
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=decay)
    for _ in range(epochs):
        for batch in torch.randperm(900).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images[batch]), labels[batch]).backward()
            optimizer.step()
    with torch.no_grad():
        return model, nn.functional.cross_entropy(model(images[train]), labels).item()


settings = [(epochs, decay) for epochs in (2, 5, 15, 60) for decay in (0.01, 1.0, 5.0)]
learned = {f"{epochs} epochs, decay {decay:g}": learn(i, epochs, decay) for i, (epochs, decay) in enumerate(settings)}
networks = {name: model for name, (model, _) in learned.items()}
losses = {name: loss for name, (_, loss) in learned.items()}

ranking = wwopt.rank(networks, inputs=images[train], losses=losses)

accuracy = {
    name: (model(images[test]).argmax(dim=1) == right[test]).float().mean().item() for name, model in networks.items()
}
print(ranking.table.assign(accuracy=accuracy)[["agreement", "competence", "loss", "accuracy", "status"]].round(2))
print(ranking.reason)
for what, name in {"by answers": ranking.best, "least loss": min(losses, key=losses.get)}.items():
    print(f"{what}: {name}, test accuracy {accuracy[name]:.1%}; the best has {max(accuracy.values()):.1%}")
