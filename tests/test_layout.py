"""Which module imports which: never in a circle, and never against the arrows between rooms."""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent

SHIPPED = {"chalicelib", "chalicelib.policy", "chalicelib.promotion", "chalicelib.watching"}
# What every command works with.
COMMON = {"admin", "admin.desired", "chalicelib", "chalicelib.policy"}
COMMANDS = {
    "admin.check",
    "admin.credentials",
    "admin.deploy",
    "admin.describe",
    "admin.drill",
    "admin.setup",
}
LOCAL_CLOUD = {
    "localcloud",
    "localcloud.clock",
    "localcloud.functions",
    "localcloud.iam",
    "localcloud.s3",
}
# Each room, and the rooms that it may import from besides itself. A module is in the room with the
# longest name that its own begins with: admin/stage.py in "admin", admin/setup/plan.py in
# "admin.setup".
ARROWS = {
    # What ships.
    "chalicelib.policy": set(),
    "chalicelib": {"chalicelib.policy"},  # record, settings, s3_errors
    "chalicelib.promotion": {"chalicelib", "chalicelib.policy"},
    "chalicelib.watching": {"chalicelib", "chalicelib.policy", "chalicelib.promotion"},
    "app": SHIPPED,
    # The commands of an administrator.
    "admin": {"chalicelib", "chalicelib.policy"},  # stage, account, options...
    "admin.desired": COMMON,
    "admin.deploy": COMMON,
    "admin.describe": COMMON,
    "admin.setup": COMMON,
    "admin.check": COMMON | {"admin.setup"},  # it compares with the same plan
    "admin.drill": COMMON,
    "admin.credentials": COMMON,
    "admin.cli": COMMON | COMMANDS,
    "admin.__main__": {"admin.cli"},
    # An AWS for one laptop: it knows nothing of what runs in it.
    "localcloud.clock": set(),
    "localcloud.s3": {"localcloud.clock"},
    "localcloud.iam": {"localcloud.clock", "localcloud.s3"},
    "localcloud.functions": {"localcloud.clock", "localcloud.iam", "localcloud.s3"},
    "localcloud": LOCAL_CLOUD,
    # What joins them.
    "demo": SHIPPED | COMMON | COMMANDS | LOCAL_CLOUD,
    "benchmarks": SHIPPED | LOCAL_CLOUD | {"app", "demo"},
}
ARROWS["tests"] = set(ARROWS)


@dataclass(frozen=True)
class Import:
    """One module imports another; `conditions` are those of the ifs that it stands in."""

    importer: str
    imported: str
    conditions: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.importer} imports {self.imported}"


@pytest.fixture(scope="module")
def imports() -> set[Import]:
    """Every import of one of our modules by another."""
    paths = [PROJECT / "app.py"]
    for folder in {room.partition(".")[0] for room in ARROWS}:
        paths += (PROJECT / folder).rglob("*.py")
    modules = {name_of(path): path for path in paths}
    return {
        Import(importer, imported, conditions)
        for importer, path in modules.items()
        for name, conditions in imports_in(ast.parse(path.read_text(encoding="utf-8")))
        if (imported := in_modules(name, modules))
    }


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")


def imports_in(
    node: ast.AST, conditions: tuple[str, ...] = ()
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The dotted names that are imported, in functions too, with the conditions around each."""
    match node:
        case ast.Import(names=names):
            yield from ((alias.name, conditions) for alias in names)
        case ast.ImportFrom(module=str(module), names=names, level=0):
            yield from ((f"{module}.{alias.name}", conditions) for alias in names)
        case ast.ImportFrom():
            pytest.fail(f"a relative import, which this test does not follow: {ast.unparse(node)}")
        case ast.If(test=test, body=body, orelse=orelse):
            for inner in body:
                yield from imports_in(inner, (*conditions, ast.unparse(test)))
            for inner in orelse:
                yield from imports_in(inner, conditions)
        case _:
            for inner in ast.iter_child_nodes(node):
                yield from imports_in(inner, conditions)


def in_modules(name: str, modules: Iterable[str]) -> str | None:
    """The module of a name that is imported: itself, or where it is defined; None: not ours."""
    return next((one for one in (name, name.rpartition(".")[0]) if one in modules), None)


def room_of(module: str) -> str:
    while module not in ARROWS:
        module = module.rpartition(".")[0]
    return module


def against_the_arrows(imports: Iterable[Import]) -> list[str]:
    return sorted(
        str(one)
        for one in imports
        if (room := room_of(one.importer)) != (imported := room_of(one.imported))
        and imported not in ARROWS[room]
        and not is_for_chalice_local(one)
    )


def is_for_chalice_local(one: Import) -> bool:
    """In Lambda the variable is not set, and there is no demo."""
    return (one.importer, one.imported) == ("app", "demo.routes") and (
        "os.environ.get('BACKUPS_DEV_ROUTES') == '1'" in one.conditions
    )


def circle(imports: Iterable[Import]) -> list[str]:
    """Modules each of which imports the next one, if there are any."""
    graph: dict[str, set[str]] = {}
    for one in imports:
        if "TYPE_CHECKING" not in one.conditions:
            graph.setdefault(one.importer, set()).add(one.imported)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))
    return []


def test_no_module_imports_against_the_arrows(imports: set[Import]) -> None:
    assert against_the_arrows(imports) == []


def test_no_modules_import_each_other_in_a_circle(imports: set[Import]) -> None:
    assert circle(imports) == []


def test_the_arrows_themselves_make_no_circle() -> None:
    TopologicalSorter({room: arrows - {room} for room, arrows in ARROWS.items()}).prepare()


# Each of these rules can fail.


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("chalicelib.policy.policy", "chalicelib.record"),
        ("chalicelib.record", "chalicelib.promotion.buckets"),
        ("chalicelib.promotion.promotion", "chalicelib.watching.sweep"),
        ("chalicelib.watching.sweep", "app"),
        ("app", "admin.stage"),
        ("app", "demo.routes"),
        ("app", "benchmarks.tables"),
        ("admin.stage", "admin.desired.requirement"),
        ("admin.stage", "chalicelib.promotion.buckets"),
        ("admin.desired.buckets", "admin.setup.plan"),
        ("admin.setup.plan", "admin.check.report"),
        ("admin.setup.command", "admin.describe"),
        ("admin.drill.scenario", "admin.setup.plan"),
        ("admin.check.settings", "admin.credentials.keys"),
        ("admin.credentials.keys", "admin.setup.resources"),
        ("admin.check.command", "admin.cli"),
        ("admin.deploy", "admin.cli"),
        ("admin.cli", "localcloud.cloud"),
        ("admin.cli", "demo.stage"),
        ("localcloud.cloud", "admin.account"),
        ("localcloud.cloud", "chalicelib.settings"),
        ("localcloud.cloud", "demo.deployment"),
        ("localcloud.s3.events", "localcloud.iam.callers"),
        ("localcloud.iam.callers", "localcloud.functions.runner"),
        ("demo.stage", "benchmarks.tables"),
        ("demo.routes", "app"),
        *((room, "tests.support.faults") for room in sorted(ARROWS.keys() - {"tests"})),
    ],
)
def test_an_import_against_an_arrow_is_found(
    imports: set[Import], importer: str, imported: str
) -> None:
    assert against_the_arrows({*imports, Import(importer, imported)}) == [
        f"{importer} imports {imported}"
    ]


def test_a_circle_is_found_but_for_one_of_types(imports: set[Import]) -> None:
    back = Import("chalicelib.policy.rules", "chalicelib.policy.policy", ("TYPE_CHECKING",))
    assert circle({*imports, back}) == []
    there_and_back = circle({*imports, Import(back.importer, back.imported)})
    assert {back.importer, back.imported} <= set(there_and_back)


def test_imports_are_found_wherever_they_stand() -> None:
    source = """
import admin.cli
from admin import stage
if TYPE_CHECKING:
    from admin.setup import plan
else:
    import boto3
def later():
    from demo.routes import routes
"""
    assert list(imports_in(ast.parse(source))) == [
        ("admin.cli", ()),
        ("admin.stage", ()),
        ("admin.setup.plan", ("TYPE_CHECKING",)),
        ("boto3", ()),
        ("demo.routes.routes", ()),
    ]
