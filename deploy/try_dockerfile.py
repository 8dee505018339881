r"""Execute the Dockerfile without a container engine, then use the server that it makes.

A stage is a folder: a base system, and above it (overlayfs) what the steps of the stage write. RUN
steps run in it by chroot. The last stage is then started as this command would start it, with
namespaces for files, processes and network of its own:

    docker run --read-only --tmpfs /tmp:size=128m --cap-drop ALL \
      --security-opt no-new-privileges -v RUNS:/runs:ro lstm serve --host 0.0.0.0 --run RUN

Needs Linux, root, overlayfs, debootstrap (which makes the base system once) and the package
indexes.

Usage: python deploy/try_dockerfile.py [--base FOLDER] [--keep FOLDER] RUN
       RUN is a finished text run, or its zip file
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import dockerfile
from container import Image, check

ROOT = Path(__file__).resolve().parent.parent
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
MOUNTS = "LSTM_TRY_DOCKERFILE"
MIRROR = "http://deb.debian.org/debian"


def main() -> int:
    """Build, start, check; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--base", type=Path, help="folder with a Debian base system, kept")
    parser.add_argument("--keep", type=Path, help="folder for the stages, started again if there")
    parser.add_argument("run", type=Path, metavar="RUN", help="a finished run, or its zip file")
    arguments = parser.parse_args()
    if MOUNTS not in os.environ:
        # All mounts belong to a namespace of this program, and go with it, whatever happens.
        own = ["unshare", "--mount", "--fork", "--kill-child", sys.executable, *sys.argv]
        return subprocess.run(own, env=os.environ | {MOUNTS: "1"}).returncode
    stages = dockerfile.parse((ROOT / "Dockerfile").read_text("utf-8"))
    with contextlib.ExitStack() as stack:
        work = arguments.keep or stack.enter_context(tempfile.TemporaryDirectory())
        root = build(stages, Path(work), arguments.base, stack)
        return check(Image(root, stages[-1]), arguments.run.resolve())


def run(*command: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    """Run a command; end the program if it fails."""
    return subprocess.run([*map(str, command)], check=True, text=True, **options)


def build(
    stages: list[dockerfile.Stage], work: Path, base: Path | None, stack: contextlib.ExitStack
) -> Path:
    """Execute the steps of all stages, and return the folder of the last one.

    Args:
        stages: What the Dockerfile says.
        work: Folder for the stages. A last stage that is there is not built again.
        base: Folder with a base system, or where one is made.
        stack: Receives what unmounts the stages.
    """
    is_built = (work / stages[-1].name / "complete").exists()
    roots: dict[str, Path] = {}
    for stage in stages[-1:] if is_built else stages:
        base = base or work / "base"
        if not (base / "etc").exists():
            suite = stage.base.removeprefix("debian:").removesuffix("-slim")
            print(f"debootstrap {suite} ...", flush=True)
            run("debootstrap", "--variant=minbase", suite, base, MIRROR, stdout=subprocess.DEVNULL)
        folder = work / stage.name
        roots[stage.name] = mount_overlay(folder, base)
        stack.callback(run, "umount", roots[stage.name])
        print(f"FROM {stage.base} AS {stage.name}", flush=True)
        for step in stage.steps if not is_built else ():
            execute(step, stage, roots)
        (folder / "complete").touch()
        size = run("du", "-sm", folder / "written", stdout=subprocess.PIPE).stdout.split()[0]
        print(f"stage {stage.name}: {size} MB above the base system", flush=True)
    return roots[stages[-1].name]


def mount_overlay(folder: Path, base: Path) -> Path:
    """Mount a folder that shows a base system and keeps what is written above it."""
    for name in ("written", "work", "root"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    layers = f"lowerdir={base},upperdir={folder}/written,workdir={folder}/work"
    run("mount", "-t", "overlay", "overlay", "-o", layers, folder / "root")
    return folder / "root"


def execute(step: dockerfile.Step, stage: dockerfile.Stage, roots: dict[str, Path]) -> None:
    """Execute a step that changes files; the others are read when the result is started."""
    root = roots[stage.name]
    before = stage.steps[: stage.steps.index(step)]
    folders = [each.value for each in before if each.name == "WORKDIR"]
    cwd = folders[-1] if folders else "/"
    if step.name == "WORKDIR":
        inside(root, step.value).mkdir(parents=True, exist_ok=True)
    elif step.name == "COPY":
        print(f"COPY {step.value}", flush=True)
        copy(step.value, root, cwd, roots)
    elif step.name == "RUN":
        print(f"RUN {step.value[:100]}", flush=True)
        environment = {"PATH": PATH, **dockerfile.Stage("", "", before).environment()}
        run_inside(root, f"cd {cwd}\n{step.value}", environment)


def inside(root: Path, path: str) -> Path:
    """Return where an absolute path of an image is on this machine."""
    return root / path.lstrip("/")


def copy(value: str, root: Path, cwd: str, roots: dict[str, Path]) -> None:
    """Copy from another stage, or what .dockerignore leaves of the checkout."""
    stage, sources, target = dockerfile.copy_parts(value)
    to = inside(root, os.path.join(cwd, target))  # noqa: PTH118
    if stage:
        to.parent.mkdir(parents=True, exist_ok=True)
        run("cp", "-a", inside(roots[stage], sources[0]), to)
        return
    ignore = (ROOT / ".dockerignore").read_text("utf-8")
    files = list(dockerfile.context_files(ROOT, ignore))
    for source in map(Path, sources):
        chosen = [path for path in files if path == source or source in path.parents]
        if not chosen:
            raise SystemExit(f"COPY {source}: not in the build context")
        for path in chosen:
            name = path.name if path == source else path.relative_to(source)
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, to / name)


def run_inside(root: Path, script: str, environment: dict[str, str]) -> None:
    """Run a shell script as root of a stage, with this machine's network."""
    settings = 'Binary::apt::APT::Keep-Downloaded-Packages "false";\n'
    inside(root, "/etc/apt/apt.conf.d/docker-clean").write_text(settings)
    shutil.copy("/etc/resolv.conf", inside(root, "/etc/resolv.conf"))
    if CERTIFICATES.exists():
        # A network with a certificate authority of its own: pip must trust what this machine does.
        shutil.copy(CERTIFICATES, inside(root, "/etc/try-dockerfile.crt"))
        environment = environment | {"PIP_CERT": "/etc/try-dockerfile.crt"}
    environment |= {"DEBIAN_FRONTEND": "noninteractive"}
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", f"--root={root}"]
    script = f"mount -t proc proc /proc\n{script}"
    done = subprocess.run(
        [*command, "/bin/sh", "-ec", script],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"RUN failed with exit code {done.returncode}:\n{done.stdout[-4000:]}")
    inside(root, "/etc/try-dockerfile.crt").unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
