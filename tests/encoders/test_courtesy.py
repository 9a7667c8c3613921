from __future__ import annotations

import pytest

from turnout.encoders import courtesy
from turnout.encoders.courtesy import without_courtesy


@pytest.mark.parametrize(
    ("text", "task"),
    [
        ("Please explain this.", "explain this."),
        ("Hi! Could you please tell me what 2+2 is? Thanks in advance!", "tell me what 2+2 is?"),
        ("Hello,\nI have a question about this.\nWhat is X?", "What is X?"),
        ("Could you please help me with this? What is 3*4?", "What is 3*4?"),
        ("I would be very grateful for an answer to this: Who wrote Hamlet?", "Who wrote Hamlet?"),
        ("Could you kindly write a poem? Thank you.", "write a poem?"),
        ("Write a poem\n\nThanks so much", "Write a poem"),
    ],
)
def test_courtesies_go(text: str, task: str) -> None:
    assert without_courtesy(text) == task


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Hi",
        "Please!",
        "Thank you!",
        "Good morning is a greeting in which language?",
        "Thanks to whom did Rome fall?",
        "Say thanks",
        "What does 'thank you' mean",
        "Translate: please",
        "def please(x): return x",
        "Hello world program in C",
        "\ud800",
    ],
)
def test_what_is_part_of_the_task_stays(text: str) -> None:
    assert without_courtesy(text) == text


OPENINGS = (
    "hi,", "hello!", "hey.", "dear sir,", "greetings.", "good morning,", "i hope you are well.",
    "hope this helps.", "thank you.", "many thanks.", "i'd appreciate it.", "we would be grateful:",
    "i have a question.", "could you please", "can you help me?", "would you mind", "will you kindly",
    "please", "kindly", "if it is possible,",
)  # fmt: skip


@pytest.mark.parametrize("opening", OPENINGS)
@pytest.mark.parametrize("before", ["", " ", "\n", "Please, "])
def test_every_opening_is_seen_at_a_look(
    monkeypatch: pytest.MonkeyPatch, opening: str, before: str
) -> None:
    others = (opening, opening.title(), opening.upper(), opening.replace("i", "\u0131"))
    texts = [f"{before}{form} what is 2+2?" for form in others]
    assert without_courtesy(texts[0]).strip() == "what is 2+2?"
    looked = [without_courtesy(text) for text in texts]
    monkeypatch.setattr(courtesy, "_may_open", lambda start: True)
    assert looked == [without_courtesy(text) for text in texts]


def test_a_long_text_is_looked_at_only_at_its_ends() -> None:
    text = f"Please count. {'word ' * 50_000}"
    assert without_courtesy(text) == text.removeprefix("Please ")
