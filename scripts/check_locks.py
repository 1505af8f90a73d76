"""Checks that the lock files hold every requirement of pyproject.toml in a version it allows.

Needs no network. Refuses to know what is newest: that is `scripts/lock --upgrade`.
"""

import re
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
NEVER = re.compile(r"https?:|file:|^\s*-(?!-hash)|(?<!-)--(?!hash)", re.MULTILINE)
"""An address, a path or an option: what would tie a lock file to the place it was made."""


def main() -> int:
    """Print what is wrong; 1 if anything is."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wrong = check("run.txt", project["project"]["dependencies"])
    wrong += check("build.txt", project["build-system"]["requires"])
    wrong += check("dev.txt", project["dependency-groups"]["dev"])
    for sentence in wrong:
        print(sentence)
    print("run scripts/lock" if wrong else "the lock files fit pyproject.toml")
    return int(bool(wrong))


def check(name: str, requirements: list[str]) -> list[str]:
    """What is wrong with one lock file, a sentence each."""
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    locked = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.MULTILINE))
    wrong = [f"{name}: {line!r} has no place in it" for line in NEVER.findall(text)]
    for requirement in map(Requirement, requirements):
        version = locked.get(requirement.name.lower())
        if version is None:
            wrong.append(f"{name}: {requirement} is missing")
        elif version not in requirement.specifier:
            wrong.append(f"{name}: {requirement.name} {version} is not {requirement.specifier}")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
