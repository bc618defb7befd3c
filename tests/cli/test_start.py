import subprocess
import sys


def test_help_answers() -> None:
    done = subprocess.run([sys.executable, "-m", "archsmith", "--help"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
