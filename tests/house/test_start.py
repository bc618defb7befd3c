"""The commands start at once: what needs no torch does not load it."""

import subprocess
import sys

import pytest

CHECK = """
import sys
sys.exit(', '.join(sorted({'torch', 'sklearn', 'pandas', 'onnxruntime'} & set(sys.modules))))
"""


def loaded(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code + CHECK], capture_output=True, text=True)
    return done.stderr.strip()


@pytest.mark.parametrize(
    "code",
    [
        "import archsmith",
        "import archsmith; archsmith.Space; archsmith.choice; archsmith.maximize; archsmith.RegularizedEvolution",
        "import archsmith.space, archsmith.trial, archsmith.strategy, archsmith.store, archsmith.spec, archsmith.run",
        "import archsmith.tables",
        "import archsmith.cli",
    ],
)
def test_importing_does_not_import_torch(code: str) -> None:
    assert loaded(code) == ""


@pytest.mark.parametrize(
    "wrong", [["--objective", "acuracy"], ["--strategy", "evolutoin"], ["--space", "mobil"], ["--executor", "here"]]
)
def test_a_wrong_name_is_told_before_anything_heavy_is_loaded(wrong: list[str]) -> None:
    code = f"import sys; from archsmith.cli import main; sys.argv[1:] = {['search', 'digits', *wrong]!r}"
    ended = "try: main()\nexcept SystemExit as end: assert end.code == 2, end.code"
    assert loaded(f"{code}\nsys.stderr = open('/dev/null', 'w')\n{ended}\nsys.stderr = sys.__stderr__") == ""


@pytest.mark.parametrize(
    "arguments", [["--help"], ["search", "--help"], ["ls"], ["show", "nowhere"], ["--version"], ["resume", "nowhere"]]
)
def test_commands_that_only_read_do_not_import_torch(arguments: list[str]) -> None:
    run = f"""
import sys
from archsmith.cli import main
sys.argv[1:] = {arguments!r}
sys.stdout = sys.stderr = open({"/dev/null"!r}, "w")
try:
    main()
except SystemExit:
    pass
sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
"""
    assert loaded(run) == ""
