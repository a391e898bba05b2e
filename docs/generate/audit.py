"""``make audit``: installed versions beside known advisories, and a bill of materials.

    python docs/generate/audit.py --to build/sbom.json

The advisories are those of advisories.yaml beside this file, entered by hand: without the internet there is no current
data base. Exit code 1 where an installed version is affected and the file gives no reason why that does not matter.
"""

from __future__ import annotations

import argparse
import datetime
import json
import re
import sys
import uuid
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

FILE = Path(__file__).with_name("advisories.yaml")


def installed() -> dict[str, metadata.Distribution]:
    """The installed packages by their normal names; of two of one name the one that is imported."""
    found: dict[str, metadata.Distribution] = {}
    for each in metadata.distributions():
        if each.name:
            found.setdefault(canonicalize_name(each.name), each)
    return dict(sorted(found.items()))


def affected(versions: Mapping[str, str], advisories: Iterable[Mapping[str, str]]) -> list[tuple[str, ...]]:
    """(package, version, advisory, fixed in, why it does not matter or "") of each version that is affected."""
    rows = list[tuple[str, ...]]()
    for one in advisories:
        name = canonicalize_name(one["package"])
        if name in versions and SpecifierSet(one["affected"]).contains(versions[name], prereleases=True):
            rows.append((name, versions[name], one["id"], one.get("fixed", "none"), one.get("accepted", "")))
    return rows


def component(name: str, each: metadata.Distribution) -> dict[str, Any]:
    """A package as CycloneDX has it."""
    reference = f"pkg:pypi/{name}@{each.version}"
    made: dict[str, Any] = {"type": "library", "bom-ref": reference, "name": name, "version": each.version}
    made["purl"] = reference
    said = next((each.metadata[key] for key in ("License-Expression", "License") if key in each.metadata), "") or ""
    if said and "\n" not in said:
        made["licenses"] = [{"license": {"name": said[:200]}}]
    return made


def needs(each: metadata.Distribution, known: Mapping[str, metadata.Distribution]) -> list[str]:
    """References of the installed packages that this one asks for, without its extras."""
    asked = [Requirement(line) for line in each.requires or []]
    chosen = [r for r in asked if r.marker is None or r.marker.evaluate({"extra": ""})]
    names = {canonicalize_name(one.name) for one in chosen} & set(known)
    return sorted(f"pkg:pypi/{name}@{known[name].version}" for name in names)


def bill(packages: Mapping[str, metadata.Distribution]) -> dict[str, Any]:
    """The bill of materials in CycloneDX 1.5."""
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    own = [component(name, each) for name, each in packages.items() if name == "holdfast"]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid4()}",
        "version": 1,
        "metadata": {"timestamp": now, **({"component": own[0] | {"type": "application"}} if own else {})},
        "components": [component(name, each) for name, each in packages.items() if name != "holdfast"],
        "dependencies": [
            {"ref": f"pkg:pypi/{name}@{each.version}", "dependsOn": needs(each, packages)}
            for name, each in packages.items()
        ],
    }


def read(path: Path = FILE) -> dict[str, Any]:
    """The advisories. Raises ValueError where one is not as the file's head says."""
    document: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    for one in document["advisories"]:
        if not re.fullmatch(r"(CVE|GHSA|PYSEC)-[\w-]+", one.get("id", "")) or not {"package", "affected"} <= set(one):
            raise ValueError(f"{path.name}: no advisory: {one}")
    return document


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="installed versions beside known advisories; a bill of materials")
    parser.add_argument("--to", type=Path, default=Path("build/sbom.json"), help="where the bill is written")
    given = parser.parse_args(arguments)
    packages, document = installed(), read()
    rows = affected({name: each.version for name, each in packages.items()}, document["advisories"])
    given.to.parent.mkdir(parents=True, exist_ok=True)
    given.to.write_text(json.dumps(bill(packages), indent=1) + "\n", encoding="utf-8")
    for name, version, advisory, fixed, accepted in rows:
        said = f"accepted: {accepted}" if accepted else "not accepted"
        sys.stdout.write(f"{name} {version}: {advisory}, fixed in {fixed}; {said}\n")
    count = len(document["advisories"])
    sys.stdout.write(f"{len(packages)} packages beside {count} advisories entered by hand on {document['entered']}: ")
    sys.stdout.write(f"{len(rows)} affected\nbill of materials: {given.to}\n")
    return int(any(not row[4] for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
