"""``jiff doctor``."""

from __future__ import annotations

import json
from typing import Any

import typer

from jiff.options.assets import DoctorConfig
from jiff_cli.console import Console
from jiff_cli.spec.command import config_command


@config_command(DoctorConfig)
def command(config: DoctorConfig, console: Console) -> None:
    """Show versions, devices, optional parts (and what their absence costs), optional files and folders.

    The exit status is 1 when something that jiff needs is missing.
    """
    from jiff_cli.inspection import inspect_all

    found = inspect_all()
    problems = _problems(found)
    if config.json:
        console.out(json.dumps({**found, "problems": problems}, indent=2))
    else:
        _show(found, console)
        for problem in problems:
            console.error(f"Error: {problem}")
        console.say("Ready. Next: jiff demo" if not problems else "")
    if problems:
        raise typer.Exit(1)


def _problems(found: dict[str, Any]) -> list[str]:
    problems = [
        f"{name} is not installed; run pip install jiff again."
        for name, v in found["versions"].items()
        if v is None
    ]
    for folder in found["folders"]:
        if folder["name"] == "cache" and not folder["writable"]:
            problems.append(
                f"{folder['path']}: cannot be written; set JIFF_CACHE to a folder you may write to."
            )
    return problems


def _show(found: dict[str, Any], console: Console) -> None:
    console.out("Versions")
    console.table([[f"  {name}", version or "MISSING"] for name, version in found["versions"].items()])
    devices = found["devices"]
    console.out("\nDevices")
    memory = f", {devices['memory_gb']} GB memory" if devices["memory_gb"] else ""
    console.out(f"  {devices['platform']}")
    console.out(f"  {devices['cores']} cores, {devices['torch_threads']} torch threads{memory}")
    for index, gpu in enumerate(devices["cuda"]):
        console.out(f"  cuda:{index} {gpu['name']}, {gpu['memory_gb']} GB")
    if devices["mps"]:
        console.out("  mps (Apple GPU)")
    if not devices["cuda"] and not devices["mps"]:
        console.out("  no GPU that torch can use: everything runs on the CPU, training of full size is slow")
    console.out("\nOptional parts")
    rows = [
        [
            f"  {part['name']}",
            "found" if part["found"] else "not found",
            part["for"] if part["found"] else f"without it: {part['without']}; {part['remedy']}",
        ]
        for part in found["optional"]
    ]
    console.table(rows)
    console.out("\nOptional files ('jiff assets list' says where to get them)")
    rows = [
        [
            f"  {asset['name']}",
            asset["state"] if asset["found"] else "not found",
            asset["for"] if asset["found"] else f"without it: {asset['without']}",
        ]
        for asset in found["assets"]
    ]
    console.table(rows)
    console.out("\nFolders")
    rows = [
        [
            f"  {item['name']}",
            item["path"],
            "" if item["size_mb"] is None else f"{item['size_mb']} MB",
            f"{item['free_gb']} GB free",
            "writable" if item["writable"] else "NOT writable",
        ]
        for item in found["folders"]
    ]
    console.table(rows)
