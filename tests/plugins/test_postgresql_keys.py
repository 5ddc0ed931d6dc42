from __future__ import annotations

from crm_postgresql.keys import key_of, keys_of, value_of


def test_keys_sort_as_values_and_read_back() -> None:
    """False, true, integers by value, texts by code point, null; U+0000 and U+0001 keep their order."""
    values = [
        False,
        True,
        -(2**60),
        -11,
        -2,
        -1,
        0,
        1,
        9,
        10,
        2**60,
        "",
        "\x00",
        "\x00a",
        "\x01",
        "\x01a",
        "a",
        "\u00e4",
    ]
    keys = [key_of(value) for value in [*values, None]]
    assert keys == sorted(keys)
    assert [value_of(key) for key in keys] == [*values, None]
    assert not any("\x00" in key for key in keys)
    assert keys_of(("a", "a", "b")) == ["3a", "3b"]
