"""Matrices: named tensors as weight matrices; fused ones split, convolutions sliced, reparametrised ones restored."""
