"""What libvirt's own schema (RELAX NG, in the package of its client library) lets a domain's XML have, and such XML."""

import re
import xml.etree.ElementTree as ET
from functools import cache
from pathlib import Path

SCHEMA = Path("/usr/share/libvirt/schemas/domain.rng")
RNG = "{http://relaxng.org/ns/structure/1.0}"


@cache
def definitions():
    """Every definition by its name: a list, as a file may add to what another one says."""
    found = {}

    def read(path):
        root = ET.parse(path).getroot()
        for include in root.iter(f"{RNG}include"):
            read(path.parent / include.get("href"))
        for define in root.iter(f"{RNG}define"):
            found.setdefault(define.get("name"), []).append(define)

    read(SCHEMA)
    return found


def names(pattern):
    """The names of an element's or attribute's pattern; those of another namespace have qemu: before them."""
    if pattern.get("name"):
        prefix = "qemu:" if "/qemu/" in (pattern.get("ns") or "") else ""
        return [prefix + pattern.get("name")]
    return [each.text for each in pattern[0].iter(f"{RNG}name")] if len(pattern) else []


def body(pattern):
    """What is in an element or attribute, without its name."""
    return [each for each in pattern if not (pattern.get("name") is None and each is pattern[0])]


def forms():
    """Every element and attribute that a domain may have, by its path: ``devices/disk/source@file``."""
    found = set()

    def walk(pattern, path, inside):
        kind = pattern.tag.removeprefix(RNG)
        if kind == "ref":
            key = pattern.get("name"), path
            for each in definitions().get(pattern.get("name"), []) if key not in inside else []:
                for child in each:
                    walk(child, path, inside | {key})
        elif kind == "element":
            for name in names(pattern):
                below = f"{path}/{name}".lstrip("/")
                if below.split("/").count(name) < 3:
                    found.add(below)
                    for child in body(pattern):
                        walk(child, below, inside)
        elif kind == "attribute":
            found.update(f"{path}@{name}" for name in names(pattern))
        else:
            for child in pattern:
                walk(child, path, inside)

    for each in definitions()["domain"]:
        for child in each:
            walk(child, "", frozenset())
    return {each.removeprefix("domain").lstrip("/") for each in found} - {""}


class Writer:
    """
    Domains at random, as the schema lets them be; each value that may be anything is there once.

    ``random`` decides. In ``values`` is every such value that was written, and its path.
    """

    def __init__(self, random):
        self.random, self.values, self.number, self.left_out = random, {}, 20000, 0.5

    def element(self, path):
        """The element of the schema at a path, ``devices/disk``, filled: with little, or with much."""
        self.left_out = self.random.uniform(0.3, 0.95)
        pattern = self.random.choice(patterns(path))
        return self._element(pattern, path, path.rpartition("/")[2], frozenset())

    def _element(self, pattern, path, name, inside):
        element = ET.Element(name)
        for child in body(pattern):
            self._write(child, element, path, inside)
        return element

    def _write(self, pattern, element, path, inside):
        kind = pattern.tag.removeprefix(RNG)
        if kind == "ref":
            key = pattern.get("name"), path
            if key in inside:
                return
            for each in definitions().get(pattern.get("name"), []):
                for child in each:
                    self._write(child, element, path, inside | {key})
        elif kind == "choice":
            self._write(self.random.choice(list(pattern)), element, path, inside)
        elif kind in ("optional", "zeroOrMore") and self.random.random() < self.left_out:
            return
        elif kind == "element":
            name = self.random.choice(names(pattern) or ["any"])
            below = f"{path}/{name}"
            if below.count("/") < 9:
                element.append(self._element(pattern, below, name, inside))
        elif kind == "attribute":
            for name in names(pattern)[:1]:
                content = ET.Element("attribute")
                for child in body(pattern) or [ET.Element(f"{RNG}text")]:
                    self._write(child, content, f"{path}@{name}", inside)
                element.set(name, content.text or "")
        elif kind in ("value", "data", "text"):
            element.text = pattern.text if kind == "value" else self._value(pattern, path)
        else:
            for child in pattern:
                self._write(child, element, path, inside)

    def _value(self, pattern, path):
        """A path where one may be, else a number where one may be, else a word."""
        self.number += 1
        forms = [each.text for each in pattern.iter(f"{RNG}param") if each.get("name") == "pattern"]
        kind = pattern.get("type", "string")
        written = [f"/host/{self.number}", f"host{self.number}", str(self.number)]
        if kind not in ("string", "token", "NCName", "anyURI"):
            written = written[2:]
        fits = [each for each in written if all(_fits(form, each) for form in forms)]
        value = fits[0] if fits else written[-1]
        self.values[value] = path
        return value


def _fits(form, value):
    try:
        return re.fullmatch(form, value) is not None
    except re.error:  # a class of characters as XML Schema has them
        return True


@cache
def patterns(path):
    """The schema's patterns of the element at a path."""
    found = [each for define in definitions()["domain"] for each in define]
    for name in ["domain", *path.split("/")]:
        found = [each for pattern in found for each in _children(pattern, name, frozenset())]
        below = found
        found = [ET.Element("group")]
        found[0].extend([child for each in below for child in body(each)])
    return below


def _children(pattern, name, inside):
    kind = pattern.tag.removeprefix(RNG)
    if kind == "element":
        return [pattern] if name in names(pattern) else []
    if kind == "attribute":
        return []
    below = list(pattern)
    if kind == "ref":
        if pattern.get("name") in inside:
            return []
        inside = inside | {pattern.get("name")}
        below = [child for each in definitions().get(pattern.get("name"), []) for child in each]
    return [found for each in below for found in _children(each, name, inside)]
