"""Photos of people: reading, masking, framing, and the test folder."""
