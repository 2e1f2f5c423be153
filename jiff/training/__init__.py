"""Loop, schedules, checkpoints, logging, augmentation."""
