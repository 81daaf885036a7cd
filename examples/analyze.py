"""Analyse a checkpoint: alpha of each layer, what follows from it, and a picture."""

import torch

import wwopt
from wwopt import plots
from wwopt.reporting import write_report

model = torch.nn.Sequential(torch.nn.Linear(256, 512), torch.nn.ReLU(), torch.nn.Linear(512, 128))
torch.save(model.state_dict(), "model.pt")

analysis = wwopt.analyze("model.pt")
print(analysis.details[["name", "N", "M", "alpha", "D", "rand_distance", "warning"]])
print("skipped:", analysis.skipped.to_dict("records"))

score = wwopt.AlphaScore()
print("score:", score(analysis), "made of", score.explain(analysis)["terms"])

analysis.save("model.npz")
plots.alphas(analysis).savefig("alphas.png")
plots.spectrum(analysis, "0").savefig("spectrum.png")
write_report({"model": analysis}, "report.html")
