"""Old spellings of options become the declared ones; values stay as they are."""

from __future__ import annotations

import pytest

from jiff.base.errors import UsageError
from jiff_cli.spec.spelling import Known, Retired, Speller

SPELLER = Speller(
    [
        Known(("--num-stack",), True),
        Known(("--load-size",), True),
        Known(("--load-netg-checkpoint-path",), True),
        Known(("--schedule",), True, numbers=True),
        Known(("--random-flip", "--no-random-flip"), False),
        Known(("--gen-mesh", "--no-gen-mesh"), False),
        Known(("--egl", "--no-egl", "-e"), False),
        Known(("--input", "-i"), True),
        Known(("--pifu", "-pifu", "--PIFu-path"), True),
        Known(("--gpu-ids",), True),
    ],
    {
        "batch_size": Retired("only 1 makes sense.", ("1",)),
        "mlp_dim": Retired("comes with the checkpoint.", ("257,1024,1",)),
        "skip_hourglass": Retired("is never read.", takes_value=False),
        "-l": Retired("keep stderr."),
        "-x": Retired("goes with -i.", None),
        "use_tanh": Retired("always on.", None, takes_value=False),
    },
)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("--num_stack 4", "--num-stack 4"),
        ("--num_stack=4", "--num-stack=4"),
        ("--NUM_STACK 4", "--num-stack 4"),
        ("--loadSize 512", "--load-size 512"),
        ("--load_netG_checkpoint_path a_b/c_d", "--load-netg-checkpoint-path a_b/c_d"),
        ("--schedule 60 80", "--schedule 60,80"),
        ("--schedule 60 80 --random_flip", "--schedule 60,80 --random-flip"),
        ("--schedule=60 80", "--schedule=60,80"),
        ("--schedule 4 photo.png", "--schedule 4 photo.png"),
        ("--random_flip some_value", "--random-flip some_value"),
        ("--no_gen_mesh", "--no-gen-mesh"),
        ("-i some_folder", "-i some_folder"),
        ("-ei some_folder", "-ei some_folder"),
        ("-isome_folder", "-isome_folder"),
        ("-pifu a_b -i c_d", "-pifu a_b -i c_d"),
        ("--PIFu_path a_b", "--PIFu-path a_b"),
        ("--gpu_ids -1", "--gpu-ids -1"),
        ("--gpu_ids=0,1,2", "--gpu-ids=0,1,2"),
        ("--num_stack --num_stack", "--num-stack --num_stack"),
        ("-i --num_stack", "-i --num_stack"),
        ("-ei --num_stack", "-ei --num_stack"),
        ("a_b --num_stack 4 c_d", "a_b --num-stack 4 c_d"),
        ("-- --num_stack 4", "-- --num_stack 4"),
        ("--num_stack 1 -- --num_stack", "--num-stack 1 -- --num_stack"),
        ("--un_known x_y", "--un_known x_y"),
        ("-1 -0.5 -", "-1 -0.5 -"),
        ("--batch_size 1 --random_flip", "--random-flip"),
        ("--batch-size=1", ""),
        ("--mlp_dim 257 1024 1 x", "x"),
        ("--use_tanh x", "x"),
        ("--num_stack", "--num-stack"),
        ("-x some --egl", "--egl"),
    ],
)
def test_spellings(line: str, expected: str) -> None:
    assert " ".join(SPELLER.rewrite(line.split())) == expected


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--batch_size 2", ["--batch-size", "only 1 makes sense"]),
        ("--batch_size", ["--batch-size"]),
        ("--mlp_dim 1 2", ["--mlp-dim", "checkpoint"]),
        ("-l log.txt", ["-l: keep stderr"]),
        ("--skip_hourglass", ["--skip-hourglass", "never read"]),
    ],
)
def test_options_without_meaning_say_why(line: str, words: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        SPELLER.rewrite(line.split())
    for word in words:
        assert word in str(caught.value)


def test_rewriting_twice_changes_nothing() -> None:
    once = SPELLER.rewrite(["--num_stack", "4", "--schedule", "60", "80", "-i", "a_b", "--no_gen_mesh"])
    assert SPELLER.rewrite(once) == once
