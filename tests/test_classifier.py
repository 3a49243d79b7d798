"""The model of categories: what it learns from, what it says, and that its reasons are true."""

import pytest

from app.copilot.classifier import CategoryModel, TooFewExamples, train
from app.copilot.knowledge import starter_categories
from app.copilot.types import LabelledText

THINGS = {
    "coffee": ("espresso machine", "coffee beans", "milk foam", "paper cups", "grinder", "filter"),
    "garden": ("lawn mower", "rose bushes", "garden hose", "old oak tree", "hedge", "flower bed"),
    "kitchen": ("oven door", "fridge shelf", "dish washer", "bread knife", "frying pan", "sink"),
}
TROUBLES = (
    "is broken",
    "makes noise",
    "must be cleaned",
    "is missing",
    "looks odd",
    "please check",
)
EXAMPLES = [
    LabelledText(f"{thing} {trouble}", place)
    for place, things in THINGS.items()
    for thing in things
    for trouble in TROUBLES
]


@pytest.fixture(scope="module")
def model() -> CategoryModel:
    return train(EXAMPLES)


@pytest.fixture(scope="module")
def starter() -> CategoryModel:
    return train((), starter_categories())


def test_a_prediction_says_how_sure_it_is_and_of_which_model(model: CategoryModel) -> None:
    found = model.predict("the coffee beans are all gone")
    assert found.value == found.likeliest == "coffee"
    assert found.runner_up in ("garden", "kitchen")
    assert 0.5 < found.confidence <= 1
    assert found.model == model.version
    assert found.model.startswith("desk-")


@pytest.mark.parametrize(
    "text",
    [
        "VPN does not connect from home, the gateway cannot be reached",
        "Excel crashes when I print on the printer of the second floor",
        "Forgot my password and the query on the sales database is slow too",
    ],
)
def test_leaving_a_named_word_out_changes_the_confidence_as_stated(
    starter: CategoryModel, text: str
) -> None:
    found = starter.predict(text)
    assert found.words_for
    assert 3 <= len(found.words_for) + len(found.words_against) <= 6
    for word in (*found.words_for, *found.words_against):
        rest = " ".join(part for part in text.split() if part.strip(",").lower() != word.lower())
        assert len(rest) < len(text)
        shares = dict(zip(starter.classes, starter.shares([rest])[0], strict=True))
        if word in found.words_for:
            assert shares[found.likeliest] < found.confidence, word
        else:
            assert shares[found.likeliest] > found.confidence, word


def test_the_named_words_stand_in_the_text_and_are_whole(starter: CategoryModel) -> None:
    text = "PRINTER on floor 2: paper-jam, again!"
    found = starter.predict(text)
    assert "PRINTER" in found.words_for
    assert {*found.words_for, *found.words_against} <= {
        *("PRINTER", "on", "floor", "paper-jam", "again")
    }


def test_words_that_every_trouble_is_told_with_are_not_named(starter: CategoryModel) -> None:
    found = starter.predict("The printer on my floor says it is not there and it cannot be used")
    assert found.words_for
    assert not {*found.words_for, *found.words_against} & {"The", "my", "it", "is", "not", "says"}


def test_below_the_threshold_nothing_is_filled_in(starter: CategoryModel) -> None:
    found = starter.predict("urgent, as discussed")
    assert found.confidence < starter.figures.threshold
    assert found.value is None
    assert found.likeliest


@pytest.mark.parametrize("text", ["", "   ", "qqqzx wvvk", "!!! ???", "\x00\ud800"])
def test_a_text_of_which_nothing_is_known_is_not_guessed_about(
    starter: CategoryModel, text: str
) -> None:
    found = starter.predict(text)
    assert (found.value, found.confidence, found.likeliest) == (None, 0.0, "")


def test_typing_errors_are_read_by_their_letters(starter: CategoryModel) -> None:
    assert starter.predict("pritner papper jamm").likeliest == "hardware"


def test_the_same_examples_make_the_same_model(model: CategoryModel) -> None:
    again = train(EXAMPLES)
    text = "the oven in the garden is broken"
    assert again.version == model.version
    assert again.figures.data_hash == model.figures.data_hash
    assert again.predict(text) == model.predict(text)


def test_other_examples_make_another_version(model: CategoryModel) -> None:
    other = train([*EXAMPLES, LabelledText("the tea pot leaks", "coffee")])
    assert other.version != model.version


def test_duplicates_count_once_and_the_last_label_holds(model: CategoryModel) -> None:
    doubled = [LabelledText(one.text.upper() + "  ", "garden") for one in EXAMPLES[:20]]
    found = train([*doubled, *EXAMPLES])
    assert found.figures.own == len(EXAMPLES)
    assert found.figures.duplicates == 20
    assert dict(found.figures.classes) == dict(model.figures.classes)


def test_figures_are_of_texts_that_were_held_back(model: CategoryModel) -> None:
    figures = model.figures
    assert figures.quality is not None
    assert figures.measured_on_own
    assert figures.quality.count == len(EXAMPLES)
    assert 0.5 < figures.quality.accuracy <= 1
    assert figures.quality.majority == pytest.approx(1 / 3)
    assert 0 <= figures.quality.calibration_error < 0.3
    assert len(figures.data_hash) == 64
    assert figures.rests_on == "108 of your tickets"


def test_what_was_predicted_at_the_threshold_is_right_as_often_as_promised() -> None:
    """Labels that nobody could learn: the model must rather say nothing."""
    places = list(THINGS)
    noise = [
        LabelledText(one.text, places[(i * 7 + len(one.text)) % 3])
        for i, one in enumerate(EXAMPLES)
    ]
    figures = train(noise).figures
    assert figures.coverage < 0.3
    assert figures.quality is not None
    assert figures.quality.accuracy < 0.6


@pytest.mark.slow
def test_a_desk_that_files_things_otherwise_is_followed_after_thirty_tickets() -> None:
    own = [
        LabelledText(f"vpn does not connect from {place}", "access")
        for place in (*(f"hotel {n}" for n in range(15)), *(f"room {n}" for n in range(15)))
    ]
    blend = train(own, starter_categories())
    assert blend.predict("the vpn does not connect from my house").likeliest == "access"
    assert blend.predict("paper jam in the printer").value == "hardware"
    assert blend.version.startswith("blend-")
    assert blend.figures.rests_on.startswith("30 of your tickets and ")


def test_starter_examples_fade_away_as_own_tickets_come() -> None:
    own = [
        LabelledText(f"{one.text} number {n}", one.label)
        for n in range(10)
        for one in EXAMPLES[:105]
    ]
    assert len(own) > 1000
    figures = train(own, starter_categories()[:200]).figures
    assert figures.starter == 0
    assert figures.version.startswith("desk-")


def test_a_category_with_one_ticket_is_learned_from_too() -> None:
    found = train([*EXAMPLES, LabelledText("parking space for the boss's car", "cars")])
    assert "cars" in found.classes
    assert found.predict("parking space for the boss's car").likeliest == "cars"


def test_two_categories_are_enough_and_one_is_not() -> None:
    two = [one for one in EXAMPLES if one.label != "kitchen"]
    model = train(two)
    assert model.predict("espresso machine").value == "coffee"
    assert model.predict("lawn mower").value == "garden"
    for few in ([], EXAMPLES[:5]):
        with pytest.raises(TooFewExamples):
            train(few)


def test_too_few_to_hold_any_back_means_never_sure() -> None:
    model = train([LabelledText("oven", "kitchen"), LabelledText("hedge", "garden")])
    assert model.figures.quality is None
    assert model.predict("oven").value is None
    assert model.predict("oven").likeliest == "kitchen"


def test_texts_without_words_cannot_be_learned_from() -> None:
    with pytest.raises(TooFewExamples):
        train([LabelledText("! !", "a"), LabelledText("? ?", "b")])


def test_a_model_survives_storage(model: CategoryModel) -> None:
    stored = model.to_bytes()
    again = CategoryModel.from_bytes(stored)
    text = "milk foam in the sink"
    assert again.predict(text) == model.predict(text)
    assert again.figures == model.figures
    with pytest.raises(ValueError, match="another version"):
        CategoryModel.from_bytes(b"category-model 0\n" + stored)


def test_what_is_as_soon_wrong_as_right_is_never_filled_in() -> None:
    """So many others are right that the least sure ones would be within what is aimed at."""
    odd = [
        LabelledText(text, place)
        for text, place in zip(("zzyq", "jjxk", "vvqw"), THINGS, strict=True)
    ]
    figures = train([*EXAMPLES, *odd]).figures
    assert figures.coverage == 1.0
    assert figures.threshold == 0.4
