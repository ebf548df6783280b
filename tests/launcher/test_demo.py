from __future__ import annotations

import subprocess

from zkbio.launcher.demo import curl_line
from zkbio.launcher.options import read_options


def test_the_printed_line_knows_a_password_made_in_this_run() -> None:
    line = curl_line(read_options({}), username="admin", password="a'b")

    assert line.startswith("curl -s -H ")
    assert """'password=a'"'"'b'""" in line


def test_without_the_password_the_printed_line_says_which_one_to_set() -> None:
    line = curl_line(read_options({}), username="admin", password=None)

    said = subprocess.run(["sh", "-c", line], env={}, capture_output=True, text=True, timeout=10, check=False)

    assert said.stderr.endswith("ADMIN_PASSWORD: set it to the password of the first start\n")
    assert said.returncode != 0
