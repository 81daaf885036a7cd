"""Log alpha and the spectra of a training to MLflow, without Optuna."""

import torch

import wwopt
from wwopt_trackers import MLflowTracker

torch.manual_seed(0)
model = torch.nn.Linear(128, 128)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
teacher = torch.randn(128, 4) @ torch.randn(4, 128)

with MLflowTracker(experiment="teacher", uri="sqlite:///mlflow.db") as tracker:
    for epoch in range(5):
        for _ in range(20):
            inputs = torch.randn(64, 128)
            loss = (model(inputs) - inputs @ teacher).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        tracker.log(wwopt.analyze(model), step=epoch, metrics={"train_loss": loss.item()})

print("mlflow ui --backend-store-uri sqlite:///mlflow.db")
