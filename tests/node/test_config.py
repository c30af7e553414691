"""node/config.py: settings are checked, layered and edited without losing a line."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.config import (
    Config,
    default_text,
    get_value,
    load_config,
    parse_value,
    set_value,
)
from node.errors import BadInput


def test_default_file_loads_as_defaults(tmp_path: Path) -> None:
    """The file that init writes explains every setting and changes none."""
    path = tmp_path / "config.toml"
    path.write_text(default_text())
    assert load_config(path, {}) == Config() == load_config(tmp_path / "none", {})
    for name, field in Config.model_fields.items():
        assert f"# {name} = " in path.read_text()
        assert field.description


def test_default_lines_are_toml(tmp_path: Path) -> None:
    """Uncommenting every line gives a valid file with the default values."""
    live = "\n".join(
        line[2:] for line in default_text().splitlines() if " = " in line and line[0] == "#"
    )
    lines = [x for x in live.splitlines() if x.split(" = ")[0] in Config.model_fields]
    path = tmp_path / "config.toml"
    path.write_text("\n".join(lines))
    assert len(lines) == len(Config.model_fields)
    assert load_config(path, {}) == Config()


def test_set_keeps_comments_and_other_settings(tmp_path: Path) -> None:
    """A person's own lines survive."""
    path = tmp_path / "config.toml"
    path.write_text("# mine\nwallet = 'savings'  # cold\n\nlisten_port = 1\n")
    assert set_value(path, "listen_port", "4177") == 4177
    assert path.read_text() == "# mine\nwallet = 'savings'  # cold\n\nlisten_port = 4177\n"
    set_value(path, "log_level", "debug")
    assert path.read_text().startswith("# mine\nwallet = 'savings'  # cold\n")
    config = load_config(path, {})
    assert (config.wallet, config.listen_port, config.log_level) == ("savings", 4177, "debug")


def test_accepted_tokens_are_addresses_with_right_checksums(tmp_path: Path) -> None:
    """Several, with commas; a mistyped one would be another token."""
    path = tmp_path / "config.toml"
    one, other = "0x" + "5" * 40, "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
    assert set_value(path, "accepted_tokens", f"{one}, {other.lower()}") == [one, other]
    assert load_config(path, {}).accepted_tokens == (one, other)
    for wrong in ("USDX", other.replace("aA", "AA")):
        with pytest.raises(BadInput, match="accepted_tokens"):
            set_value(path, "accepted_tokens", wrong)


def test_set_uncomments_the_default_line(tmp_path: Path) -> None:
    """In a fresh file the setting appears where it is explained."""
    path = tmp_path / "config.toml"
    path.write_text(default_text())
    set_value(path, "device", "NVIDIA")
    lines = path.read_text().splitlines()
    index = lines.index('device = "NVIDIA"')
    assert "OpenCL" in lines[index - 1]


def test_set_replaces_list_over_several_lines(tmp_path: Path) -> None:
    """A value that a line edit would break is written anew instead."""
    path = tmp_path / "config.toml"
    path.write_text('announce = [\n  "a",\n  "b",\n]\nwallet = "w"\n')
    assert set_value(path, "announce", "x, y") == ["x", "y"]
    assert tomllib.loads(path.read_text()) == {"announce": ["x", "y"], "wallet": "w"}


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@given(texts, texts)
def test_any_text_value_round_trips(
    tmp_path_factory: pytest.TempPathFactory, a: str, b: str
) -> None:
    """Quotes, line breaks, control characters and hashes are values like any other."""
    path = tmp_path_factory.mktemp("c") / "config.toml"
    set_value(path, "device", a)
    set_value(path, "device", b)
    assert load_config(path, {}).device == b


@pytest.mark.parametrize(
    ("name", "text", "rule"),
    [
        ("listen_port", "65536", "less than or equal to 65535"),
        ("listen_port", "x", "whole number"),
        ("log_level", "loud", "'debug', 'info', 'warning' or 'error'"),
        ("roles", "work,dance", "'work', 'audit' or 'coordinate'"),
        ("chain_poll_s", "nan", "less than or equal to 600"),
        ("storage_bytes_max", "0", "greater than or equal"),
        ("nonsense", "1", "no setting"),
    ],
)
def test_bad_values_are_refused_and_change_nothing(
    tmp_path: Path, name: str, text: str, rule: str
) -> None:
    """The message has the field, the value and the rule; the file stays as it was."""
    path = tmp_path / "config.toml"
    path.write_text("wallet = 'w'\n")
    with pytest.raises(BadInput) as caught:
        set_value(path, name, text)
    assert rule in caught.value.message
    assert name in caught.value.message
    assert path.read_text() == "wallet = 'w'\n"


@pytest.mark.parametrize(
    ("content", "reason"),
    [("wallet = ", "not TOML"), ("walet = 'x'", "walet"), ("listen_port = 'a'", "listen_port")],
)
def test_bad_files_are_refused(tmp_path: Path, content: str, reason: str) -> None:
    """A typing error in a setting's name is not ignored."""
    path = tmp_path / "config.toml"
    path.write_text(content)
    with pytest.raises(BadInput, match=reason):
        load_config(path, {})


def test_environment_wins_over_file(tmp_path: Path) -> None:
    """AINUR_ and the name in capitals; an empty variable counts as unset."""
    path = tmp_path / "config.toml"
    path.write_text("device = 'file'\nlisten_port = 1\n")
    config = load_config(path, {"AINUR_DEVICE": "1", "AINUR_LISTEN_PORT": ""})
    assert (config.device, config.listen_port) == ("1", 1)
    with pytest.raises(BadInput, match="listen_port"):
        load_config(path, {"AINUR_LISTEN_PORT": "-1"})


def test_get_value_knows_every_setting() -> None:
    """Reads are plain JSON values."""
    config = Config()
    assert get_value(config, "roles") == ["work", "audit", "coordinate"]
    for name in Config.model_fields:
        assert isinstance(get_value(config, name), str | int | float | list)
    with pytest.raises(BadInput, match="Settings: wallet"):
        get_value(config, "nope")


def test_numbers_may_have_underscores() -> None:
    """As in TOML and Python."""
    assert parse_value("storage_bytes_max", "1_000_000_000") == 10**9
