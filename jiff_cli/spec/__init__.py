"""From options to commands: parameters, spellings, configuration files."""
