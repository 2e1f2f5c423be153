"""Speed and memory of the parts that matter, each against a plain twin in the same run (``make bench``)."""
