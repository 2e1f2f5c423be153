"""``jiff view``."""

from __future__ import annotations

from jiff.options.view import ViewConfig
from jiff_cli.console import Console
from jiff_cli.spec.command import config_command


@config_command(ViewConfig)
def command(config: ViewConfig, console: Console) -> None:
    """Look at meshes side by side in the browser: colour, clay, normals, wireframe, face close-up.

    Writes one self-contained page that works offline and can be passed on.
    """
    import webbrowser

    from jiff.pipelines.view import run_view

    report = run_view(config, console.progress)
    if config.open and not webbrowser.open(config.out.resolve().as_uri()):
        console.error(f"No browser could be started here; open {config.out} yourself.")
    console.finish(report, what="meshes")
