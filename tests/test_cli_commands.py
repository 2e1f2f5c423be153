"""Every command of the registry: help, options, start-up cost, first failures."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jiff import __version__
from jiff.base.config import canonical
from jiff_cli.app import app
from jiff_cli.registry import Entry, all_commands
from jiff_cli.spec.lazy import LazyCommand

COMMANDS = [pytest.param(words, entry, id=" ".join(words)) for words, entry in all_commands()]
GROUPS = ["", "data", "train", "eval", "assets"]
runner = CliRunner()


def jiff(*words: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the real command line."""
    code = "from jiff_cli.app import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, timeout=120, cwd=cwd
    )


def imported_by(code: str) -> set[str]:
    """Return the heavy modules that ``code`` pulls into a fresh interpreter."""
    heavy = "('torch', 'numpy', 'cv2', 'scipy', 'trimesh', 'lightning', 'lightning_fabric', 'anny', 'warp')"
    tail = f"\nimport sys; print('HEAVY', *[m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code + tail], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rsplit("HEAVY", 1)[1].split())


@pytest.mark.parametrize("group", GROUPS)
def test_help_of_groups_imports_nothing_heavy(group: str) -> None:
    begin = time.perf_counter()
    code = f"""
import sys
from jiff_cli.app import app
try:
    app([w for w in [{group!r}] if w] + ["--help"])
except SystemExit as leave:
    assert leave.code == 0
"""
    assert imported_by(code) == set()
    print(f"jiff {group} --help: {time.perf_counter() - begin:.2f} s with the interpreter")


def test_no_command_imports_torch_to_show_its_help() -> None:
    modules = sorted({entry.module for _, entry in all_commands()})
    code = "import importlib\n" + "\n".join(f"importlib.import_module({name!r})" for name in modules)
    assert imported_by(code) & {"torch", "lightning", "lightning_fabric", "anny", "warp"} == set()


def test_help_lists_groups_and_commands_in_the_order_of_work() -> None:
    text = runner.invoke(app, ["--help"]).output
    places = [text.index(f"│ {name} ") for name in ("demo", "data", "train", "eval", "reconstruct", "doctor")]
    assert places == sorted(places)
    text = runner.invoke(app, ["data", "-h"]).output
    places = [
        text.index(f"│ {name} ") for name in ("synth", "rescale", "prt", "render", "face", "icp", "check")
    ]
    assert places == sorted(places)


def test_version() -> None:
    result = runner.invoke(app, ["--version"])
    assert (result.exit_code, result.output) == (0, f"jiff {__version__}\n")


@pytest.mark.parametrize(("words", "entry"), COMMANDS)
def test_help_lists_every_option_with_its_text(words: tuple[str, ...], entry: Entry) -> None:
    result = runner.invoke(app, [*words, "--help"])
    assert result.exit_code == 0, result.output
    command = LazyCommand(entry).load()
    assert command.blueprint.options, "a command without any option"
    for spec in command.blueprint.options:
        assert spec.note is not None
        assert spec.note.help.endswith("."), f"{spec.name}: the help is no sentence"
        if spec.note.hidden:
            continue
        shown = spec.name.upper() if spec.note.positional else f"--{spec.name.replace('_', '-')}"
        assert shown.lower() in result.output.lower()
        flat = " ".join(result.output.replace("│", " ").split())
        assert " ".join(spec.note.help.split())[:30] in flat
    assert "--config" in result.output


@pytest.mark.parametrize(("words", "entry"), COMMANDS)
def test_options_are_unambiguous_and_take_underscores(words: tuple[str, ...], entry: Entry) -> None:
    command = LazyCommand(entry).load()
    spellings = [text for item in command.speller.known for text in item.spellings]
    assert len(spellings) == len(set(spellings))
    for item in command.speller.known:
        for text in item.spellings:
            if text.startswith("--"):
                old = "--" + text[2:].replace("-", "_")
                value = ["x"] if item.takes_value else []
                assert command.speller.rewrite([old, *value])[0] in item.spellings
    long_forms = {
        item: {canonical(t) for t in item.spellings if t[:2] == "--"} for item in command.speller.known
    }
    for first, names in long_forms.items():
        assert all(not names & other for item, other in long_forms.items() if item is not first)


@pytest.mark.parametrize(("words", "entry"), COMMANDS)
def test_unknown_option_and_unknown_key_are_status_2(
    words: tuple[str, ...], entry: Entry, tmp_path: Path
) -> None:
    result = runner.invoke(app, [*words, "--no-such-option", "1"])
    assert result.exit_code == 2
    assert "--no-such-option" in result.stderr
    (tmp_path / "c.yaml").write_text("no_such_key: 1\n")
    result = runner.invoke(app, [*words, "--config", str(tmp_path / "c.yaml")])
    assert result.exit_code == 2
    assert "no_such_key" in result.stderr
    assert result.stderr.count("\n") == 1


INPUTS = {
    "data rescale": ["-i", "none"],
    "data prt": ["-i", "none"],
    "data render": ["-i", "none", "-o", "out"],
    "data face": ["-i", "none"],
    "data icp": ["-i", "none"],
    "data check": ["none"],
    "train shape": ["--dataroot", "none"],
    "train check": ["--dataroot", "none"],
    "train normals": ["--dataroot", "none"],
    "train color-coarse": ["--dataroot", "none", "--load_netG_checkpoint_path", "none"],
    "eval pifu": ["--test_folder_path", "none", "--checkpoint", "none"],
    "eval align": ["-pifu", "none", "-test", "none"],
    "eval jiff": ["--test_folder_path", "none", "--checkpoint", "none"],
    "eval metrics": ["none", "none"],
    "reconstruct": ["none", "-o", "out", "--checkpoint", "none"],
    "view": ["none"],
}


@pytest.mark.parametrize("name", INPUTS)
def test_missing_input_is_one_sentence_and_status_1(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = runner.invoke(app, [*name.split(), *INPUTS[name]])
    assert result.exit_code == 1, result.output
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1, result.stderr
    assert "none" in errors[0]
    assert "unexpected" not in errors[0]
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_real_process_missing_folder_and_debug(tmp_path: Path) -> None:
    plain = jiff("data", "prt", "-i", "no such folder", cwd=tmp_path)
    assert plain.returncode == 1
    assert plain.stdout == ""
    assert "no such folder" in plain.stderr
    assert "Traceback" not in plain.stderr
    for words in (["data", "prt", "-i", "none", "--debug"], ["--debug", "data", "prt", "-i", "none"]):
        shown = jiff(*words, cwd=tmp_path)
        assert shown.returncode == 1
        assert "Traceback" in shown.stderr


def test_module_start_for_launchers() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "jiff_cli", "--version"], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"jiff {__version__}\n", "")


def test_reader_that_goes_away_is_no_error() -> None:
    code = "from jiff_cli.app import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "doctor", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    errors = process.stderr.read()
    process.stderr.close()
    process.wait(timeout=60)
    assert "Traceback" not in errors
    assert "Error" not in errors


def test_real_process_typo_is_status_2_with_a_suggestion() -> None:
    done = jiff("data", "rendr")
    assert done.returncode == 2
    assert "render" in done.stderr
