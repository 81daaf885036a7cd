"""The report as a person meets it, in headless Chromium; skipped where that is not installed."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import wwopt
from tests.support import browser as browsing
from wwopt.reporting import write_report

pytestmark = pytest.mark.skipif(browsing.MISSING, reason="needs chromium and chromium-driver")

ENTER, TAB = "\ue007", "\ue004"
NAMES = "return [...document.querySelectorAll('#table tbody tr:not([hidden]) th')].map(cell => cell.textContent)"
SPECTRA = "return document.querySelectorAll('.detail:not([hidden]) circle').length"
OVERFLOW = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with browsing.chromium(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Five hundred layers with long names, of which one is broken, beside a small network."""
    rng = np.random.default_rng(0)
    one = wwopt.analyze({"a": rng.standard_t(3, size=(90, 80)), "b": np.full((64, 64), np.nan)})
    rows = pd.concat([one.details.iloc[[int(i == 7)]] for i in range(500)], ignore_index=True)
    rows["name"] = [f"model.language_model.layers.{i}.self_attention.query_key_value" for i in range(500)]
    rows.loc[3, "alpha"] = 9.5
    spectra = {name: one.spectra["b" if i == 7 else "a"] for i, name in enumerate(rows["name"])}
    path = tmp_path_factory.mktemp("page") / "report.html"
    return write_report({"large": replace(one, details=rows, spectra=spectra), "small": one}, path)


def test_it_opens_at_once_and_without_complaint(browser, page):
    """Five hundred layers stand within seconds on a busy machine, and the page's own policy lets all of it through."""
    browser.open(page)
    assert browser.run("return performance.timing.domComplete - performance.timing.responseStart") < 5000
    assert browser.complaints() == []
    assert len(browser.run(NAMES)) == 502
    assert browser.run("return document.getElementById('count').value") == "502 of 502 layers"


def test_the_table_sorts_and_filters(browser, page):
    """The head sorts by value, missing ones last; the fields filter, and the count follows."""
    browser.open(page)
    alpha = "document.querySelectorAll('#table thead button')[4].click();"
    browser.run(alpha + alpha)
    assert ".3." in browser.run(NAMES)[0]
    assert browser.run(NAMES)[-1] in ("b", "model.language_model.layers.7.self_attention.query_key_value")
    assert browser.run("return document.querySelector('[aria-sort]').textContent") == "alpha"
    browser.run(
        "const kind = document.getElementById('kind'); kind.value = 'broken'; kind.dispatchEvent(new Event('input'))"
    )
    assert sorted(browser.run(NAMES)) == ["b", "model.language_model.layers.7.self_attention.query_key_value"]
    browser.run("const q = document.getElementById('query'); q.value = 'LAYERS.7'; q.dispatchEvent(new Event('input'))")
    assert browser.run("return document.getElementById('count').value") == "1 of 502 layers"


def test_keys_are_enough(browser, page):
    """By keyboard alone: the skip link leads to the layers, a name opens its spectrum, and again closes it."""
    browser.open(page)
    browser.press([TAB])
    assert browser.run("return document.activeElement.textContent") == "Skip to the layers"
    browser.press([ENTER])
    assert browser.run("return document.activeElement.id") == "layers"
    browser.run("document.querySelector('#table tbody button').focus()")
    browser.press([ENTER])
    assert browser.run(SPECTRA) > 5
    assert browser.run("return document.activeElement.getAttribute('aria-expanded')") == "true"
    browser.press([ENTER])
    assert browser.run(SPECTRA) == 0
    assert browser.complaints() == []


def test_a_point_leads_to_its_layer(browser, page):
    """A click on the flow opens the layer, also while a filter hides it."""
    browser.open(page)
    browser.run("const q = document.getElementById('query'); q.value = 'none'; q.dispatchEvent(new Event('input'))")
    browser.run(
        "document.querySelector('.flow [data-layer=\"3\"]').dispatchEvent(new MouseEvent('click', { bubbles: true }))"
    )
    assert ".layers.3." in browser.run("return document.activeElement.textContent")
    assert browser.run(SPECTRA) > 5


@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_a_phone_and_the_dark(browser, page, dark):
    """Nothing is wider than a phone, and the page is dark where the reader's system is."""
    browser.open(page, width=360, height=740, dark=dark)
    browser.run("document.querySelectorAll('#table tbody button')[500].click()")
    assert browser.run(OVERFLOW) <= 0
    background = browser.run("return getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(20, 23, 27)" if dark else "rgb(255, 255, 255)")
