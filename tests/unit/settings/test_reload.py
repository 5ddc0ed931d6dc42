from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from crm_core.errors import SetupError
from crm_core.settings.check import check
from crm_core.settings.configuration import Configuration
from crm_core.settings.examples import FOLDER, OF_INSTANCE, example
from crm_core.settings.installation import Installation
from crm_core.settings.instance import load_instance
from crm_core.settings.reload import Watched
from reach import out_of_reach

ENVIRON = {"CRM_SECRET_KEY": "s" * 32, "K": "k" * 32}
GOOD = "tenants: {northwind: {keys: [{version: 1, secret: env:K}]}}\n"
BAD = "tenants: {northwind: {keys: [{version: one}]}}\n"
NAMES = {"sections": ("alpha",), "schemes": ("crm-sync-v1",), "record_types": ()}


class Mail(msgspec.Struct):
    ports: tuple[int, ...] = ()


@pytest.fixture
def configure(tmp_path: Path, clock: Any) -> Any:
    """Makes the example files and a Configuration of them."""

    def make() -> Configuration:
        for name in OF_INSTANCE:
            if not (tmp_path / name).exists():
                (tmp_path / name).write_text(example(name))
        settings = load_instance(tmp_path / "instance.yaml", environ=ENVIRON)
        registry: Any = SimpleNamespace(sections=("alpha",), schemes=("crm-sync-v1",), record_types={})
        parts: Any = {"host": None, "registry": registry, "options": {}}
        return Configuration(Installation(folder=tmp_path, environ=ENVIRON, settings=settings, **parts), clock)

    return make


def settled(polled: Configuration | Watched[Any]) -> bool:
    """Whether an edit takes effect once the file was the same in two polls."""
    assert not polled.poll()
    return polled.poll()


def test_an_edit_comes_into_force(configure: Any, tmp_path: Path) -> None:
    """An edited roster is loaded when two polls find it alike, once, and the generation grows."""
    configuration = configure()
    before = configuration.loaded_at
    (tmp_path / "keys.yaml").write_text(GOOD)
    assert settled(configuration)
    assert not configuration.poll()
    assert list(configuration.roster.tenants) == ["northwind"]
    assert configuration.generation == 2
    assert configuration.loaded_at > before


@pytest.mark.timeout(10)
def test_a_pipe_in_a_files_place_does_not_block_the_others(configure: Any, tmp_path: Path) -> None:
    """A named pipe, which no one may ever write to, is reported as a mistake, and the next good edit loads."""
    keys = tmp_path / "keys.yaml"
    keys.write_text(GOOD)
    configuration = configure()
    keys.unlink()
    os.mkfifo(keys)
    assert not settled(configuration)
    assert configuration.roster_error == "keys.yaml:1:1: this is not a regular file; replace it with a text file"
    keys.unlink()
    os.mkfifo(tmp_path / "pipe")
    keys.write_text(GOOD.replace("env:K", "file:pipe"))
    assert not settled(configuration)
    keys.write_text(GOOD + "# good again\n")
    assert settled(configuration)
    assert configuration.roster_error is None


def test_half_a_roster_is_not_loaded(configure: Any, tmp_path: Path) -> None:
    """A poll waits while a file is written: its beginning may be a roster too."""
    roster = "tenants:\n" + "".join(f"  t{number}: {{}}\n" for number in range(40))
    (tmp_path / "keys.yaml").write_text(roster)
    configuration = configure()
    with (tmp_path / "keys.yaml").open("w") as file:
        for line in roster.splitlines():
            file.write(f"{line}\n")
            file.flush()
            assert not configuration.poll()
            assert len(configuration.roster.tenants) == 40
        file.write("  t40: {}\n")
    assert not configuration.poll()
    assert configuration.poll()
    assert len(configuration.roster.tenants) == 41


def test_an_edit_that_does_not_load_changes_nothing(configure: Any, tmp_path: Path) -> None:
    """The last good roster stays in effect and the error is reported until a good edit comes."""
    (tmp_path / "keys.yaml").write_text(GOOD)
    configuration = configure()
    before = configuration.loaded_at
    (tmp_path / "keys.yaml").write_text(BAD)
    assert not settled(configuration)
    assert list(configuration.roster.tenants) == ["northwind"]
    assert configuration.generation == 1
    assert configuration.loaded_at == before
    assert configuration.roster_error is not None
    assert all(line.startswith("keys.yaml:1:") for line in configuration.errors())
    (tmp_path / "keys.yaml").write_text("tenants: {}")
    assert settled(configuration)
    assert configuration.errors() == ()


def test_a_file_that_vanishes(configure: Any, tmp_path: Path) -> None:
    """A roster that is gone keeps its last state, and the very same file put back fixes it."""
    (tmp_path / "keys.yaml").write_text(GOOD)
    configuration = configure()
    (tmp_path / "keys.yaml").rename(tmp_path / "aside")
    assert not settled(configuration)
    assert "gone" in str(configuration.roster_error)
    assert "northwind" in configuration.roster.tenants
    (tmp_path / "aside").rename(tmp_path / "keys.yaml")
    assert settled(configuration)
    assert configuration.roster_error is None


@pytest.mark.parametrize("name", ["keys.yaml", "modules.yaml", "roles.yaml"])
def test_a_reload_without_a_file(configure: Any, tmp_path: Path, name: str) -> None:
    """However often everything is loaded, a file that is gone is not taken for one that was left out."""
    (tmp_path / "modules.yaml").write_text("sync_policy: {blocked_modules: [deals]}")
    configuration = configure()
    (tmp_path / name).rename(tmp_path / "aside")
    for _ in range(3):
        configuration.poll(force=True)
        (problem,) = configuration.errors()
        assert problem == f"{name}:1:1: the file is gone; put it back, its last state stays in effect"
        assert configuration.catalog.blocked == {"deals", "website", "landing_pages"}
    (tmp_path / "aside").rename(tmp_path / name)
    assert settled(configuration)
    assert configuration.errors() == ()


def test_a_file_that_vanishes_while_it_is_read(tmp_path: Path, clock: Any) -> None:
    """An optional file that was there when a reload began, and no longer when it was read, is gone."""
    path = tmp_path / "modules.yaml"
    path.write_text("one")

    def load() -> str:
        if path.exists() and path.read_text() == "second":
            path.unlink()
        return path.read_text() if path.exists() else "left out"

    watched = Watched(path, load, clock)
    path.write_text("second")
    assert not watched.poll()
    assert not watched.poll()
    assert (watched.value, "gone" in str(watched.error)) == ("one", True)
    path.write_text("three")
    assert settled(watched)
    assert (watched.value, watched.error) == ("three", None)


async def test_a_folder_out_of_reach_ends_no_reload(configure: Any, tmp_path: Path) -> None:
    """A reload while the folder cannot be searched changes nothing, and the next edit takes effect."""
    configuration = configure()
    stop, reported = asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(configuration.run(stop, changed=reported.set, seconds=0.01))
    with out_of_reach(tmp_path):
        configuration.hurry()
        await asyncio.wait_for(reported.wait(), 5)
        configuration.hurry()
        await asyncio.sleep(0.1)
        assert configuration.roster_error is not None
        assert "the file is out of reach (Permission denied)" in configuration.roster_error
    (tmp_path / "keys.yaml").write_text(GOOD)
    for _ in range(500):
        await asyncio.sleep(0.01)
        if not configuration.errors():
            break
    assert "northwind" in configuration.roster.tenants
    stop.set()
    await asyncio.wait_for(running, 5)


def test_a_swapped_link(configure: Any, tmp_path: Path) -> None:
    """A folder swapped by its link, as container platforms do, counts as an edit."""
    for name, text in (("one", GOOD), ("two", "tenants: {contoso: {}}\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "keys.yaml").write_text(text)
    (tmp_path / "data").symlink_to("one")
    (tmp_path / "keys.yaml").symlink_to("data/keys.yaml")
    configuration = configure()
    (tmp_path / "next").symlink_to("two")
    (tmp_path / "next").replace(tmp_path / "data")
    assert settled(configuration)
    assert list(configuration.roster.tenants) == ["contoso"]


def test_modules_and_roles_reload(configure: Any, tmp_path: Path) -> None:
    """Edited catalogs and roles come into force; roles refused for a module load once the catalog has it."""
    configuration = configure()
    (tmp_path / "roles.yaml").write_text("roles: {surveyor: {grant: [surveys.view]}}")
    assert not settled(configuration)
    assert "roles.yaml:1:" in configuration.errors()[0]
    (tmp_path / "modules.yaml").write_text("modules: {surveys: {title: Surveys}}")
    assert settled(configuration)
    assert configuration.errors() == ()
    assert "surveys" in configuration.catalog.modules
    assert "surveyor" in configuration.roles
    (tmp_path / "modules.yaml").write_text("modules: {}")
    assert settled(configuration)
    (problem,) = configuration.errors()  # with which the next start would fail
    assert problem.startswith("roles.yaml:1:28: `surveys` is not a known module")
    assert "surveyor" in configuration.roles


def test_start_reports_all_files(configure: Any, tmp_path: Path) -> None:
    """At start the problems of all files are raised together."""
    (tmp_path / "keys.yaml").write_text(BAD)
    (tmp_path / "modules.yaml").write_text("modules: 3")
    with pytest.raises(SetupError) as caught:
        configure()
    assert {line.split(":")[0] for line in caught.value.problems} == {"keys.yaml", "modules.yaml"}


async def test_run_polls_and_hurries(configure: Any, tmp_path: Path) -> None:
    """The running poll reports an edit, loads immediately when hurried, and ends with the stop event."""
    configuration = configure()
    stop, reported = asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(configuration.run(stop, changed=reported.set, seconds=0.01))
    (tmp_path / "keys.yaml").write_text(GOOD)
    await asyncio.wait_for(reported.wait(), 5)
    assert "northwind" in configuration.roster.tenants
    stop.set()
    await asyncio.wait_for(running, 5)

    stop.clear()
    reported.clear()
    running = asyncio.create_task(configuration.run(stop, changed=reported.set, seconds=60))
    await asyncio.sleep(0)
    configuration.hurry()
    await asyncio.wait_for(reported.wait(), 5)
    stop.set()
    await asyncio.wait_for(running, 5)


def test_the_examples_are_equal_and_load(tmp_path: Path) -> None:
    """config/ has the texts that init writes, and none of them has a problem."""
    config = Path(__file__).parents[3] / "config"
    for name in (*OF_INSTANCE, "instances.yaml"):
        assert (config / name).read_text() == (FOLDER / name).read_text()
        (tmp_path / name).write_text(example(name, instance="us7"))
    names = {**NAMES, "options": {"smtp": Mail}, "backends": ("tinydb",)}
    assert check(tmp_path, **names, environ=ENVIRON) == []
    assert load_instance(tmp_path / "instance.yaml", environ=ENVIRON).instance == "us7"


def test_commented_lines_of_the_examples_load(tmp_path: Path) -> None:
    """The settings that the examples offer in comments load when the comment signs are removed."""
    keys = example("keys.yaml")
    offered = [line[2:] for line in keys.splitlines() if line.startswith(("# tenants:", "#   northwind", "#     "))]
    (tmp_path / "keys.yaml").write_text("\n".join(offered))
    instance = re.sub(r"^(  )?# (?=\w+: [\d{])", r"\1", example("instance.yaml"), flags=re.MULTILINE)
    (tmp_path / "instance.yaml").write_text(instance)
    modules = re.sub(r"^# (?=modules:|  )", "", example("modules.yaml"), flags=re.MULTILINE)
    (tmp_path / "modules.yaml").write_text(modules)
    names = {**NAMES, "sections": ("features", "branding"), "options": {}}
    reported = check(tmp_path, **names, environ={**ENVIRON, "NORTHWIND_SYNC_KEY_2": "n" * 32})
    assert len(reported) == 1
    assert "unknown member `smtp`" in reported[0]


def test_check_reports_every_problem_of_every_file(tmp_path: Path) -> None:
    """One check names the mistakes of all files, an unknown storage backend among them."""
    (tmp_path / "instance.yaml").write_text(
        "instance: eu1\nsecret_key: env:CRM_SECRET_KEY\nstorage: {backend: tinibd}\n"
    )
    (tmp_path / "keys.yaml").write_text(BAD)
    (tmp_path / "modules.yaml").write_text("modules: 3")
    (tmp_path / "roles.yaml").write_text("roles: 3")
    reported = check(tmp_path, **NAMES, options={}, backends=("tinydb",), environ=ENVIRON)
    assert {line.split(":")[0] for line in reported} == {"instance.yaml", "keys.yaml", "modules.yaml", "roles.yaml"}
    assert "did you mean `tinydb`?" in reported[0]
    assert reported[0].startswith("instance.yaml:3:20: ")


@pytest.mark.parametrize("left", ["", "\n \n", "\ufeff", "# nothing\n", "tenants:\n", "tenants"])
def test_an_emptied_roster_shuts_no_tenant_out(configure: Any, tmp_path: Path, left: str) -> None:
    """A roster that is found empty or cut off keeps its last state, and the error says so; an explicit {} counts."""
    keys = tmp_path / "keys.yaml"
    keys.write_text(GOOD)
    configuration = configure()
    keys.write_text(left)
    assert not settled(configuration)
    assert "northwind" in configuration.roster.tenants
    assert str(configuration.roster_error).startswith("keys.yaml:1:1: ")
    keys.write_text("tenants: {}\n")
    assert settled(configuration)
    assert configuration.roster.tenants == {}


@pytest.mark.parametrize("name", OF_INSTANCE)
def test_an_empty_file_is_refused_at_start(configure: Any, tmp_path: Path, name: str) -> None:
    """No file of the config folder may be empty: what it said was lost."""
    configure()
    (tmp_path / name).write_text("")
    with pytest.raises(SetupError, match=f"{name}:1:1: the file is empty"):
        configure()


def test_an_edit_of_the_same_size_and_time_is_noticed(configure: Any, tmp_path: Path) -> None:
    """A file written in place whose size and time are set back to those of before is loaded all the same."""
    keys = tmp_path / "keys.yaml"
    keys.write_text(GOOD)
    before = keys.stat()
    configuration = configure()
    while keys.stat().st_ctime_ns == before.st_ctime_ns:  # the clock of a file system may tick 100 times a second
        keys.write_text(GOOD.replace("northwind", "southwind"))
        os.utime(keys, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert settled(configuration)
    assert list(configuration.roster.tenants) == ["southwind"]
