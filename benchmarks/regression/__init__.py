"""Whether two checkouts of wwopt give the same numbers, bit for bit, and how long each takes."""
