"""What never ends is not read to its end."""

from pathlib import Path

import pytest

from ttc_client.errors import ConfigError
from ttc_client.files import MOST_BYTES, read_small
from ttc_client.settings.config import read_toml
from ttc_client.settings.table_file import read_table

ZERO = Path("/dev/zero")


def test_a_device_is_refused_and_a_file_of_the_largest_size_read(tmp_path):
    with pytest.raises(ValueError, match="more than 16 MB"):
        read_small(ZERO)
    (tmp_path / "large").write_bytes(b"x" * MOST_BYTES)
    assert len(read_small(tmp_path / "large")) == MOST_BYTES


def test_a_file_that_cannot_be_read_is_told_by_the_reason_alone(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        read_small(tmp_path / "none")
    assert str(caught.value) == "No such file or directory"


def test_settings_and_tables_are_read_so():
    with pytest.raises(ConfigError, match="more than 16 MB"):
        read_toml(ZERO, [], required=True)
    with pytest.raises(ConfigError, match="more than 16 MB"):
        read_table(ZERO)
