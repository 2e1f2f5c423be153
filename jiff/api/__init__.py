"""What ``import jiff`` offers to notebooks and programs: one call per job, typed results."""
