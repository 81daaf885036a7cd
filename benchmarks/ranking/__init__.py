"""Series of networks of several depths, widths, epochs and amounts of data, ranked by their weights alone."""
