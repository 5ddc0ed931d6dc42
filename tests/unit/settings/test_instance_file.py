from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Any

import msgspec
import pytest

from crm_core.settings.instance import InstanceSettings, Listen, load_instance
from crm_core.settings.instances import load_instances
from crm_core.settings.options import read_options

ENVIRON = {"SECRET": "s" * 32, "DB": "postgresql://u:hush@db/crm"}
LEAST = "instance: eu1\nsecret_key: env:SECRET\n"


class Lamp(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    watts: tuple[int, ...] = (40, 60)
    dimmed: bool = False


@pytest.fixture
def instance(write: Any) -> Any:
    """Loads instance.yaml from its text."""

    def load(text: str) -> InstanceSettings:
        return load_instance(write("instance.yaml", text), environ=ENVIRON)

    return load


def test_defaults(instance: Any, tmp_path: Path) -> None:
    """Two members are enough; the rest is as the documentation says."""
    settings = instance(LEAST)
    assert settings.listen == Listen("127.0.0.1", 8000)
    assert settings.public_url is None
    assert settings.tenants_dir == tmp_path.parent / "tenants"
    assert settings.storage.backend == "tinydb"
    assert (settings.sync.enabled, settings.sync.skew_seconds, settings.sync.history_keep) == (True, 300, 50)
    assert settings.secret_keys == (b"s" * 32,)
    assert settings.trusted_proxies == ()
    assert settings.operators == (ip_network("127.0.0.0/8"), ip_network("::1/128"))


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("https://CRM.Example.com:443", "https://crm.example.com"),
        ("HTTP://crm.example.com:80", "http://crm.example.com"),
        ("https://crm.example.com:80", "https://crm.example.com:80"),
        ("https://[::443]", "https://[::443]"),
    ],
)
def test_origins_are_what_browsers_send(instance: Any, written: str, sent: str) -> None:
    """However they are written: the Origin of a browser is compared with them as a text."""
    lines = f'public_url: "{written}"\nallowed_origins: ["{written}"]\n'
    settings = instance(f"instance: eu1\nsecret_key: env:SECRET\n{lines}")
    assert (settings.public_url, settings.allowed_origins) == (sent, (sent,))


def test_an_internationalised_public_url_is_what_browsers_send(instance: Any) -> None:
    """Its host is in the ASCII form, in which it arrives in Host and Origin."""
    settings = instance("instance: eu1\nsecret_key: env:SECRET\npublic_url: https://CRM.K\u00d6LN.example:8443\n")
    assert settings.public_url == "https://crm.xn--kln-sna.example:8443"


def test_a_full_file(instance: Any, tmp_path: Path) -> None:
    """Every member arrives; paths are absolute, the list of keys keeps its order, nothing secret shows."""
    (tmp_path / "mine").mkdir()
    settings = instance(
        """
        instance: eu1
        listen: unix:run/eu1.sock
        public_url: https://crm.example.com:8443
        tenants_dir: /srv/tenants
        storage: {backend: postgresql, dsn: env:DB, pool: 4}
        sync: {enabled: false, skew_seconds: 60, log_keep_days: 30, max_payload_bytes: 1, log_max_unverified: 1}
        trusted_proxies: [10.0.0.0/8, unix]
        operators: []
        secret_key: [env:SECRET, "hex:6161616161616161616161616161616161616161616161616161616161616161"]
        plugins: {disabled: [crm_lamp], folders: [mine]}
        """
    )
    assert settings.listen == Listen(unix=tmp_path / "run/eu1.sock")
    assert settings.public_url == "https://crm.example.com:8443"
    assert settings.tenants_dir == Path("/srv/tenants")
    assert settings.storage.options == {"dsn": "postgresql://u:hush@db/crm", "pool": 4}
    assert settings.sync.future_skew_seconds == 60
    assert (settings.sync.max_payload_bytes, settings.sync.log_max_unverified) == (1, 1)
    assert settings.sync.log_keep_days == 30
    assert settings.trusted_proxies == (ip_network("10.0.0.0/8"), "unix")
    assert settings.operators == ()
    assert settings.secret_keys == (b"s" * 32, b"a" * 32)
    assert settings.plugins.disabled == {"crm_lamp"}
    assert settings.plugins.folders == (tmp_path / "mine",)
    assert "hush" not in repr(settings)
    assert "ssss" not in repr(settings)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("listen: 8000", "not an address"),
        ("listen: ::1:8000", "not an address"),
        ("listen: localhost:70000", "not an address"),
        ("public_url: crm.example.com", "https://crm.example.com"),
        ("public_url: https://crm.example.com:0443", "https://crm.example.com"),
        ("public_url: https://crm.example.com/crm", "https://crm.example.com"),
        ("public_url: https://crm.\u2764.example", "https://crm.example.com"),
        ("public_url: https://crm.k\u00f6ln.example/crm", "https://crm.example.com"),
        ("listen: 'unix:'", "unix: must be followed"),
        ("sync: {skew: 5}", "did you mean `skew_seconds`?"),
        ("sync: {skew_seconds: 0}", "from 1 to 86400"),
        ("operators: 127.0.0.1", "expected a list"),
        ("plugins: {folders: [absent]}", "there is no folder"),
        ("storage: {dsn: env:NONE}", "NONE is not set"),
    ],
)
def test_mistakes(instance: Any, problems: Any, line: str, words: str) -> None:
    """A mistake in instance.yaml is reported at its line with the way to fix it."""
    (reported,) = problems(instance, f"{LEAST}{line}\n")
    assert reported.startswith("instance.yaml:3:")
    assert words in reported


def test_networks_of_ipv4_written_as_ipv6(instance: Any) -> None:
    """They admit the IPv4 addresses that they name."""
    line = 'trusted_proxies: ["::ffff:10.0.0.0/104"]\noperators: ["::ffff:192.0.2.1"]\n'
    settings = instance(LEAST + line)
    assert settings.trusted_proxies == (ip_network("10.0.0.0/8"),)
    assert settings.operators == (ip_network("192.0.2.1/32"),)


def test_a_disabled_plugin_must_exist(instance: Any, problems: Any) -> None:
    """A name that no plugin has is reported with its place, and with the name that was meant."""
    plugins = instance(LEAST + "plugins: {disabled: [crm_deal, crm_lamp, other]}\n").plugins
    assert problems(plugins.require, ["crm_deals", "crm_lamp"]) == [
        "instance.yaml:3:22: there is no plugin `crm_deal`; did you mean `crm_deals`?",
        "instance.yaml:3:42: there is no plugin `other`; remove it; `crm plugins` lists the plugins",
    ]
    plugins.require(["crm_deal", "crm_lamp", "other"])


def test_what_must_be_there(instance: Any, problems: Any) -> None:
    """The code and the secret key are asked for, each with an example."""
    reported = problems(instance, "listen: 127.0.0.1:0\n")
    assert [
        words in line for words, line in zip(("add `instance: eu1`", "add `secret_key:"), reported, strict=True)
    ] == [
        True,
        True,
    ]


def test_options_of_plugins(instance: Any) -> None:
    """A member that a plugin declared is read by its type, and has its defaults where the file is silent."""
    types = {"lamp": Lamp}
    assert read_options(instance(LEAST), types) == {"lamp": Lamp()}
    lit = instance(LEAST + "lamp: {watts: [25], dimmed: true}\n")
    assert read_options(lit, types) == {"lamp": Lamp((25,), dimmed=True)}


def test_mistakes_in_options(instance: Any, problems: Any) -> None:
    """Unknown members and bad types of all options are reported together, each at its own place."""
    settings = instance(LEAST + "lamp: {watts: [25, lots], dimned: true}\nlmap: {}\n")
    reported = problems(read_options, settings, {"lamp": Lamp})
    assert [line.split(": ")[0] for line in reported] == [
        "instance.yaml:3:20",
        "instance.yaml:3:27",
        "instance.yaml:4:1",
    ]
    assert "this must be a whole number" in reported[0]
    assert "did you mean `dimmed`?" in reported[1]
    assert "did you mean `lamp`?" in reported[2]


def test_a_member_of_a_disabled_plugin_is_explained(instance: Any, problems: Any) -> None:
    """An operator who disables a plugin learns that its options have to go too."""
    (reported,) = problems(read_options, instance(LEAST + "plugins: {disabled: [acme_lamp]}\nlamp: {}\n"), {})
    assert reported.startswith("instance.yaml:4:1: unknown member `lamp`; known here: ")
    assert reported.endswith("; if it belongs to a plugin that is disabled (acme_lamp), comment it out")


class Fragile(msgspec.Struct):
    def __post_init__(self) -> None:
        raise KeyError("watts")


def test_a_type_of_options_that_raises_is_named(instance: Any, problems: Any) -> None:
    """It ends no command with a traceback, and the file says whose options they are."""
    (reported,) = problems(read_options, instance(LEAST + "lamp: {}\n"), {"lamp": Fragile})
    assert reported.startswith("instance.yaml:3:1: the type of the options `lamp` raised KeyError; fix them")


def test_options_of_a_plugin_never_read_a_member_of_the_core(instance: Any, problems: Any) -> None:
    """The two would share one member of the file; the payload type is to be renamed."""
    reported = problems(read_options, instance(LEAST), {"storage": Lamp})
    assert len(reported) == 1
    assert "the core owns the member `storage`" in reported[0]


def test_instances(write: Any, tmp_path: Path) -> None:
    """The manager's file names the upstreams of each instance in their order, and which of them are drained."""
    text = 'instances: {eu1: {upstreams: ["http://127.0.0.1:8000/", "unix:eu1.sock"], drained: ["unix:eu1.sock"]}}'
    settings = load_instances(write("instances.yaml", text))
    assert settings.listen == Listen(port=8080)
    assert (settings.trusted_proxies, settings.operators) == (
        (),
        (ip_network("127.0.0.0/8"), ip_network("::1/128")),
    )
    assert [(str(upstream), upstream.drained) for upstream in settings.instances["eu1"]] == [
        ("http://127.0.0.1:8000", False),
        (f"unix:{tmp_path / 'eu1.sock'}", True),
    ]


def test_a_required_member_written_wrongly_is_reported_as_the_slip(write: Any, problems: Any) -> None:
    """Also where members of unknown plugins may be."""
    reported = problems(load_instance, write("instance.yaml", "instance: eu1\nsecret_kee: env:S\n"), environ={})
    assert reported == ["instance.yaml:2:1: unknown member `secret_kee`; did you mean `secret_key`?"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("listen: 127.0.0.1:8080\n", "`instances` is missing"),
        ("instances: {eu1: {upstreams: []}}", "at least 1"),
        ("instances: {eu1: {upstreams: ['ftp://x']}}", "not an upstream"),
        ("instances: {eu1: {upstreams: ['http://x:65536']}}", "not an upstream"),
        ("instances: {eu1: {upstreams: ['http://x/path']}}", "not an upstream"),
        ("instances: {eu1: {upstreams: ['http://a..b:8000']}}", "not an upstream"),
        ("instances: {eu1: {upstreams: ['http://[2001:db8::1::2]:8000']}}", "not an upstream"),
        ("instances: {eu1: {upstreams: ['http://[10.0.0.1]:8000']}}", "not an upstream"),
        ("instances: {eu1: {upstreams: ['unix:~no-such-user/crm.sock']}}", "there is no such home folder"),
        ("listen: a..b:8000\ninstances: {eu1: {upstreams: ['http://x']}}", "not an address"),
        ("instances: {eu1: {upstreams: ['http://a:password@b:8000']}}", ": this is not an upstream"),
        ("instances: {eu1: {upstreams: ['https://x']}}", "instances use http"),
        ("instances: {EU: {upstreams: ['http://x']}}", "not a valid name"),
        ("instances: {eu1: {upstreams: ['http://x'], drained: ['http://y']}}", "not one of the instance's upstreams"),
        ("instances: {eu1: {upstreams: ['http://x', 'http://x/']}}", "a second time"),
        ("instances:\n eu1: {upstreams: ['http://x']}\n us2: {upstreams: ['http://x']}", "first in line 2"),
        ("instances: {eu1: {upstreams: ['http://127.0.0.1:8080']}}", "the manager itself listens here"),
        ("operators: [10.0.0.1/8]\ninstances: {eu1: {upstreams: ['http://x']}}", "write 10.0.0.0/8"),
    ],
)
def test_mistakes_in_instances(write: Any, problems: Any, text: str, words: str) -> None:
    """A mistake in the manager's file is reported."""
    (reported,) = problems(load_instances, write("instances.yaml", text))
    assert words in reported
