"""A table in a file: the same when read again, and a clear error when it is not one."""

import pytest

from tests.tables import table
from ttc_client.errors import ConfigError
from ttc_client.search.table import Choice
from ttc_client.settings.config import load_settings
from ttc_client.settings.table_file import read_table, write_table


def test_a_table_is_the_same_when_it_is_read_again(tmp_path):
    path = tmp_path / "table.json"
    write_table(table(), path)
    assert read_table(path) == table()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"{", "not a table"),
        (b"\xff", "not a table"),
        (b'{"edges": []}', "missing required field"),
        (b'{"edges": [], "budgets": [], "origin": {}}', "not a table"),
    ],
)
def test_what_is_no_table_is_said_with_the_files_name(tmp_path, content, says):
    path = tmp_path / "table.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=f"table is {path}, .*{says}"):
        read_table(path)


def test_a_table_that_contradicts_itself_is_said_with_the_files_name(tmp_path):
    path = tmp_path / "table.json"
    write_table(table(), path)
    path.write_text(path.read_text().replace('"n": 16', '"n": 2'))
    with pytest.raises(ConfigError, match=f"table is {path}, .*budgets must grow"):
        read_table(path)


@pytest.mark.parametrize("name", ["bean", "greedy", "compute-optimal"])
def test_a_choice_that_cannot_take_a_budget_is_said_with_the_files_name(tmp_path, name):
    path = tmp_path / "table.json"
    write_table(table(hard=Choice(name, None)), path)
    with pytest.raises(ConfigError, match=f"table is {path}, .*{name}"):
        read_table(path)


def test_a_missing_file_and_a_place_that_cannot_be_written_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.json: there is no such file"):
        read_table(tmp_path / "nowhere.json")
    with pytest.raises(ConfigError, match=f"table is {tmp_path}: Is a directory"):
        read_table(tmp_path)
    with pytest.raises(ConfigError, match=f"out is {tmp_path}: Is a directory"):
        write_table(table(), tmp_path)


def test_the_setting_names_a_file_wherever_it_comes_from(tmp_path):
    path = tmp_path / "table.json"
    write_table(table(), path)
    (tmp_path / "ttc.toml").write_text(f"table = '{path}'\nstrategy = 'compute-optimal'\n")
    chosen = {"strategy": "compute-optimal"}
    for flags, environment, file in (
        ({"table": str(path), **chosen}, {}, None),
        (chosen, {"TTC_TABLE": str(path)}, None),
        ({}, {}, tmp_path / "ttc.toml"),
    ):
        assert load_settings(flags, environment, file).params.settings.table == table()
