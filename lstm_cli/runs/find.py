"""Find a run: by its path or name, the newest, or the one to resume."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from lstm_cli.errors import ExitCode, LstmError, command_line, suggest
from lstm_cli.io.text_format import pluralize
from lstm_cli.runs.directory import CONFIG, MANIFEST, MLFLOW, RUN, RunDir, is_language, peek
from lstm_cli.runs.lock import is_locked
from lstm_cli.runs.schema import RunInfo

ARCHIVE_SUFFIX = ".zip"


def all_runs(root: Path, dataset: str | None = None) -> list[RunDir]:
    """List runs in any state, the oldest first.

    Hidden folders are left out: what `removal` has not finished to delete is no run.

    Args:
        root: Folder of all runs.
        dataset: Only runs in this subfolder.
    """
    folders = root.glob("*") if dataset is None else [root / dataset]
    found = (path.parent for folder in folders for path in folder.glob(f"*/{RUN}"))
    runs = [RunDir(path) for path in found if not path.name.startswith(".")]
    return sorted(runs, key=lambda run: (_started(run), run.path.name))


def find(
    root: Path,
    name: str | None,
    *,
    data_name: str | None = None,
    kind: str | None = None,
    language: bool = False,
) -> RunDir:
    """Find the run that `--run` names, or the newest finished one.

    Args:
        root: Folder of all runs.
        name: A path, the path of an archive (`runs.archive`), `<dataset>/<name>`, a name, a data
            set (its newest run), or None.
        data_name: If `name` is None: only runs trained on this `data.name`.
        kind: If `name` is None: only runs of this kind, `text` or `image`.
        language: If the newest run is taken: whether it must be a language model or a classifier.
            A run that is named may be either.

    Raises:
        LstmError: There is none, more than one, or it did not finish.
    """
    if name is None:
        wanted = {"data": data_name, "kind": kind}
        return _newest(root, None, {key: value for key, value in wanted.items() if value}, language)
    # `.` and `..` have no name of their own.
    for path in (_resolve(Path(name)), root / name):
        if exists(path / RUN):
            return _check_finished(RunDir(path), root)
        if name.lower().endswith(ARCHIVE_SUFFIX) and (run := _open_archive(path, root)):
            return run
    runs = [run for run in all_runs(root) if run.path.name == name]
    if len(runs) > 1:
        raise _ambiguous(name, runs)
    if runs:
        return _check_finished(runs[0], root)
    if not has_separator(name) and exists(root / name) and all_runs(root, name):
        return _newest(root, name, {}, language)
    raise _not_found(root, name)


def find_initial(root: Path, name: str) -> RunDir:
    """Find the run that `--init-from` names, of either task.

    Args:
        root: Folder of all runs.
        name: As for `find`. A data set means its newest language model, or if it has none, its
            newest classifier.

    Raises:
        LstmError: As for `find`.
    """
    is_folder = not has_separator(name) and exists(root / name)
    runs = all_runs(root, name) if is_folder else []
    finished = [is_language(run) for run in runs if run.status == "finished"]
    return find(root, name, language=any(finished) or not finished)


def find_unfinished(root: Path, name: str | None, data_name: str, language: bool = False) -> RunDir:
    """Find the run that `--resume` names, or the newest that did not finish.

    Args:
        root: Folder of all runs.
        name: A path, `<dataset>/<name>` or a name; None for the newest run on `data_name` that no
            process is training.
        data_name: The `data.name` of the command.
        language: Whether the run must be a language model or a classifier.

    Raises:
        LstmError: There is nothing to resume, or the named run is of the other task.
    """
    if name is None:
        return _newest_unfinished(root, data_name, language)
    run = _find_any(root, name, data_name)
    if is_language(run) != language:
        task = "a classifier" if language else "a language model"
        raise LstmError(
            f"Run {run.name} is {task}.", f"Resume it: {resume_command(run, root)}", ExitCode.USAGE
        )
    return run


def find_own(root: Path, name: str) -> RunDir:
    """Find a run in any state that may be removed or renamed.

    Args:
        root: Folder of all runs.
        name: A path, `<dataset>/<name>` or a name. Unlike in `find`, a data set does not stand for
            its newest run.

    Raises:
        LstmError: There is none, or more than one; or it is not a folder `<root>/<dataset>/<name>`,
            but an archive, elsewhere, or reached by a symbolic link (exit code 2).
    """
    for path in (Path(name), root / name):
        if not exists(path / RUN):
            continue
        # The name stays unresolved: a link must be seen as one.
        path = _resolve(path) if path.name in ("", "..") else _resolve(path.parent) / path.name
        if path.parent.parent != _resolve(root):
            raise LstmError(
                f"Run {path} is not in the folder of runs, {root}.",
                f"Name that folder: --runs-dir {command_line(str(path.parent.parent))}",
                ExitCode.USAGE,
            )
        return check_own(RunDir(root / path.parent.name / path.name))
    if name.lower().endswith(ARCHIVE_SUFFIX) and exists(Path(name)):
        RunDir(Path(name), archive=Path(name)).check_writable()
    runs = [run for run in all_runs(root) if run.path.name == name]
    if len(runs) > 1:
        raise _ambiguous(name, runs)
    if runs:
        return check_own(runs[0])
    if not has_separator(name) and all_runs(root, name):
        raise LstmError(
            f"'{name}' is a data set with {pluralize(len(all_runs(root, name)), 'run')}, not a "
            "run.",
            f"Name a run of it: {all_runs(root, name)[0].name}",
            ExitCode.USAGE,
        )
    raise _not_found(root, name)


def check_own(run: RunDir) -> RunDir:
    """Return a run that is a folder in the folder of its data set.

    Raises:
        LstmError: It, or the folder of its data set, is a symbolic link (exit code 2).
    """
    for path in (run.path.parent, run.path):
        if path.is_symlink():
            raise LstmError(
                f"{path} is a symbolic link: what it leads to is not changed.",
                f"Remove the link itself: {command_line('rm', str(path))}",
                ExitCode.USAGE,
            )
    return run


def resume_command(run: RunDir, root: Path) -> str:
    """Return the shell command that resumes a run.

    Args:
        run: The run.
        root: Folder of all runs; the command has the path of a run that is not in it.
    """
    info = peek(run)
    verb = "pretrain" if info is not None and info.kind == "language" else "train"
    data_name = (info.data if info else None) or "DATASET"
    name = run.path.name if run.path.parent.parent == root else str(run.path)
    distributed = ["--distributed"] if info is not None and (info.processes or 1) > 1 else []
    tracked = ["--track", "mlflow"] if exists(run.file(MLFLOW)) else []
    return command_line("lstm", verb, data_name, "--resume", name, *distributed, *tracked)


def exists(path: Path) -> bool:
    """Tell whether a path exists; False for a text that is too long to be a path."""
    try:
        return path.exists()
    except OSError:
        return False


def has_separator(name: str) -> bool:
    """Tell whether a text is not the name of a single folder."""
    return "/" in name or os.sep in name or "\0" in name or name in (".", "..")


def _find_any(root: Path, name: str, data_name: str) -> RunDir:
    """Find a named run in any state; of two with one name, the one on `data_name`."""
    path = _resolve(Path(name))
    if exists(path / RUN):
        return RunDir(path)
    runs = [run for run in all_runs(root) if run.file(CONFIG).is_file()]
    for run in (*(run for run in runs if _is_on(run, data_name)), *runs):
        if name in (run.name, run.path.name):
            return run
    raise _not_found(root, name)


def _newest_unfinished(root: Path, data_name: str, language: bool) -> RunDir:
    runs = [
        run
        for run in all_runs(root)
        if run.file(CONFIG).is_file()
        and _is_on(run, data_name)
        and is_language(run) == language
        and run.status != "finished"
    ]
    for run in reversed(runs):
        if not is_locked(run.path):
            return run
    if runs:
        raise LstmError(
            f"There is nothing to resume: another process is training {runs[-1].name}.",
            "Wait for it, or start a run without --resume.",
        )
    raise LstmError(
        f"There is nothing to resume: {root} has no unfinished run on {data_name}.",
        "Start one without --resume, or name a finished run and give more --epochs.",
    )


def _newest(root: Path, dataset: str | None, wanted: Mapping[str, str], language: bool) -> RunDir:
    """Return the newest finished run whose `run.json` has the wanted values.

    Raises:
        LstmError: There is none, or `run.json` of the newest has changed (exit code 5).
    """
    runs = [run for run in all_runs(root, dataset) if is_language(run) == language]
    for run in reversed(runs):
        if run.status == "finished":
            info = run.with_manifest().decode(RUN, RunInfo)
            if all(getattr(info, key) == value for key, value in wanted.items()):
                return run
    words = {"data": "on", "kind": "that reads"}
    which = "".join(f" {words[key]} {value}" for key, value in wanted.items())
    if not which and dataset is not None:
        which = f" of '{dataset}'"
    unfinished = sum(run.status != "finished" for run in runs)
    raise LstmError(
        f"There is no finished {'language model' if language else 'run'}{which} under {root}"
        + (f" ({unfinished} did not finish)." if unfinished else "."),
        f"Train one, for example 'lstm {'pretrain' if language else 'train'} demo', or name the "
        "folder of runs with --runs-dir.",
    )


def _check_finished(run: RunDir, root: Path) -> RunDir:
    status = run.status
    if status == "finished":
        run.with_manifest().decode(RUN, RunInfo)
        return run
    if status == "broken":
        run.decode(RUN, RunInfo)
        raise run.integrity_error(f"{MANIFEST} is missing")
    raise LstmError(
        f"Run {run.path} did not finish: its status is '{status}'.",
        f"Resume it: {resume_command(run, root)}",
    )


def _open_archive(path: Path, root: Path) -> RunDir | None:
    """Unpack the archive of a finished run; None if there is no such file."""
    # Imported only now: it would make the start of every other command slower.
    from lstm_cli.runs import archive

    if not archive.is_file(path):
        return None
    run = archive.open_archive(path)
    try:
        return _check_finished(run, root)
    except LstmError:
        archive.discard(run)
        raise


def _ambiguous(name: str, runs: Sequence[RunDir]) -> LstmError:
    return LstmError(
        f"{len(runs)} runs are named '{name}': {', '.join(run.name for run in runs)}.",
        "Put the data set before the name.",
        ExitCode.USAGE,
    )


def _not_found(root: Path, name: str) -> LstmError:
    if exists(Path(name)):
        return LstmError(
            f"{name} is not a run directory: it has no {RUN}.", "See 'lstm runs list'."
        )
    runs = all_runs(root)
    if not runs:
        return LstmError(f"There is no run '{name}' under {root}.", "Train one: lstm train demo")
    # Imported only now: `rename` uses this module.
    from lstm_cli.runs.rename import former_names

    for run in runs:
        if name.removeprefix(f"{run.path.parent.name}/") in former_names(run):
            return LstmError(
                f"There is no run '{name}' under {root}: it was renamed.", f"Name it {run.name}."
            )
    paths = [run.path for run in runs]
    names = {run.name for run in runs}
    shorter = {path.name for path in paths} | {path.parent.name for path in paths}
    hint = suggest(name, sorted(names | shorter), sorted(names))
    return LstmError(f"There is no run '{name}' under {root}.", hint)


def _resolve(path: Path) -> Path:
    """Return a path in which the last two parts are names, not `.` or `..`."""
    try:
        return path.resolve()
    except (OSError, ValueError, RuntimeError):
        return path


def _is_on(run: RunDir, data_name: str) -> bool:
    info = peek(run)
    return info is not None and info.data == data_name


def _started(run: RunDir) -> str:
    info = peek(run)
    return info.started or "" if info else ""
