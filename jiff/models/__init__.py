"""The networks of JIFF."""
