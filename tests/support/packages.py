"""The deployment package of the test project, built once by Chalice for a whole test run."""

import fcntl
import io
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from chalice.cli.factory import CLIFactory
from chalice.deploy.packager import DependencyBuilder, LambdaDeploymentPackager
from chalice.utils import UI, OSUtils

from admin.check import code
from admin.deploy import copy_app
from demo.deployment import PACKAGES
from localcloud.functions.runner import Functions
from tests.support.project import copy_project

# In bytes. The bundles of functions that tests define are smaller.
APP_IS_LARGER_THAN = 1_000_000
files_of_package = code._installed
SERVICES = {"lambda", "s3", "sns"}
"""The services that the app calls. botocore describes 400 others in 19 of 27 MB."""


def built_packages(folder: Path, *, whole: bool) -> Path:
    """Return a folder with the package, in the layout that `demo.deployment.deploy` expects.

    `whole` is the package as Chalice builds it. The other package leaves out what the app never
    reads, because a deployment uploads the package once for each function.
    """
    with locked(folder / "packages.lock"):
        built = folder / "whole-packages"
        if not built.exists():
            new = Path(tempfile.mkdtemp(dir=folder))
            build(new)
            new.rename(built)
        if whole:
            return built
        packages = folder / "packages"
        if not packages.exists():
            [package] = built.iterdir()
            new = Path(tempfile.mkdtemp(dir=folder))
            leave_out_other_services(package, new / package.name)
            new.rename(packages)
    return packages


def build(folder: Path) -> None:
    """Build the package with Chalice, as in a deployment."""
    with tempfile.TemporaryDirectory(prefix="project-") as project:
        copy_project(Path(project))
        with packager_of(Path(project)) as (packager, *where):
            shutil.move(packager.create_deployment_package(*where), folder)


def leave_out_other_services(whole: Path, smaller: Path) -> None:
    """Copy a package without botocore's descriptions of services that the app does not call."""
    with (
        zipfile.ZipFile(whole) as source,
        zipfile.ZipFile(smaller, "w", zipfile.ZIP_DEFLATED) as package,
    ):
        for entry in source.infolist():
            if not describes_another_service(entry.filename):
                package.writestr(entry, source.read(entry))


def expect_smaller_packages() -> None:
    """From now on, make `backups check` ignore descriptions of other services in a package."""

    def installed_files(name: str, version: str | None = None) -> Iterator[tuple[str, str]]:
        for file, digest in files_of_package(name, version):
            if not describes_another_service(file):
                yield file, digest

    code._installed = installed_files


def describes_another_service(name: str) -> bool:
    """Whether this file of a package describes a service that the app does not call."""
    match Path(name).parts:
        case "botocore", "data", service, _, *_:
            return service not in SERVICES
    return False


def keep_package_of(project: Path, packages: Path) -> None:
    """Create the package of a project with an edited policy, as an earlier deployment would."""
    [package] = packages.iterdir()
    with packager_of(project) as (packager, *where):
        kept = project / PACKAGES / Path(packager.deployment_package_filename(*where)).name
    kept.parent.mkdir(parents=True)
    shutil.copy(package, kept)
    policy = "chalicelib/policy.toml"
    with zipfile.ZipFile(kept, "a") as edited:
        edited.filelist.remove(edited.NameToInfo.pop(policy))
        edited.write(project / policy, policy)


@contextmanager
def packager_of(project: Path) -> Iterator[tuple[LambdaDeploymentPackager, str, str]]:
    """Yield Chalice's packager and the arguments of its methods for a copy of the project."""
    with tempfile.TemporaryDirectory(prefix="build-") as directory:
        # A copy, as in a deployment: a package's name depends on the order of files in a folder.
        copy_app(project, Path(directory), stage="dev", endpoint="http://127.0.0.1:1")
        yield packager_in(Path(directory))


def packager_in(project: Path) -> tuple[LambdaDeploymentPackager, str, str]:
    """Return Chalice's packager and the arguments of its methods for this folder."""
    config = CLIFactory(str(project)).create_config_obj(chalice_stage_name="dev")
    system, architecture = OSUtils(), config.lambda_architecture
    packager = LambdaDeploymentPackager(
        system,
        DependencyBuilder(system, architecture=architecture),
        UI(io.StringIO(), io.StringIO()),
        architecture,
    )
    return packager, str(project), config.lambda_python_version


@contextmanager
def unpacked_once(folder: Path) -> Iterator[None]:
    """Within the block, all local clouds run the app's bundle from the same unpacked files.

    Unpacking the bundle takes longer than a test, and so does compiling its modules again.
    """
    unpack = Functions._unpack

    def unpack_once(functions: Functions, name: str, archives: Iterable[bytes]) -> Path:
        contents = [*archives]
        if sum(map(len, contents)) < APP_IS_LARGER_THAN:
            return unpack(functions, name, contents)
        unpacked = folder / "unpacked" / name
        with locked(folder / "unpacked.lock"):
            if not unpacked.exists():
                unpacked.parent.mkdir(exist_ok=True)
                shutil.move(unpack(functions, name, contents), unpacked)
        return unpacked

    with patch.object(Functions, "_unpack", unpack_once):
        yield


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a file lock, so that only one process at a time runs the block."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
