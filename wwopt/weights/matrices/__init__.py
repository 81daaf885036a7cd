"""From tensors to weight matrices: fused tensors split, convolutions sliced, adapters multiplied out."""
