"""What a command does, as plain functions over folders."""
