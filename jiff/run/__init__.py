"""How work over many subjects is carried out: batches, processes, clusters."""
