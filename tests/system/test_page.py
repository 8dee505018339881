"""The page of `lstm serve` in Chromium: type, click, draw."""

from __future__ import annotations

import json
import re
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from fixtures_images import save
from fixtures_runs import TEXTS, make_image_run, make_multi_label_run, make_text_run, text_config
from fixtures_serve import server_thread

from lstm_cli.data.images import read_image
from lstm_cli.export.export import export
from lstm_cli.io.fields import SEPARATOR
from lstm_cli.prediction.decision import make_decision
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.serve.page import render

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
PAGE = render()
SECONDS = 30


@pytest.fixture(scope="module")
def chromium():
    """Headless Chromium; skips the test if it, its driver or selenium is missing."""
    if not (CHROMIUM and DRIVER):
        pytest.skip(
            "chromium and chromedriver are not installed (Debian: chromium, chromium-driver)"
        )
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def text_server(tmp_path_factory):
    predictor = Predictor.load(make_text_run(tmp_path_factory.mktemp("runs") / "demo" / "a"))
    with server_thread(predictor) as server:
        yield server, predictor


@pytest.fixture(scope="module")
def image_server(tmp_path_factory):
    run = make_image_run(tmp_path_factory.mktemp("runs") / "mnist" / "a", (28, 28))
    with server_thread(Predictor.load(run)) as server:
        yield server


class Browser:
    """The page in Chromium: of a server, or a file."""

    def __init__(self, driver, server, width=1000, dark=False):
        is_file = isinstance(server, Path)
        self.driver = driver
        self.root = server.as_uri() if is_file else f"http://{server.host}:{server.port}/"
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        driver.get_log("browser"), driver.get_log("performance")
        driver.get(self.root)
        self.until(
            lambda: self.find("#main-panel").is_displayed() or self.find("#key-form").is_displayed()
        )

    def find(self, selector):
        return self.driver.find_element("css selector", selector)

    def all(self, selector):
        return self.driver.find_elements("css selector", selector)

    def text(self, selector):
        return self.find(selector).text

    def enter(self, text, selector="#text"):
        """Replace the text of a field, key by key."""
        self.find(selector).clear()
        self.find(selector).send_keys(text)

    def tokens(self):
        """The tokens with a colour in the input."""
        return self.all("#text-input [data-step]")

    def painted(self, field=0):
        """Return the text that has the colours of a field."""
        return self.run(
            "return document.querySelectorAll('.paint')[arguments[0]].textContent", field
        ).removesuffix("\u200b")

    def point_at(self, element):
        """Move the pointer to an element that may lie below another one."""
        from selenium.webdriver import ActionChains

        box = self.run(
            "const b = arguments[0].getClientRects()[0];"
            "return [b.left + b.width / 2, b.top + b.height / 2].map(Math.round)",
            element,
        )
        actions = ActionChains(self.driver)
        actions.w3c_actions.pointer_action.move_to_location(*box)
        actions.perform()

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def until(self, condition):
        """Wait for a condition; the page may replace an element while the condition reads it."""
        from selenium.common.exceptions import StaleElementReferenceException

        deadline = time.monotonic() + SECONDS
        while True:
            try:
                if result := condition():
                    return result
            except StaleElementReferenceException:
                pass
            assert time.monotonic() < deadline, self.text("body")
            time.sleep(0.05)

    def percentages(self):
        values = self.run(
            "return [...document.querySelectorAll('#classes .value')].map((e) => e.textContent)"
        )
        return [float(value[:-1]) for value in values if value]

    def problems(self):
        """Return messages of the console, and requests to other hosts."""
        console = [entry["message"] for entry in self.driver.get_log("browser")]
        messages = [json.loads(e["message"])["message"] for e in self.driver.get_log("performance")]
        urls = [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]
        assert any(url.startswith(self.root) for url in urls)
        return console + [url for url in urls if not url.startswith((self.root, "data:"))]


def test_prediction_follows_the_text(chromium, text_server):
    server, predictor = text_server
    page = Browser(chromium, server)
    # It opens with an answer.
    page.until(lambda: page.text("#label") == predictor.predict(TEXTS[0])[0].label)
    assert page.find("#text").get_attribute("value") == TEXTS[0]
    assert page.all("#examples [aria-pressed=true]") == page.all("#examples button")[:1]
    for text in ("a fine film", "a fine film and a dull"):
        page.enter(text)
        (expected,) = predictor.predict(text)
        percentages = [round(100 * p, 1) for p in expected.probabilities.values()]
        page.until(
            lambda percentages=percentages: (
                page.percentages() == pytest.approx(percentages, abs=0.11)
            )
        )
        assert page.text("#label") == expected.label
    assert "6 tokens" in page.text("#counts")
    page.enter(" ")
    page.until(lambda: page.text("#label") == "–")
    assert page.tokens() == []
    assert page.all("#examples [aria-pressed=true]") == []
    assert page.problems() == []


def test_an_unsure_prediction_is_no_answer_and_is_explained(chromium, tmp_path):
    predictor = Predictor.load(make_text_run(tmp_path / "demo" / "a"))
    predictor.decision = make_decision(predictor.labels, None, {"negative": 1.0, "positive": 1.0})
    with server_thread(predictor) as server:
        page = Browser(chromium, server)
        page.enter("a fine film")
        page.until(lambda: page.text("#label") == "No answer")
        assert sum(page.percentages()) == pytest.approx(100, abs=0.2)
        page.until(lambda: len(page.tokens()) == 3)
        (expected,) = predictor.predict("a fine film", min_probability=0)
        assert expected.label in page.text("#tokens-help")
        assert page.problems() == []


def test_labels_are_shown_with_thresholds_and_explained_by_a_click(chromium, tmp_path):
    predictor = Predictor.load(make_multi_label_run(tmp_path / "demo" / "several"))
    with server_thread(predictor) as server:
        page = Browser(chromium, server)
        text = "a fine film and a dull cast"
        page.enter(text)
        (expected,) = predictor.predict(text)
        percentages = [round(100 * p, 1) for p in expected.probabilities.values()]
        page.until(lambda: page.percentages() == pytest.approx(percentages, abs=0.11))
        assert page.text("#label") == (", ".join(expected.labels) or "no label")
        below = [row.text.split()[0] for row in page.all("#classes .class:not(.chosen)")]
        assert set(below) == set(predictor.labels) - set(expected.labels)
        assert len(page.all("#classes .threshold")) == 3
        for label in predictor.labels:
            page.until(lambda: page.tokens())
            page.run(
                "[...document.querySelectorAll('#classes button')].find((b) => b.textContent ==="
                " arguments[0]).click()",
                label,
            )
            page.until(lambda label=label: f"supports “{label}”" in page.text("#tokens-help"))
        assert "against" not in page.text("#gates-help")
        assert page.problems() == []


def test_click_on_an_example_predicts_it(chromium, text_server):
    server, predictor = text_server
    page = Browser(chromium, server)
    button = page.all("#examples button")[2]
    text = button.text
    button.click()
    page.until(lambda: page.text("#label") == predictor.predict(text)[0].label)
    assert page.find("#text").get_attribute("value") == text
    assert page.problems() == []


def test_a_run_on_two_columns_has_a_field_for_each(chromium, tmp_path):
    texts = [f"a fine film {SEPARATOR} not dull", f"dull {SEPARATOR} a dull cast"]
    config = text_config(data__text_columns=["title", "body"])
    predictor = Predictor.load(make_text_run(tmp_path / "demo" / "a", config=config, texts=texts))
    with server_thread(predictor) as server:
        page = Browser(chromium, server)
        assert [label.text for label in page.all("#text-input label")] == ["title", "body"]
        page.all("#examples button")[-1].click()
        fields = page.all("#text-input textarea")
        assert [field.get_attribute("value") for field in fields] == ["dull", "a dull cast"]
        fields[0].send_keys(" film")
        text = f"dull film {SEPARATOR} a dull cast"
        response = server.post(
            "/v1/explain", {"text": {"title": "dull film", "body": "a dull cast"}}
        )
        page.until(lambda: len(page.tokens()) == len(response.json()["tokens"]) - 1)
        assert [page.painted(0), page.painted(1)] == ["dull film", "a dull cast"]
        assert [token.get_attribute("textContent") for token in page.tokens()] == [
            entry["text"] for entry in response.json()["tokens"] if entry["text"] != SEPARATOR
        ]
        assert page.text("#label") == predictor.predict(text)[0].label
        assert page.problems() == []


def test_probability_and_gates_follow_the_selected_token(chromium, text_server):
    from selenium.webdriver import ActionChains

    server, _ = text_server
    page = Browser(chromium, server)
    text = "Fine \U0001f600 zzz, a  dull\nfilm"
    # Keys come one UTF-16 unit at a time; a paste does not.
    page.find("#text").clear()
    chromium.execute_cdp_cmd("Input.insertText", {"text": text})
    response = server.post("/v1/explain", {"text": text}).json()
    texts = [entry["text"] for entry in response["tokens"]]
    page.until(lambda: [token.get_attribute("textContent") for token in page.tokens()] == texts)
    assert page.painted() == response["text"] == text
    tokens = page.tokens()
    unknown = [
        texts[k] for k, token in enumerate(tokens) if "unknown" in token.get_attribute("class")
    ]
    assert unknown == ["\U0001f600", "zzz"]
    for step in (5, 0):
        page.point_at(tokens[step])
        page.until(lambda step=step: f"“{texts[step]}”" in page.text("#step"))
        effect = response["token_effects"]["effects"][step]
        assert f"{abs(effect):.2f} log-odds" in page.text("#step")
        # The numbers are beside the word, too.
        tip, word = (
            page.run("return arguments[0].getBoundingClientRect()", e)
            for e in (page.find("#tip"), tokens[step])
        )
        assert f"{abs(effect):.2f} log-odds" in page.text("#tip")
        assert max(tip["top"] - word["bottom"], word["top"] - tip["bottom"]) < 10
        units = page.all("#gates .unit")
        for row, unit in zip(units, response["gates"]["units"], strict=True):
            shown = [float(number) for number in re.findall(r"\d\.\d\d\b", row.text)]
            gates = [unit[f"{name}_gate"][step] for name in ("input", "forget", "output")]
            assert shown[1:4] == pytest.approx(gates, abs=0.0051)
    svg = page.find("#prefixes svg")
    ActionChains(chromium).move_to_element_with_offset(
        svg, svg.size["width"] // 2 - 12, 0
    ).perform()
    page.until(lambda: f"“{texts[-1]}”" in page.text("#step"))
    assert page.problems() == []


def test_arrow_keys_select_tokens(chromium, text_server):
    from selenium.webdriver.common.keys import Keys

    page = Browser(chromium, text_server[0])
    page.enter("fine film and a dull cast")
    page.until(lambda: len(page.tokens()) == 6)
    # The cursor in the text goes by letters, the keys of the line of probability by tokens.
    for selector, num in (("#text", len("fine film ")), ("#prefixes", 2)):
        page.find(selector).send_keys(Keys.HOME)
        page.until(lambda: "“fine”" in page.text("#step"))
        page.find(selector).send_keys(Keys.ARROW_RIGHT * num)
        page.until(lambda: "“and”" in page.text("#step"))
        page.find(selector).send_keys(Keys.END)
        page.until(lambda: "“cast”" in page.text("#step"))
    assert page.find("#text").get_attribute("value") == "fine film and a dull cast"


def test_colours_lie_below_their_words(chromium, text_server):
    """The text with the colours has the lines of the field, in any script and width."""
    page = Browser(chromium, text_server[0], width=360)
    texts = (
        "a  fine\tfilm\n\n" + "not" * 40 + " dull ",
        "فيلم جميل جدا film لكن النهاية كانت مملة\nabc فيلم",
        "好电影" * 30,
        "fine film\n" * 30,
    )
    for text in texts:
        page.run("fillText(arguments[0])", text)
        paint, area, editor = page.run(
            "return ['.paint', 'textarea', '.editor'].map((name) => { const e ="
            " document.querySelector('#text-input ' + name);"
            " return [e.scrollHeight, e.clientWidth, getComputedStyle(e).direction]; })"
        )
        assert paint == area
        assert editor[0] >= area[0]
    # Both scroll together: the field itself never scrolls, not even to the cursor at its end.
    page.find("#text").send_keys("\ue009\ue010")  # Control, End
    assert page.run("return document.querySelector('#text').scrollTop") == 0
    assert page.run("return document.querySelector('.editor').scrollTop") > 100


def test_words_keep_their_colours_until_the_next_answer(chromium, text_server):
    page = Browser(chromium, text_server[0])
    page.enter("a fine film and a dull cast")
    page.until(lambda: len(page.tokens()) == 7)
    words = page.run(
        """
        request = () => new Promise(() => {});  // no more answers
        const area = fields[0].area;
        area.setRangeText("very ", 2, 2);
        area.dispatchEvent(new Event("input"));
        return fields[0].marks.map((mark) => area.value.slice(mark.start, mark.end));
        """
    )
    assert words == ["a", "fine", "film", "and", "a", "dull", "cast"]
    assert page.painted() == "a very fine film and a dull cast"


def test_a_text_that_is_composed_is_left_alone(chromium, text_server):
    """An input method (IME) shows letters, which it replaces by a word in the end."""
    page = Browser(chromium, text_server[0])
    page.enter("fine ")
    for letters in ("n", "ni", "nih"):
        ends = {"selectionStart": len(letters), "selectionEnd": len(letters)}
        chromium.execute_cdp_cmd("Input.imeSetComposition", {"text": letters, **ends})
        # An answer arrives while the letters are composed.
        page.until(
            lambda letters=letters: page.painted() == f"fine {letters}" and len(page.tokens()) == 2
        )
    chromium.execute_cdp_cmd("Input.insertText", {"text": "你好 "})
    assert page.find("#text").get_attribute("value") == "fine 你好 "
    page.until(lambda: page.painted() == "fine 你好 " and len(page.tokens()) == 3)


def test_truncated_text_is_marked(chromium, text_server):
    page = Browser(chromium, text_server[0])
    page.enter("fine film " * 10)
    page.until(lambda: page.all("#text-input .truncated"))
    assert "the middle is left out" in page.text("#counts")
    assert "does not read the striped part" in page.text("#tokens-help")
    assert len(page.tokens()) == 12


def test_data_is_never_markup(chromium, tmp_path):
    labels = ("<img src=x onerror=alert(1)>", "<b>bold</b>")
    run = make_text_run(tmp_path / "demo" / "<i>run", labels)
    with server_thread(Predictor.load(run)) as server:
        page = Browser(chromium, server)
        page.enter("<script>alert(1)</script> a fine film")
        page.until(page.percentages)
        assert page.text("#label") in labels
        assert page.all("#classes img, #classes b, #about i") == []
        assert "<i>run" in page.text("#about")
        assert page.problems() == []


def test_responses_to_older_requests_are_dropped(chromium, text_server):
    """The first response arrives after the second one."""
    server, predictor = text_server
    page = Browser(chromium, server)
    page.run(
        """
        const send = window.fetch;
        let number = 0;
        window.fetch = async (path, options) => {
          const isLate = path === "/v1/predict" && !number++;
          const { signal, ...rest } = options;
          const response = await send(path, rest);
          if (isLate) await new Promise((done) => setTimeout(done, 1500));
          if (isLate) window.lateArrived = true;
          return response;
        };
        """
    )
    area = page.find("#text")
    page.enter("fine")
    time.sleep(0.5)
    area.send_keys(" dull dull dull")
    (expected,) = predictor.predict("fine dull dull dull")
    percentages = [round(100 * p, 1) for p in expected.probabilities.values()]
    page.until(lambda: page.run("return window.lateArrived"))
    time.sleep(0.3)
    assert page.percentages() == pytest.approx(percentages, abs=0.11)


def test_drawn_digit_is_centred_and_predicted(chromium, image_server):
    from selenium.webdriver import ActionChains

    page = Browser(chromium, image_server)
    pad = page.find("#pad")
    strokes = ActionChains(chromium, duration=20).move_to_element_with_offset(pad, -120, -120)
    # No stroke upright in the middle of its own box: its mass is not where the box has its middle.
    strokes.click_and_hold().move_by_offset(0, 60).move_by_offset(0, 60)
    strokes.move_by_offset(60, 0).release().perform()
    page.until(page.percentages)
    assert page.text("#label") in set("0123456789")
    rows = page.run("return pad.rows()")
    mass = sum(map(sum, rows))
    middle = [
        sum(value * (place + 0.5) for place, value in enumerate(map(sum, lines))) / mass
        for lines in (rows, zip(*rows, strict=True))
    ]
    assert middle == pytest.approx([14, 14], abs=0.5)
    rows_with_ink = [place for place, row in enumerate(rows) if max(row) > 32]
    assert 18 <= len(rows_with_ink) <= 22
    page.until(lambda: page.all("#prefixes .cell"))
    assert len(page.all("#prefixes .cell")) == 28 * 10
    page.find("#prefixes").send_keys("\ue011")  # Home
    page.until(lambda: "After row 1:" in page.text("#step"))
    page.find("#clear").click()
    page.until(lambda: page.text("#label") == "–")
    assert page.problems() == []


def test_example_image_is_sent_unchanged(chromium, image_server):
    page = Browser(chromium, image_server)
    (first, *_) = image_server.get("/v1/model").json()["examples"]
    page.all("#examples button")[0].click()
    page.until(page.percentages)
    assert page.run("return pad.rows()") == first
    (found,) = image_server.predict({"image": first}).json()["predictions"]
    assert page.text("#label") == found["label"]


def test_an_image_file_is_read_as_predict_reads_it(chromium, image_server, tmp_path):
    page = Browser(chromium, image_server)
    exact = np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)
    page.find("#image-file").send_keys(str(save(tmp_path / "exact.png", exact)))
    page.until(page.percentages)
    assert page.run("return pad.rows()") == exact.tolist()
    red = np.full((14, 28, 3), (250, 40, 40), np.uint8)
    red[5:9, 10:18] = 0
    page.find("#image-file").send_keys(str(path := save(tmp_path / "wide.png", red)))
    page.until(lambda: page.run("return pad.rows()[0][0]") == 103)
    found = np.array(page.run("return pad.rows()"))
    assert np.abs(found - read_image(path, (28, 28))).max() <= 1
    (tmp_path / "no.png").write_text("text")
    page.find("#image-file").send_keys(str(tmp_path / "no.png"))
    page.until(lambda: "no.png is not an image" in page.text("#notice"))


def test_keyboard_draws_a_digit(chromium, image_server):
    from selenium.webdriver.common.keys import Keys

    page = Browser(chromium, image_server)
    pad = page.find("#pad")
    pad.send_keys(Keys.ARROW_UP * 3 + " " + Keys.ARROW_DOWN * 6 + " ")
    page.until(page.percentages)
    assert "pen up" in pad.get_attribute("aria-label")
    assert max(map(max, page.run("return pad.rows()"))) > 200
    pad.send_keys(Keys.DELETE)
    page.until(lambda: page.text("#label") == "–")


def test_page_reconnects_to_a_server_that_was_stopped(chromium, text_server):
    _, predictor = text_server
    with server_thread(predictor) as server:
        page = Browser(chromium, server)
        page.enter("a fine film")
        page.until(lambda: page.painted() == "a fine film" and len(page.tokens()) == 3)
    page.find("#text").send_keys(" indeed")
    page.until(lambda: "start “lstm serve” again" in page.text("#notice"))
    # Nothing of the last answer stays.
    assert page.text("#label") == "–"
    assert page.percentages() == page.tokens() == []
    assert not page.find("#effects-panel").is_displayed()
    assert not page.find("#explanation").is_displayed()
    with server_thread(predictor, port=server.port):
        page.until(lambda: not page.find("#notice").is_displayed())
        page.until(lambda: len(page.tokens()) == 4)
        assert page.text("#label") == predictor.predict("a fine film indeed")[0].label


def test_a_run_is_chosen_from_several(chromium, text_server):
    """A server of several runs, of which this one answers for all."""
    server, predictor = text_server
    page = Browser(chromium, server)
    page.enter("a fine film")
    page.until(lambda: len(page.tokens()) == 3)
    assert not page.find("#run-choice").is_displayed()
    page.run(
        """
        const sent = window.fetch, first = { ...model, name: "first" };
        const other = { ...model, name: "the other", run: "demo/b", examples: ["fine"] };
        window.paths = [];
        window.fetch = async (path, options) => {
          paths.push(path);
          if (path === "/v1/model") return Response.json(first);
          if (path === "/v1/models") return Response.json({ models: [first, other] });
          const response = await sent(path.replace(/models\\/[^/]+\\//, ""), options);
          return Response.json({ ...await response.json(), run: model.run });
        };
        start();
        """
    )
    page.until(lambda: page.find("#run-choice").is_displayed())
    options = page.all("#run-name option")
    assert [option.text for option in options] == ["first", "the other"]
    options[1].click()
    page.until(lambda: "/v1/models/the%20other/explain" in page.run("return paths"))
    page.until(lambda: len(page.tokens()) == 3)
    assert "Run demo/b" in page.text("#about")
    # What was typed stays, the examples are those of the run.
    assert page.find("#text").get_attribute("value") == "a fine film"
    assert [button.text for button in page.all("#examples button")] == ["fine"]
    assert page.text("#label") == predictor.predict("a fine film")[0].label


def test_page_shows_errors_of_the_server(chromium, text_server):
    _, predictor = text_server
    with server_thread(predictor, max_tokens=3) as server:
        page = Browser(chromium, server)
        page.enter("one two three")
        page.until(lambda: len(page.tokens()) == 3)
        page.find("#text").send_keys(" four")
        page.until(lambda: "has 4 tokens" in page.text("#notice"))
        # The answer to the text before is not shown beside an error.
        assert page.text("#label") == "–"
        assert page.tokens() == []
        page.find("#text").send_keys("\b" * 5)
        page.until(lambda: not page.find("#notice").is_displayed())


def test_page_asks_for_the_api_key(chromium, text_server):
    _, predictor = text_server
    with server_thread(predictor, key="sesame") as server:
        page = Browser(chromium, server)
        assert not page.find("#main-panel").is_displayed()
        page.find("#key").send_keys("open\n")
        page.until(lambda: "not valid" in page.text("#notice"))
        page.find("#key").send_keys("sesame\n")
        page.until(lambda: page.find("#main-panel").is_displayed())
        page.enter("a fine film")
        page.until(page.percentages)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("kind", ["text", "image"])
def test_page_fits_360_pixels_with_readable_colours(
    chromium, text_server, image_server, kind, dark
):
    page = Browser(chromium, text_server[0] if kind == "text" else image_server, 360, dark)
    page.all("#examples button")[-1].click()
    page.until(lambda: page.all("#prefixes svg"))
    assert page.run("return document.documentElement.scrollWidth") <= 360
    for token in page.tokens():
        # The letters are those of the field, the colour is below it.
        ink, card = page.run(_COLOURS, page.find("#text"))
        paint = page.run(_COLOURS, token)[1]
        assert contrast(ink, over(paint, card)) >= 4.5, (token.text, ink, paint)
    for selector in (
        "#label", "#confidence", "#about", "#classes .value", "#examples-title", ".unit-rows .name",
        "#gates-help", "#step", "button", "a",
    ):  # fmt: skip
        ink, paper = page.run(_COLOURS, page.find(selector))
        assert contrast(ink, paper) >= 4.5, (selector, ink, paper)


_COLOURS = """
const own = getComputedStyle(arguments[0]);
let paper = arguments[0];
while (getComputedStyle(paper).backgroundColor === "rgba(0, 0, 0, 0)") paper = paper.parentElement;
return [own.color, getComputedStyle(paper).backgroundColor];
"""


def over(paint, card):
    """Return the colour of a translucent colour on a background."""
    parts = [float(part) for part in re.findall(r"[\d.]+", paint)]
    colour, share = parts[:3], parts[3] if len(parts) > 3 else 1
    below = [int(part) for part in re.findall(r"\d+", card)[:3]]
    mixed = (share * c + (1 - share) * b for c, b in zip(colour, below, strict=True))
    return "rgb({:.0f}, {:.0f}, {:.0f})".format(*mixed)


def contrast(first, second):
    """Return the contrast ratio of two colours.

    Source: WCAG 2.2, contrast ratio.
    """

    def luminance(colour):
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        r, g, b = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def test_every_control_has_an_accessible_name(chromium, text_server, image_server):
    for server in (text_server[0], image_server):
        page = Browser(chromium, server)
        page.until(lambda page=page: page.all("#gates .unit"))
        tree = chromium.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
        roles = {"button", "textbox", "image", "link", "img", "group", "list", "region"}
        controls = [node for node in tree if not node["ignored"] and node["role"]["value"] in roles]
        assert len(controls) > 3
        assert [node for node in controls if not node.get("name", {}).get("value")] == []


def test_page_loads_nothing_and_inserts_no_markup():
    assert not re.search(r"""(src|href|action)\s*=\s*["']?(https?:)?//""", PAGE)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", PAGE)
    assert not re.search(r"<[^>]+\s(on\w+|style)\s*=", PAGE)
    assert re.findall(r"https?://\S+", PAGE) == ['http://www.w3.org/2000/svg";']


def test_an_exported_page_predicts_from_a_file_without_any_request(chromium, tmp_path):
    run = make_text_run(tmp_path / "demo" / "a")
    written = export(run, "html", tmp_path / "page.html").path
    page = Browser(chromium, written, width=390, dark=True)
    # It opens with an answer.
    page.until(lambda: page.find("#explanation").is_displayed())
    assert page.find("#text").get_attribute("value") == TEXTS[0]
    text = "not a fine film, not a dull moment – naïve"
    page.enter(text)
    predictor = Predictor.load(run)
    (expected,) = predictor.predict(text)
    percentages = [100 * p for p in expected.probabilities.values()]
    page.until(lambda: page.percentages() == pytest.approx(percentages, abs=0.051))
    page.until(lambda: page.painted() == text)
    assert page.run("return document.documentElement.scrollWidth") <= 390
    script = """const [texts, done] = arguments, { classifier } = answers;
        done(texts.map((text) => classifier.run(classifier.encodeText(text)).probabilities));"""
    found = chromium.execute_async_script(script, [text, *TEXTS])
    assert np.abs(np.array(found) - predictor.text_probabilities([text, *TEXTS])).max() < 1e-5
    assert page.problems() == []


def test_an_exported_page_reads_a_drawing(chromium, tmp_path):
    run = make_image_run(tmp_path / "mnist" / "a", (28, 28))
    page = Browser(chromium, export(run, "html", tmp_path / "page.html").path)
    page.until(page.percentages)
    page.find("#clear").click()
    page.run("pad.line([60, 60], [200, 220]); update();")
    image = np.array(page.run("return pad.rows()"), np.uint8)
    (expected,) = Predictor.load(run).predict(image[None])
    page.until(lambda: page.text("#label") == expected.label)
    percentages = [100 * p for p in expected.probabilities.values()]
    page.until(lambda: page.percentages() == pytest.approx(percentages, abs=0.051))
    assert page.problems() == []
