"""Checks that modules import each other without cycles, and only along the arrows."""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent

SHIPPED = {"chalicelib", "chalicelib.policy", "chalicelib.promotion", "chalicelib.watching"}
# Every command uses these parts.
COMMON = {"admin", "admin.desired", "chalicelib", "chalicelib.policy"}
COMMANDS = {
    "admin.audit",
    "admin.check",
    "admin.credentials",
    "admin.deploy",
    "admin.describe",
    "admin.drill",
    "admin.listing",
    "admin.restore",
    "admin.setup",
    "admin.status",
    "admin.stored",
    "admin.verify",
}
LOCAL_CLOUD = {
    "localcloud",
    "localcloud.clock",
    "localcloud.eventbridge",
    "localcloud.functions",
    "localcloud.iam",
    "localcloud.s3",
    "localcloud.sns",
}
# Each part of the project, and the parts that it can import besides itself. A module belongs to the
# part with the longest name that its own name starts with: admin/stage.py to "admin", and
# admin/setup/plan.py to "admin.setup".
ARROWS = {
    # The shipped app.
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
    # setup records what the audit compares.
    "admin.setup": COMMON | {"chalicelib.promotion", "chalicelib.watching"},
    # check begins with an audit, compares the account with the plan of setup, and classifies
    # waiting uploads as the sweep does.
    "admin.check": COMMON
    | {
        "admin.audit",
        "admin.setup",
        "admin.stored",
        "chalicelib.promotion",
        "chalicelib.watching",
    },
    # audit runs the function's code on your own machine.
    "admin.audit": COMMON | {"chalicelib.promotion", "chalicelib.watching"},
    # Which stored backups a command line names, and what a HEAD returns for one.
    "admin.stored": COMMON | {"chalicelib.promotion", "chalicelib.watching"},
    # listing and restore find backups as the audit does.
    "admin.listing": COMMON | {"admin.stored", "chalicelib.promotion", "chalicelib.watching"},
    "admin.restore": COMMON | {"admin.stored", "chalicelib.promotion", "chalicelib.watching"},
    # verify judges backups as the check does, and reads their bytes as a restore does.
    "admin.verify": COMMON
    | {
        "admin.check",
        "admin.restore",
        "admin.stored",
        "chalicelib.promotion",
        "chalicelib.watching",
    },
    # status shows an audit, and classifies waiting uploads as the check does.
    "admin.status": COMMON
    | {"admin.audit", "admin.check", "admin.stored", "chalicelib.promotion", "chalicelib.watching"},
    "admin.drill": COMMON,
    "admin.credentials": COMMON,
    "admin.cli": COMMON | COMMANDS,
    "admin.__main__": {"admin.cli"},
    # An AWS for one laptop, independent of the app that runs in it.
    "localcloud.clock": set(),
    "localcloud.s3": {"localcloud.clock"},
    "localcloud.iam": {"localcloud.clock", "localcloud.s3"},
    "localcloud.functions": {"localcloud.clock", "localcloud.iam", "localcloud.s3"},
    "localcloud.sns": {"localcloud.clock", "localcloud.iam"},
    "localcloud.eventbridge": {
        "localcloud.clock",
        "localcloud.functions",
        "localcloud.iam",
        "localcloud.s3",
        "localcloud.sns",
    },
    "localcloud": LOCAL_CLOUD,
    # These join the other parts.
    "demo": SHIPPED | COMMON | COMMANDS | LOCAL_CLOUD,
    "benchmarks": SHIPPED | COMMON | COMMANDS | LOCAL_CLOUD | {"app", "demo"},
}
ARROWS["tests"] = set(ARROWS)


@dataclass(frozen=True)
class Import:
    """An import of one module by another; `conditions` are those of the enclosing ifs."""

    importer: str
    imported: str
    conditions: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.importer} imports {self.imported}"


@pytest.fixture(scope="module")
def imports() -> set[Import]:
    """Return every import of one of our modules by another."""
    paths = [PROJECT / "app.py"]
    for folder in {part.partition(".")[0] for part in ARROWS}:
        paths += (PROJECT / folder).rglob("*.py")
    modules = {name_of(path): path for path in paths}
    return {
        Import(importer, imported, conditions)
        for importer, path in modules.items()
        for name, conditions in imports_in(ast.parse(path.read_text(encoding="utf-8")))
        if (imported := module_of(name, modules))
    }


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")


def imports_in(
    node: ast.AST, conditions: tuple[str, ...] = ()
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the dotted names of all imports, even in functions, with the conditions around each."""
    match node:
        case ast.Import(names=names):
            yield from ((alias.name, conditions) for alias in names)
        case ast.ImportFrom(module=str(module), names=names, level=0):
            yield from ((f"{module}.{alias.name}", conditions) for alias in names)
        case ast.ImportFrom():
            pytest.fail(f"a relative import, which this test cannot follow: {ast.unparse(node)}")
        case ast.If(test=test, body=body, orelse=orelse):
            for inner in body:
                yield from imports_in(inner, (*conditions, ast.unparse(test)))
            for inner in orelse:
                yield from imports_in(inner, conditions)
        case _:
            for inner in ast.iter_child_nodes(node):
                yield from imports_in(inner, conditions)


def module_of(name: str, modules: Iterable[str]) -> str | None:
    """Return the module that is imported or that defines the name; None if it is not ours."""
    candidates = (name, name.rpartition(".")[0])
    return next((candidate for candidate in candidates if candidate in modules), None)


def part_of(module: str) -> str:
    while module not in ARROWS:
        module = module.rpartition(".")[0]
    return module


def forbidden_imports(imports: Iterable[Import]) -> list[str]:
    return sorted(
        str(statement)
        for statement in imports
        if (part := part_of(statement.importer)) != (imported := part_of(statement.imported))
        and imported not in ARROWS[part]
        and not is_for_chalice_local(statement)
    )


def is_for_chalice_local(statement: Import) -> bool:
    """True for the import of the routes, which is reached only under `chalice local`."""
    return (statement.importer, statement.imported) == ("app", "demo.routes") and (
        "os.environ.get('BACKUPS_DEV_ROUTES') == '1'" in statement.conditions
    )


def cycle(imports: Iterable[Import]) -> list[str]:
    """Return a cycle of modules in which each imports the next; empty if there is none."""
    graph: dict[str, set[str]] = {}
    for statement in imports:
        if "TYPE_CHECKING" not in statement.conditions:
            graph.setdefault(statement.importer, set()).add(statement.imported)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))
    return []


def test_no_module_imports_forbidden_imports(imports: set[Import]) -> None:
    assert forbidden_imports(imports) == []


def test_no_modules_import_each_other_in_a_cycle(imports: set[Import]) -> None:
    assert cycle(imports) == []


def test_the_arrows_themselves_form_no_cycle() -> None:
    TopologicalSorter({part: arrows - {part} for part, arrows in ARROWS.items()}).prepare()


# Each of these checks can fail


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
        ("admin.desired.buckets", "chalicelib.watching.vault_settings"),
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
        *((part, "tests.support.faults") for part in sorted(ARROWS.keys() - {"tests"})),
    ],
)
def test_a_forbidden_import_is_reported(imports: set[Import], importer: str, imported: str) -> None:
    assert forbidden_imports({*imports, Import(importer, imported)}) == [
        f"{importer} imports {imported}"
    ]


def test_a_cycle_is_reported_unless_it_is_only_for_type_checking(imports: set[Import]) -> None:
    back = Import("chalicelib.policy.rules", "chalicelib.policy.policy", ("TYPE_CHECKING",))
    assert cycle({*imports, back}) == []
    modules = cycle({*imports, Import(back.importer, back.imported)})
    assert {back.importer, back.imported} <= set(modules)


def test_imports_in_blocks_and_functions_are_found() -> None:
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
