"""Self-contained HTML reports: pictures, curves and tables in one file that needs no network."""
