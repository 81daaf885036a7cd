"""Crowds of networks with known merits, for the tests: what they answer, and the losses that follow from it."""

from __future__ import annotations

import numpy as np

__all__ = ["Crowd", "kappa_loss"]


def kappa_loss(right, classes):
    """Cross-entropy of a network that is right so often, is equally sure of every answer and knows it."""
    error = np.clip(1 - np.asarray(right, dtype=float), 1e-6, 1 - 1 / classes)
    return -(error * np.log(error) + (1 - error) * np.log(1 - error)) + error * np.log(classes - 1)


class Crowd:
    """Networks that know a share of the truth, and memorise a share of the given labels."""

    def __init__(self, knows, memorises=0.0, *, wrong=0.0, classes=10, inputs=512, seed=0):
        rng = np.random.default_rng(seed)
        self.quality = np.asarray(knows, dtype=float)
        count = len(self.quality)
        memorises = np.broadcast_to(memorises, count)
        self.truth = rng.integers(classes, size=inputs)
        flip = rng.random(inputs) < wrong
        self.labels = np.where(flip, (self.truth + rng.integers(1, classes, size=inputs)) % classes, self.truth)
        hard = rng.random(inputs)  # what is hard is hard for all
        draws = 0.7 * hard + 0.3 * rng.random((count, inputs))
        knowing = draws < np.quantile(draws, self.quality, axis=1).diagonal()[:, None]
        guesses = rng.integers(classes, size=(count, inputs))
        learned = np.where(knowing, self.truth, guesses)
        by_heart = rng.random((count, inputs)) < memorises[:, None]
        self.answers = np.where(by_heart, self.labels, learned)
        self.right = (self.answers == self.labels).mean(axis=1)
        self.losses = kappa_loss(self.right, classes)
        self.classes = classes

    @property
    def logits(self):
        """Raw outputs with these answers, as sure as they are right by the labels, with ups and downs of their own."""
        rng = np.random.default_rng(1)
        right = np.clip(self.right, 0.12, 0.995)
        size = np.log(right / (1 - right) * (self.classes - 1)).clip(0.3)
        noise = rng.normal(size=(*self.answers.shape, self.classes))
        return size[:, None, None] * (np.eye(self.classes)[self.answers] + 0.05 * noise)
