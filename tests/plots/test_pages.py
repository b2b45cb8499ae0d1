"""`report`: one page of HTML that needs nothing else, with all that is known and nothing that runs."""

import html
import re
from html.parser import HTMLParser

import pytest

from moments_dnns import Moments, diagnose, report
from moments_dnns.descriptions.characterization import Characterization
from tests.support.characterized import NAMES, PARENTS, characterized
from tests.support.networks import network, power
from tests.support.synthetic import complete, describe

NASTY = "<script>alert('&')</script>"


class Page(HTMLParser):
    """Tags and text of a page; tags must be closed in order."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.open, self.text = [], [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def named(model, names):
    described = Characterization(model, names, PARENTS, 4, (8, 4, 4, 1), "array-0123")
    arrays = {name: characterized(4)[name] for name in described.array_names}
    return Moments(arrays, described, provenance={"layer_facts": {names[1]: {"features": 1}}})


@pytest.mark.parametrize(
    "moments", [characterized(4), complete(describe()), network(power(0.5), nu2_signal_loc4=1.0)], ids=str
)
def test_a_page_has_everything_and_needs_nothing(moments, tmp_path):
    path = report(moments, tmp_path / "new" / "report.html")
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert not page.open
    assert page.tags.count("img") == 1
    assert not re.findall(r"""(?:src|href)=["'](?!data:)""", text)
    assert not {"script", "link", "iframe"} & set(page.tags)
    for line in str(diagnose(moments)).splitlines():
        assert line in page.text
    assert diagnose(moments).line in page.text


def test_layers_are_a_table(tmp_path):
    page = Page(report(characterized(4), tmp_path / "x.html").read_text(encoding="utf-8"))
    assert page.tags.count("tr") == 1 + len(NAMES)
    for name in NAMES:
        assert name in page.text


def test_names_are_text(tmp_path):
    names = (NAMES[0], NASTY, *NAMES[2:])
    text = report(named(NASTY, names), tmp_path / "x.html").read_text(encoding="utf-8")
    page = Page(text)
    assert "script" not in page.tags
    assert NASTY in page.text
    assert html.escape(f"{NASTY}: normalizes over one feature") in text


@pytest.mark.parametrize(
    ("moments", "path", "error"),
    [(characterized(4), "x.pdf", ValueError), ([1.0], "x.html", TypeError), ({"depth": [1]}, "x.html", ValueError)],
)
def test_what_is_no_report_is_refused(moments, path, error, tmp_path):
    with pytest.raises(error, match="Received: "):
        report(moments, tmp_path / path)
    assert not list(tmp_path.glob("x*"))
