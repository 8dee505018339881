"""Checks of settings that the schema cannot express: which of them fit together."""

from __future__ import annotations

from lstm_cli.config.auto import AUTO_KEYS
from lstm_cli.config.auto_images import IMAGE_AUTO_KEYS
from lstm_cli.config.schema import Config, ImageSettings
from lstm_cli.errors import ExitCode, LstmError, suggest
from lstm_cli.io.text_format import shorten


def check_sections(config: Config, source: str) -> None:
    """Check that the sections fit together: those of a text run, or those of an image run.

    Args:
        config: Settings whose types and ranges are valid.
        source: Source of the settings for error messages.

    Raises:
        LstmError: A section is missing or does not fit (exit code 2).
    """
    _check_auto(config, source)
    _check_regions(config, source)
    _check_folds(config, source)
    if config.image is None:
        _check_text_run(config, source)
    else:
        _check_image_run(config, config.image, source)


def _check_folds(config: Config, source: str) -> None:
    """Check the number of folds, and that no other validation rows are given with them."""
    if config.data.folds == 1:
        raise _usage(
            f"{source}: data.folds expects 2 or more folds, or 0 for one validation split; found "
            "1.",
            "For example: --folds 5",
        )
    if config.data.folds and config.data.validation_file:
        raise _usage(
            f"{source}: data.folds and data.validation_file exclude each other: a cross-validation "
            "holds out every row once, and has no use for other validation rows.",
            "Leave out --folds or --validation.",
        )


def _check_text_run(config: Config, source: str) -> None:
    """Check that a text run has the sections it needs, and that its options fit together."""
    missing = [n for n in ("text", "embedding") if getattr(config, n) is None]
    if missing:
        raise _usage(
            f"{source}: a text classifier needs the section '{missing[0]}:'.",
            "Run 'lstm config show text' for an example; for images use 'image:' instead.",
        )
    if config.embedding and config.embedding.vectors_file and config.train.init_from:
        raise _usage(
            f"{source}: --vectors (embedding.vectors_file) is not available with --init-from "
            "(train.init_from): the word vectors come from that run.",
            "Leave out one of them.",
        )
    if config.train.self_training and config.linear is None:
        raise _usage(
            f"{source}: train.self_training needs the section 'linear:': the linear model "
            "makes the first pseudo-labels.",
            "Add 'linear: {}', or remove train.self_training.",
        )
    if config.train.teacher and not config.train.self_training:
        raise _usage(
            f"{source}: --teacher (train.teacher) has no effect without train.self_training: "
            "it predicts the labels of unlabeled texts, which nothing learns from.",
            "Set train.self_training=true, or leave out --teacher.",
        )


def _check_image_run(config: Config, settings: ImageSettings, source: str) -> None:
    """Check that an image run has no section or setting of texts."""
    for key, value in {
        "train.self_training": config.train.self_training,
        "train.teacher": config.train.teacher,
        "data.unlabeled": config.data.unlabeled,
        "data.replay_files": config.data.replay_files,
    }.items():
        if value:
            raise _usage(
                f"{source}: {key} is not available for images: it is for texts.",
                f"Remove {key}.",
            )
    text_sections = ("text", "embedding", "linear", "language")
    extra = [name for name in text_sections if getattr(config, name) is not None]
    if extra:
        raise _usage(
            f"{source}: the section '{extra[0]}:' is not available for images, which use 'image:'.",
            f"Remove '{extra[0]}:'.",
        )
    _check_windows(settings, source)


def _check_windows(settings: ImageSettings, source: str) -> None:
    """Check that the steps over an image read all of its rows."""
    if settings.stride > settings.window:
        raise _usage(
            f"{source}: image.stride expects at most image.window, {settings.window:,}; found "
            f"{settings.stride:,}: rows between two steps would not be read.",
            f"For example: --set image.window={settings.stride}",
        )
    if settings.size is not None and settings.window > settings.size[0]:
        raise _usage(
            f"{source}: image.window expects at most the rows of image.size, "
            f"{settings.size[0]:,}; found {settings.window:,}.",
            "Set a smaller window.",
        )


def _check_regions(config: Config, source: str) -> None:
    """Check that each width of regions occurs once: they are the names of layers."""
    widths = {"model.regions": config.model.regions}
    if config.embedding is not None:
        widths["embedding.region_widths"] = config.embedding.region_widths
    for key, regions in widths.items():
        if len(set(regions)) < len(regions):
            raise _usage(
                f"{source}: {key} expects widths that differ; found {list(regions)}.",
                f"For example: --set {key}={sorted(set(regions))}",
            )


def _check_auto(config: Config, source: str) -> None:
    """Check that training can choose the settings that `auto` lists."""
    is_image = config.image is not None
    keys = IMAGE_AUTO_KEYS if is_image else AUTO_KEYS
    for key in config.auto:
        if key not in keys:
            inputs = "images" if is_image else "texts"
            raise _usage(
                f"{source}: auto: '{shorten(key)}' is not a setting that training can choose for "
                f"{inputs}.",
                suggest(key, list(keys)),
            )
        section = key.partition(".")[0]
        if getattr(config, section) is None:
            raise _usage(
                f"{source}: auto: {key} needs the section '{section}:'.",
                f"Add '{section}: {{}}', or remove {key} from auto.",
            )


def _usage(message: str, hint: str) -> LstmError:
    return LstmError(message, hint, ExitCode.USAGE)
