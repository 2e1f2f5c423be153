"""``python -m jiff_cli``, for launchers that start modules (torchrun)."""

from __future__ import annotations

from jiff_cli.app import main

if __name__ == "__main__":
    main()
