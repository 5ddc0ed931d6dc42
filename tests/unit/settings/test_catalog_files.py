from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from crm_core.errors import SetupError
from crm_core.model.catalog import RECORD_ACTIONS
from crm_core.settings.catalog import load_catalog
from crm_core.settings.roles import load_roles


@pytest.fixture
def catalog(write: Any) -> Any:
    """Loads modules.yaml from its text."""
    return lambda text, *types: load_catalog(write("modules.yaml", text), record_types=types)


class RecordType:
    """A record type as the catalog reads it."""

    def __init__(self, name: str, module: str | None = None) -> None:
        self.NAME, self.module = name, module or name


@pytest.fixture
def roles(write: Any, catalog: Any) -> Any:
    """Loads roles.yaml from its text, against the built-in catalog."""
    return lambda text: load_roles(write("roles.yaml", text), catalog=catalog("modules: {}"))


@pytest.mark.parametrize("both", [False, True])
def test_another_ending_is_refused(tmp_path: Path, both: bool) -> None:
    """A `.yml` next to the expected name, or in its place, is no file that is silently left out."""
    catalog = load_catalog(tmp_path / "modules.yaml", record_types=())
    for name in ("modules", "roles"):
        (tmp_path / f"{name}.yml").write_text("{}")
        if both:
            (tmp_path / f"{name}.yaml").write_text("{}")
    for load in (
        lambda path: load_catalog(path / "modules.yaml", record_types=()),
        lambda path: load_roles(path / "roles.yaml", catalog=catalog),
    ):
        with pytest.raises(SetupError) as refused:
            load(tmp_path)
        (problem,) = refused.value.problems
        name = problem.partition(".")[0]
        fix = "remove one of the two" if both else f"rename it to {name}.yaml"
        assert problem == f"{name}.yml:1:1: this file is not read, only {name}.yaml is; {fix}"


@pytest.mark.parametrize(
    ("target", "reason"), [("nowhere", "is not there"), ("modules.yaml", "cannot be read (Too many levels of symbolic")]
)
def test_a_link_that_leads_nowhere_is_no_missing_file(tmp_path: Path, target: str, reason: str) -> None:
    """As where the configuration is not mounted: the built-in catalog would allow what the file forbids."""
    (tmp_path / "modules.yaml").symlink_to(target)
    with pytest.raises(SetupError) as refused:
        load_catalog(tmp_path / "modules.yaml", record_types=())
    assert str(refused.value).startswith("modules.yaml:1:1: the file ")
    assert reason in str(refused.value)


def test_the_built_in_catalog(tmp_path: Path) -> None:
    """Without a file the documented catalog, plan and policy apply."""
    catalog = load_catalog(tmp_path / "modules.yaml", record_types=())
    assert list(catalog.modules) == ["customers", "deals", "tasks", "reports", "website", "landing_pages"]
    assert catalog.modules["deals"].requires == ("customers",)
    assert catalog.modules["website"].features == ("website.view", "website.edit")
    assert catalog.default_plan.features == ("customers.*", "tasks.*")
    assert catalog.blocked == {"website", "landing_pages"}
    assert "reports.export" in catalog.keys


def test_the_file_is_laid_over_the_built_in_one(catalog: Any) -> None:
    """An entry changes what it names and keeps the rest; the plan and the policy keep what the file leaves out."""
    loaded = catalog(
        """
        modules:
          deals: {title: Opportunities}
          surveys: {features: [surveys.view, surveys.send], group: web, order: 5}
        sync_policy: {blocked_modules: []}
        """
    )
    assert loaded.modules["deals"].title == "Opportunities"
    assert loaded.modules["deals"].requires == ("customers",)
    assert next(iter(loaded.modules)) == "surveys"
    assert loaded.default_plan.code == "starter"
    assert loaded.blocked == {"website", "landing_pages", "surveys"}


def test_record_types_bring_their_modules(catalog: Any) -> None:
    """A record type that the catalog does not name brings a module; one that it names does not."""
    loaded = catalog("modules: {}", RecordType("site_visits"), RecordType("deals"))
    visits = loaded.modules["site_visits"]
    assert visits.title == "Site visits"
    assert visits.features == tuple(f"site_visits.{action}" for action in RECORD_ACTIONS)
    assert loaded.modules["deals"].icon == "briefcase"
    assert loaded.guards == {}


def test_a_record_type_may_belong_to_the_module_of_another(catalog: Any) -> None:
    """It brings no module; its actions are guarded by the keys of the module that it names."""
    loaded = catalog("modules: {}", RecordType("site_visits"), RecordType("calls", "site_visits"))
    assert "calls" not in loaded.modules
    assert loaded.guard("calls.create") == "site_visits.create"
    assert loaded.guard("deals.create") == "deals.create"


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("modules: {deals: {features: [deals.create]}}", "1:29", "add deals.view"),
        ("modules: {deals: {features: [deals.view, tasks.view]}}", "1:42", "start with `deals.`"),
        ("modules: {deals: {features: [deals.view, Deals]}}", "1:42", "module.action"),
        ("modules: {deals: {requires: [custmers]}}", "1:29", "did you mean `customers`?"),
        ("modules: {customers: {requires: [deals]}}", "1:33", "customers -> deals -> customers"),
        ("modules: {deals: {requires: [deals]}}", "1:29", "deals -> deals"),
        ("modules: {Deals: {}}", "1:11", "not the name of a module"),
        ("modules: {deals: {titel: Deals}}", "1:19", "did you mean `title`?"),
        ("default_plan: {code: x, features: [deal.view]}", "1:36", "did you mean `deals`?"),
        ("default_plan: {code: x, features: [deals.veiw]}", "1:36", "did you mean `deals.view`?"),
        ("default_plan: {code: x}", "1:15", "`features` is missing"),
        ("sync_policy: {blocked_modules: [websit]}", "1:33", "did you mean `website`?"),
        ("sync_policy: {blocked_groups: [wep]}", "1:32", "did you mean `web`?"),
    ],
)
def test_mistakes_in_modules(catalog: Any, problems: Any, text: str, place: str, words: str) -> None:
    """A mistake in modules.yaml is reported at its place with the way to fix it."""
    reported = problems(catalog, text)
    assert any(line.startswith(f"modules.yaml:{place}: ") and words in line for line in reported), reported


def test_a_broken_module_is_told_once(catalog: Any, problems: Any) -> None:
    """A plan that names a module with a mistake in it is not one more mistake."""
    text = "modules: {surveys: {features: [surveys.view, surveys.send], oder: 3}}\n"
    text += "default_plan: {code: x, features: [surveys.send]}\n"
    assert len(problems(catalog, text)) == 1


def test_the_built_in_roles(tmp_path: Path, catalog: Any) -> None:
    """The core's own keys are granted by the two admin roles only."""
    roles = load_roles(tmp_path / "roles.yaml", catalog=catalog("modules: {}"))
    assert list(roles) == ["super_admin", "admin", "manager", "agent", "viewer"]
    assert len(roles.core_keys) == 5
    assert [name for name, role in roles.items() if roles.core_keys & set(role.grant)] == ["super_admin", "admin"]
    assert roles["viewer"].grant == ("*.view",)


def test_own_roles(roles: Any) -> None:
    """A file adds roles and changes built-in ones."""
    loaded = roles("roles: {agent: {grant: [customers.view]}, auditor: {grant: ['*.view', sync.view]}}")
    assert loaded["agent"].title == "Agent"
    assert loaded["agent"].grant == ("customers.view",)
    assert loaded["auditor"].title == "Auditor"
    assert "sync.view" in loaded["auditor"].grant
    assert "manager" in loaded


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("roles: {agent: {grant: [*.view]}}", "1:26", "needs quotes"),
        ("roles: {agent: {grant: ['*.veiw']}}", "1:25", "did you mean `view`?"),
        ("roles: {agent: {grant: [custmers.view]}}", "1:25", "did you mean `customers`?"),
        ("roles: {agent: {grant: [customers.veiw]}}", "1:25", "did you mean `customers.view`?"),
        ("roles: {agent: {grant: [customers]}}", "1:25", "not a grant"),
        ("roles: {super_admin: {grant: ['*']}}", "1:9", "cannot be changed"),
        ("roles: {auditor: {title: A}}", "1:18", "`grant` is missing"),
        ("roles: {Agent: {grant: ['*']}}", "1:9", "not the name of a role"),
    ],
)
def test_mistakes_in_roles(roles: Any, problems: Any, text: str, place: str, words: str) -> None:
    """A mistake in roles.yaml is reported at its place with the way to fix it."""
    (reported,) = problems(roles, text)
    assert reported.startswith(f"roles.yaml:{place}: ")
    assert words in reported


def chain(length: int) -> str:
    """Modules of which each requires the next."""
    names = [f"m{number}" for number in range(length)]
    entries = [f"  {a}: {{features: [{a}.view], requires: [{b}]}}" for a, b in itertools.pairwise(names)]
    return "\n".join(["modules:", *entries, f"  {names[-1]}: {{features: [{names[-1]}.view]}}"])


def test_a_chain_of_requirements_has_a_limit(catalog: Any) -> None:
    """16 modules may require one another in a row; of more the first is reported, with what to do."""
    assert len(catalog(chain(16)).modules) >= 16
    with pytest.raises(SetupError, match=r"modules.yaml:2:\d+: more than 16 modules require one another in a row"):
        catalog(chain(17))


def test_a_message_does_not_list_a_large_catalog(catalog: Any) -> None:
    """An unknown name is reported with some of the known ones, however many there are."""
    modules = "\n".join(f"  m{number}: {{features: [m{number}.view]}}" for number in range(500))
    with pytest.raises(SetupError) as refused:
        catalog(f"modules:\n{modules}\n  odd: {{features: [odd.view], requires: [zzzzzz]}}")
    assert len(str(refused.value)) < 1000
