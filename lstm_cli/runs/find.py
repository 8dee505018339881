"""Which run is meant: by a path or a name, the newest, the one to go on with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lstm_cli.errors import ExitCode, LstmError, command_line, suggest
from lstm_cli.runs.directory import (
    CONFIG,
    MANIFEST,
    RUN,
    RunDir,
    exists,
    has_separator,
    is_language,
    is_locked,
    peek,
)
from lstm_cli.runs.schema import RunInfo


def resume_command(run: RunDir) -> str:
    """Return the command that continues a run."""
    verb = "pretrain" if is_language(run) else "train"
    info = peek(run)
    return command_line("lstm", verb, str(info.data if info else None), "--resume", run.path.name)


def find_unfinished(
    root: Path, wanted: str | None, data_name: str, language: bool = False
) -> RunDir:
    """Find the run that `--resume` means: the one named, or the newest that did not finish.

    Args:
        root: Folder of all runs.
        wanted: A path, `<dataset>/<name>` or a name; None for the newest on `data_name` that no
            process is training.
        data_name: The `data.name` asked for.
        language: Whether it is to be a language model; else it is a classifier.

    Raises:
        LstmError: There is nothing to resume, or the run named is not of that sort.
    """
    found = _find_unfinished(root, wanted, data_name, language)
    if is_language(found) != language:
        what = "a language model" if not language else "a classifier"
        raise LstmError(
            f"Run {found.name} is {what}.",
            f"Continue it: {resume_command(found)}",
            ExitCode.USAGE,
        )
    return found


def _find_unfinished(root: Path, wanted: str | None, data_name: str, language: bool) -> RunDir:
    runs = [run for run in all_runs(root) if run.file(CONFIG).is_file()]
    on_data = [run for run in runs if (info := peek(run)) and info.data == data_name]
    if wanted is not None:
        if exists(Path(wanted) / RUN):
            return RunDir(Path(wanted).absolute())
        # Of two runs of one name, the one on the data that was named.
        for run in (*on_data, *runs):
            if wanted in (run.name, run.path.name):
                return run
        raise _no_such_run(root, wanted)
    on_data = [run for run in on_data if is_language(run) == language]
    unfinished = [run for run in on_data if run.status != "finished"]
    for run in reversed(unfinished):
        if not is_locked(run):
            return run
    if unfinished:
        raise LstmError(
            f"There is nothing to resume: another process is training {unfinished[-1].name}.",
            "Wait for it, or start a run without --resume.",
        )
    raise LstmError(
        f"There is nothing to resume: every run on {data_name} under {root} is finished, "
        "or there is none.",
        "Start one without --resume, or name a finished run and give more --epochs.",
    )


def all_runs(root: Path, dataset: str | None = None) -> list[RunDir]:
    """List runs, the oldest first, in whatever state."""
    folders = root.glob("*") if dataset is None else [root / dataset]
    found = [RunDir(p.parent) for folder in folders for p in folder.glob(f"*/{RUN}")]
    return sorted(found, key=lambda run: (_started(run), run.path.name))


def find(
    root: Path,
    wanted: str | None,
    *,
    data_name: str | None = None,
    kind: str | None = None,
    language: bool = False,
) -> RunDir:
    """Find the run that `--run` means, or the newest finished one.

    Args:
        root: Folder of all runs.
        wanted: A path, `<dataset>/<name>`, a name, a data set (its newest), or None.
        data_name: Where `wanted` is None: only runs trained on this `data.name`.
        kind: Where `wanted` is None: only runs of this kind, `text` or `image`.
        language: Whether the newest is to be a language model; else it is a classifier. A run
            that is named may be either.

    Raises:
        LstmError: There is none, more than one, or it did not finish.
    """
    if wanted is None:
        wants = {"data": data_name, "kind": kind}
        given = {key: value for key, value in wants.items() if value}
        return _newest(root, None, given, language)
    for path in (Path(wanted), root / wanted):
        if exists(path / RUN):
            return _finished(RunDir(path))
    named = [run for run in all_runs(root) if run.path.name == wanted]
    if len(named) > 1:
        raise LstmError(
            f"{len(named)} runs are named '{wanted}': {', '.join(r.name for r in named)}.",
            "Name the data set too.",
            ExitCode.USAGE,
        )
    if named:
        return _finished(named[0])
    if not has_separator(wanted) and exists(root / wanted) and all_runs(root, wanted):
        return _newest(root, wanted, {}, language)
    raise _no_such_run(root, wanted)


def _started(run: RunDir) -> str:
    info = peek(run)
    return info.started or "" if info else ""


def _newest(
    root: Path, dataset: str | None, wants: Mapping[str, str], language: bool = False
) -> RunDir:
    """Return the newest finished run whose record says what is wanted.

    Raises:
        LstmError: There is none, or the record of the newest has changed (exit code 5).
    """
    runs = [run for run in all_runs(root, dataset) if is_language(run) == language]
    for run in reversed(runs):
        if run.status == "finished":
            info = run.verified().decode(RUN, RunInfo)
            if all(getattr(info, key) == value for key, value in wants.items()):
                return run
    what = {"data": "on", "kind": "that reads"}
    told = "".join(f" {what[key]} {value}" for key, value in wants.items())
    of = told or (f" of '{dataset}'" if dataset is not None else "")
    unfinished = sum(run.status != "finished" for run in runs)
    raise LstmError(
        f"There is no finished {'language model' if language else 'run'}{of} under {root}"
        + (f" ({unfinished} did not finish)." if unfinished else "."),
        f"Train one, for example 'lstm {'pretrain' if language else 'train'} demo', or name the "
        "folder of runs with --runs-dir.",
    )


def _finished(run: RunDir) -> RunDir:
    status = run.status
    if status == "finished":
        run.verified().decode(RUN, RunInfo)
        return run
    if status == "broken":
        run.decode(RUN, RunInfo)
        raise run.integrity_error(f"{MANIFEST} is missing")
    raise LstmError(
        f"Run {run.path} did not finish: its status is '{status}'.",
        f"Name another run ('lstm runs list'), or continue it: {resume_command(run)}",
    )


def _no_such_run(root: Path, wanted: str) -> LstmError:
    runs = all_runs(root)
    names = sorted({run.name for run in runs})
    parts = {part for run in runs for part in (run.path.name, run.path.parent.name)}
    if exists(Path(wanted)):
        return LstmError(
            f"{wanted} is no run directory: it holds no {RUN}.", "See 'lstm runs list'."
        )
    hint = "Train one: 'lstm train demo'."
    if names:
        hint = suggest(wanted, sorted({*names, *parts}), names)
    return LstmError(f"There is no run '{wanted}' under {root}.", hint)
