"""Evidence on `wwopt.rank`: series of networks that differ in depth, width, epochs or amount of data."""
