"""Options built from a configuration: command line over file over defaults, help, errors and exit status."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from typer.testing import CliRunner

from jiff.base.config import option, save_resolved
from jiff_cli.console import Console
from jiff_cli.spec.command import JiffCommand, config_command
from jiff_cli.spec.config_file import Presets
from jiff_cli.spec.from_dataclass import Blueprint


@dataclass(frozen=True, kw_only=True)
class Network:
    depth: int = option(2, help="Depth of the network.", min=1, max=5, panel="Network")
    width: int = 9


@dataclass(frozen=True)
class Job(Network):
    input: Path = option(help="Folder [of scans].", flags=("-i",), aliases=("--input-dir",))
    num_stack: int = option(4, help="Stacks.", min=1)
    rate: float = option(1e-3, help="Rate.", min=0, max=1)
    norm: Literal["group", "batch"] = option("group", help="Norm.")
    flip: bool = option(False, help="Flip.", flags=("-f",))
    mesh: bool = option(True, help="Meshes.")
    no_face: bool = option(False, help="No face.")
    schedule: tuple[int, ...] = option((60, 80), help="Epochs.")
    corner: tuple[float, float] = option((0.0, 1.0), help="Corner.")
    photos: tuple[Path, ...] = option((), help="Photos.")
    out: Path | None = option(Path("results"), help="Results.", flags=("-o",))
    limit: int | None = option(None, help="Limit.", min=1)
    format: tuple[Literal["obj", "glb"], ...] = option(("glb",), help="Formats.")
    views: tuple[str, ...] = option((), help="Views.")
    labels: tuple[str, ...] = option((), help="Labels.", split=False)
    residual: bool | None = option(None, help="Residual.")
    stage: str = "shape"


@dataclass(frozen=True)
class Files:
    mesh: tuple[Path, ...] = option(help="Meshes.", positional=True)
    zoom: bool = option(False, help="Zoom.")


runner = CliRunner()
seen: list[Job | Files] = []


@config_command(Job, published="eval", fixed={"stage": "color_fine"})
def job(config: Job, console: Console) -> None:
    """Do the job."""
    seen.append(config)


SETS = {"small": {"num_stack": 1, "schedule": [5], "flip": True}, "wrong": {"num_stak": 1}}


@config_command(Job, presets=Presets(tuple(SETS), SETS.__getitem__))
def with_presets(config: Job, console: Console) -> None:
    """Do the job from a preset."""
    seen.append(config)


@config_command(Files)
def files(config: Files, console: Console) -> None:
    """Take files."""
    seen.append(config)


def run(command: JiffCommand, *words: object) -> Job:
    seen.clear()
    result = command_result(command, *words)
    assert result.exit_code == 0, result.output
    (config,) = seen
    assert isinstance(config, Job)
    return config


def command_result(command: JiffCommand, *words: object):  # type: ignore[no-untyped-def]
    """Call a bare command as the runner calls an app."""
    import typer.testing

    original = typer.testing._get_command
    typer.testing._get_command = lambda app: app  # type: ignore[assignment,return-value]
    try:
        return runner.invoke(command, [str(word) for word in words])  # type: ignore[arg-type]
    finally:
        typer.testing._get_command = original


def test_defaults_are_the_dataclass_and_what_the_command_fixes() -> None:
    assert run(job, "-i", "x") == Job(Path("x"), stage="color_fine")


def test_every_kind_of_option_arrives_typed() -> None:
    words = (
        "--input_dir a_b --num_stack 2 --rate 1e-4 --norm batch -f --no_mesh --no_face --schedule 3 4 "
        "--corner 0.5,2 --photos p_1.png --photos p2.png -o c_d --limit 9 --depth 5"
    )
    assert run(job, *words.split()) == Job(
        Path("a_b"),
        2,
        1e-4,
        "batch",
        True,
        False,
        True,
        (3, 4),
        (0.5, 2.0),
        (Path("p_1.png"), Path("p2.png")),
        Path("c_d"),
        9,
        stage="color_fine",
        depth=5,
    )


def test_lists_of_texts_split_at_commas_unless_told_otherwise(tmp_path: Path) -> None:
    config = run(job, "-i", "x", "--format", "obj,glb", "--views", "a,b", "--views", "c", "--labels", "a,b")
    assert (config.format, config.views, config.labels) == (("obj", "glb"), ("a", "b", "c"), ("a,b",))
    (tmp_path / "c.yaml").write_text("input: x\nformat: obj\nviews: ['a,b']\nlabels: 'a,b'\n")
    config = run(job, "--config", tmp_path / "c.yaml")
    assert (config.format, config.views, config.labels) == (("obj",), ("a,b",), ("a,b",))
    assert command_result(job, "-i", "x", "--format", "obj,fbx").exit_code == 2


def test_three_valued_switches() -> None:
    assert run(job, "-i", "x").residual is None
    assert run(job, "-i", "x", "--residual").residual is True
    assert run(job, "-i", "x", "--no_residual").residual is False


def test_command_line_wins_over_file_and_file_over_defaults(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(
        "input: from_file\nnum-stack: 3\nrate: 1e-4\nflip: true\nno_mesh: true\nschedule: [1, 2]\n"
        "photos: [a.png, b.png]\nlimit: 5\ndepth: 3\nwidth: 11\n"
    )
    config = run(job, "--config", file)
    expected = Job(
        Path("from_file"),
        3,
        1e-4,
        flip=True,
        mesh=False,
        schedule=(1, 2),
        photos=(Path("a.png"), Path("b.png")),
        limit=5,
        stage="color_fine",
        depth=3,
        width=11,
    )
    assert config == expected
    config = run(
        job, "--num_stack", 8, "--no-flip", "--config", file, "--schedule", 9, "--depth", 1, "--mesh"
    )
    assert (config.num_stack, config.flip, config.schedule, config.mesh) == (8, False, (9,), True)
    assert (config.depth, config.width, config.rate, config.photos) == (1, 11, 1e-4, expected.photos)


def test_null_in_the_file_replaces_a_default_but_not_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("input: x\nout: null\n")
    assert run(job, "--config", file).out is None
    assert run(job, "--config", file, "-o", "y").out == Path("y")


def test_saved_configuration_repeats_the_run(tmp_path: Path) -> None:
    first = run(
        job, "-i", "x", "--schedule", 1, "--photos", "p", "--depth", 4, "--rate", "0.125", "--no-face"
    )
    save_resolved(first, tmp_path / "run.yaml", versions={"torch": "2"})
    assert run(job, "--config", tmp_path / "run.yaml") == first


@pytest.mark.parametrize("order", [0, 1])
def test_preset_is_weaker_than_file_and_command_line(tmp_path: Path, order: int) -> None:
    assert run(with_presets, "-i", "x", "--preset", "small") == Job(Path("x"), 1, flip=True, schedule=(5,))
    file = tmp_path / "c.yaml"
    file.write_text("num_stack: 2\ninput: y\n")
    both = [["--preset", "small"], ["--config", file]]
    words = [*both[order], *both[1 - order]]
    assert run(with_presets, *words) == Job(Path("y"), 2, flip=True, schedule=(5,))
    assert run(with_presets, *words, "--num_stack", 3, "--no-flip").num_stack == 3
    file.write_text("num_stack: 2\ninput: y\npreset: small\n")
    assert run(with_presets, "--config", file) == Job(Path("y"), 2, flip=True, schedule=(5,))
    assert "small|wrong" in command_result(with_presets, "--help").output
    result = command_result(with_presets, "-i", "x", "--preset", "wrong")
    assert (result.exit_code, "preset wrong: unknown key 'num_stak'" in result.stderr) == (2, True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("num_stak: 3\n", ["num_stak", "did you mean 'num_stack'", "c.yaml"]),
        ("num_stack: many\n", ["num_stack", "many", "c.yaml"]),
        ("num_stack: 0\n", ["num_stack", "at least 1"]),
        ("stage: shape\n", ["stage", "color_fine"]),
        ("dept: 3\n", ["dept", "depth"]),
        ("debug: maybe\n", ["debug", "true or false"]),
        ("[1]\n", ["mapping"]),
    ],
)
def test_wrong_configuration_file_is_one_sentence_and_status_2(
    tmp_path: Path, text: str, words: list[str]
) -> None:
    (tmp_path / "c.yaml").write_text(text)
    result = command_result(job, "-i", "x", "--config", tmp_path / "c.yaml")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    for word in words:
        assert word in result.stderr


def test_missing_configuration_file_is_status_1(tmp_path: Path) -> None:
    result = command_result(job, "-i", "x", "--config", tmp_path / "none.yaml")
    assert result.exit_code == 1
    assert "none.yaml: no such file" in result.stderr


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--num_stack", "0"], "num-stack"),
        (["--rate", "2"], "rate"),
        (["--norm", "layer"], "norm"),
        (["--num_stack", "x"], "num-stack"),
        (["--schedule", "a"], "schedule"),
        (["--corner", "1,2,3"], "corner"),
        (["--num_stak", "1"], "num-stack"),
        (["--batch_size", "2"], "batch-size"),
        (["stray"], "stray"),
    ],
)
def test_wrong_values_are_status_2_and_name_the_option(words: list[str], part: str) -> None:
    result = command_result(job, "-i", "x", *words)
    assert result.exit_code == 2
    assert part in result.stderr
    assert "Traceback" not in result.output


def test_missing_required_option_is_status_2_and_named() -> None:
    result = command_result(job)
    assert result.exit_code == 2
    assert "--input" in result.stderr


def test_help_lists_every_option_with_default_range_and_panel() -> None:
    text = command_result(job, "--help").output
    for name in (
        "--input",
        "-i",
        "--num-stack",
        "--no-mesh",
        "--no-face",
        "--schedule",
        "--depth",
        "--config",
        "-q",
    ):
        assert name in text
    for words in (
        "Folder [of scans].",
        "60,80",
        "x>=1",
        "group|batch",
        "Network",
        "required",
        "Every command",
    ):
        assert words in text
    assert "--stage" not in text
    assert "--width" not in text


def test_arguments_are_positional_and_may_be_several() -> None:
    seen.clear()
    assert command_result(files, "a b.obj", "--zoom", "c.glb").exit_code == 0
    assert seen == [Files((Path("a b.obj"), Path("c.glb")), True)]
    assert command_result(files).exit_code == 2


def test_arguments_may_come_from_the_file_and_names_may_have_commas(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("mesh: ['a,b.obj', c.obj]\nquiet: true\n")
    seen.clear()
    result = command_result(files, "--config", tmp_path / "c.yaml")
    assert (result.exit_code, seen) == (0, [Files((Path("a,b.obj"), Path("c.obj")))])
    seen.clear()
    assert command_result(files, "d,e.obj", "--config", tmp_path / "c.yaml").exit_code == 0
    assert seen == [Files((Path("d,e.obj"),))]


def test_two_options_of_one_name_are_a_programming_error() -> None:
    @dataclass(frozen=True)
    class Twice:
        load_size: int = option(1, help="One.")
        loadsize: int = option(2, help="Two.")

    with pytest.raises(TypeError, match="loadsize"):
        Blueprint(Twice)
