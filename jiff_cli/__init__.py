"""The command line of jiff: parse, call, show."""
