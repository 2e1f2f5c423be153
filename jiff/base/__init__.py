"""What everything rests on: errors, files, progress, options, memory."""
