"""Options of the published scripts that no field of a command carries, each with the reason.

The spellings follow lib/options.py and the scripts of https://github.com/yukangcao/JIFF. An entry counts only where
the command has no option of that name.
"""

from __future__ import annotations

from jiff_cli.spec.spelling import Retired

_ARCHITECTURE = "a checkpoint knows its own architecture here; leave the option out."
_TRAINING = "it is an option of training and changes nothing here; leave it out."
_UNREAD = "the published scripts accept it but never read it; leave it out."

_TRAINING_VALUES = (
    "num_threads",
    "learning_rate",
    "num_epoch",
    "freq_plot",
    "freq_save",
    "freq_save_ply",
    "resume_epoch",
    "sigma",
    "num_sample_inout",
    "num_sample_color",
    "schedule",
    "gamma",
    "color_loss_type",
    "checkpoints_path",
    "aug_bri",
    "aug_con",
    "aug_sat",
    "aug_hue",
    "aug_blur",
)
_TRAINING_SWITCHES = (
    "serial_batches",
    "pin_memory",
    "no_gen_mesh",
    "no_num_eval",
    "continue_train",
    "random_flip",
    "random_trans",
    "random_scale",
    "val_test_error",
    "val_train_error",
    "gen_test_mesh",
    "gen_train_mesh",
)

_BASE: dict[str, Retired] = {
    "dataroot_512": Retired(f"one --dataroot serves every image size and {_UNREAD}", ("./data",)),
    "learning_rateC": Retired("the published scripts never read it; use --learning-rate.", ("0.001", "1e-3")),
    "skip_hourglass": Retired(_UNREAD, takes_value=False),
    "all_mesh": Retired(_UNREAD, takes_value=False),
    "aug_alstd": Retired(_UNREAD, ("0", "0.0")),
    "load_checkpoint_path": Retired(
        "the published scripts never read it; give --shape-checkpoint and its companions instead."
    ),
    "mask_path": Retired("to reconstruct one photo use 'jiff reconstruct PHOTO', which finds its mask."),
    "img_path": Retired("to reconstruct one photo use 'jiff reconstruct PHOTO'."),
    "single": Retired(_UNREAD, ("",)),
}

TRAIN: dict[str, Retired] = {
    **_BASE,
    "gpu_id": Retired("training chooses its devices with --device (published: --gpu_ids); use that.", ("0",)),
    "test_folder_path": Retired(
        "photos are reconstructed by 'jiff eval pifu' and 'jiff eval jiff' after training."
    ),
}

EVAL: dict[str, Retired] = {
    **_BASE,
    "gpu_id": Retired("choose the device with --device auto, cpu, cuda or mps.", ("0",)),
    "dataroot": Retired("evaluation reads --test-folder-path; leave it out.", ("./data",)),
    "batch_size": Retired("photos are reconstructed one after the other; only 1 makes sense.", ("1",)),
    "loadSize": Retired(_ARCHITECTURE, ("512",)),
    "num_views": Retired("several views go to 'jiff reconstruct --view'; leave it out.", ("1",)),
    "random_multiview": Retired(_TRAINING, takes_value=False),
    "norm": Retired(_ARCHITECTURE, ("group",)),
    "norm_color": Retired(_ARCHITECTURE, ("group",)),
    "num_stack": Retired(_ARCHITECTURE, ("4",)),
    "num_hourglass": Retired(_ARCHITECTURE, ("2",)),
    "hg_down": Retired(_ARCHITECTURE, ("ave_pool",)),
    "hourglass_dim": Retired(_ARCHITECTURE, ("256",)),
    "mlp_dim": Retired(_ARCHITECTURE, ("257,1024,512,256,128,1",)),
    "mlp_dim_color": Retired(_ARCHITECTURE, ("513,1024,512,256,128,3",)),
    "mlp_dim_color_fine": Retired(_ARCHITECTURE, ("513,1024,512,256,128,3",)),
    "mlp_dim_3d": Retired(_ARCHITECTURE, ("128,1024,512,256,128,1",)),
    "mlp_dim_3d_color": Retired(_ARCHITECTURE, ("128,1024,512,256,128,3",)),
    "mlp_dim_joint": Retired(_ARCHITECTURE, ("0,1024,512,256,128,1",)),
    "mlp_dim_joint_color": Retired(_ARCHITECTURE, ("0,1024,512,256,128,3",)),
    "no_residual": Retired(_ARCHITECTURE, takes_value=False),
    "use_tanh": Retired("the colour networks always end in tanh.", None, takes_value=False),
    "z_size": Retired(_ARCHITECTURE, ("200", "200.0")),
    "load_netC_checkpoint_path": Retired("coarse reconstruction uses no fine colour network; leave it out."),
    "num_gen_mesh_test": Retired(_TRAINING, ("1",)),
    **{name: Retired(_TRAINING) for name in _TRAINING_VALUES},
    **{name: Retired(_TRAINING, takes_value=False) for name in _TRAINING_SWITCHES},
}

_LOG = Retired("failures are listed at the end and set the exit status; redirect stderr to keep them.")
# Face data always go into the set that -i names, which is what the published -o named.
_SET = Retired("face data are written into the set that -i names.", None)

FACE: dict[str, Retired] = {"log_path": _LOG, "-l": _LOG, "output_dir": _SET, "-o": _SET}

RETIRED: dict[str, dict[str, Retired]] = {"train": TRAIN, "eval": EVAL, "face": FACE}
"""Table by the key that ``config_command(published=...)`` takes."""
