"""On-disk layout, scans, labelled samples, datasets, synthetic scans."""
