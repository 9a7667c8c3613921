"""What requests continue: the task, what tools did since, and which conversation it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from turnout.types import Conversation, Query
from turnout.wire import chat, messages, responses
from turnout.wire.conversation import asks_nothing, looks_failed

TASK = "Refactor the parser so that it reads a file of any size in constant memory."
Turn = tuple[str, Any]


def in_chat(turns: list[Turn]) -> Query:
    found: list[dict[str, Any]] = []
    for kind, said in turns:
        if kind == "calls":
            calls = [{"id": f"c{i}", "type": "function", "function": {}} for i in range(said)]
            found.append({"role": "assistant", "content": None, "tool_calls": calls})
        elif kind == "results":
            found += [{"role": "tool", "tool_call_id": "c", "content": r} for r in said]
        else:
            found.append({"role": kind, "content": said})
    return chat.read_query({"model": "auto", "messages": found})


def in_messages(turns: list[Turn]) -> Query:
    found: list[dict[str, Any]] = []
    for kind, said in turns:
        if kind == "calls":
            calls = [{"type": "tool_use", "id": f"c{i}", "name": "f"} for i in range(said)]
            found.append({"role": "assistant", "content": calls})
        elif kind == "results":
            results = [
                {
                    "type": "tool_result",
                    "tool_use_id": "c",
                    "content": r,
                    "is_error": r.startswith("Error"),
                }
                for r in said
            ]
            found.append({"role": "user", "content": results})
        else:
            found.append({"role": kind, "content": said})
    return messages.read_query({"model": "auto", "messages": found})


def in_responses(turns: list[Turn]) -> Query:
    found: list[dict[str, Any]] = []
    for kind, said in turns:
        if kind == "calls":
            found += [{"type": "function_call", "call_id": f"c{i}"} for i in range(said)]
        elif kind == "results":
            found += [{"type": "function_call_output", "call_id": "c", "output": r} for r in said]
        else:
            found.append({"role": kind, "content": said})
    return responses.read_query({"model": "auto", "input": found})


dialects = pytest.mark.parametrize(
    "read", [in_chat, in_messages, in_responses], ids=["chat", "messages", "responses"]
)
Read = Callable[[list[Turn]], Query]


@dialects
def test_a_first_message_is_the_task(read: Read) -> None:
    query = read([("user", TASK)])
    assert query.text == TASK
    assert query.conversation == Conversation()


@dialects
@pytest.mark.parametrize("word", ["ok continue", "Yes, please go ahead!", "继续", "weiter bitte"])
def test_a_word_to_go_on_is_routed_by_its_task(read: Read, word: str) -> None:
    query = read([("user", TASK), ("assistant", "Shall I?"), ("user", word)])
    assert query.text == TASK
    assert query.conversation.ends == "go_on"
    assert any("asks nothing new" in note for note in query.notes)
    again = read(
        [("user", TASK), ("assistant", "?"), ("user", word), ("assistant", "?"), ("user", "ok")]
    )
    assert (again.text, again.turns) == (TASK, 3)


@dialects
def test_a_follow_up_that_asks_something_is_a_new_task(read: Read) -> None:
    query = read([("user", TASK), ("assistant", "Done"), ("user", "why?")])
    assert query.text == "why?"
    assert (query.conversation.ends, query.conversation.answered) == ("task", True)


@dialects
def test_a_word_to_go_on_with_nothing_before_it_is_all_there_is(read: Read) -> None:
    query = read([("user", "ok"), ("assistant", "What?"), ("user", "yes please")])
    assert query.text == "yes please"
    assert query.conversation.ends == "task"


@dialects
def test_a_tool_loop_is_about_its_task_and_counts_what_was_called(read: Read) -> None:
    query = read(
        [
            ("user", "An earlier task"),
            ("calls", 1),
            ("results", ["fine"]),
            ("assistant", "Done"),
            ("user", TASK),
            ("calls", 2),
            ("results", ["fine", "fine"]),
            ("calls", 1),
            ("results", ["Error: no such file"]),
            ("calls", 1),
            ("results", ["Error: still none"]),
        ]
    )
    stands = query.conversation
    assert query.text == TASK
    assert (stands.ends, stands.tool_rounds, stands.tool_calls) == ("tool", 3, 4)
    assert (stands.failed_in_row, stands.answered) == (2, True)


@dialects
def test_a_success_ends_a_row_of_failures(read: Read) -> None:
    query = read([("user", TASK), ("calls", 1), ("results", ["Error: x"]), ("calls", 1),
                  ("results", ["fine"])])  # fmt: skip
    assert query.conversation.failed_in_row == 0


def test_what_a_harness_puts_in_is_not_the_users_text() -> None:
    reminder = "<system-reminder>\nThe file CLAUDE.md says a great deal.\n</system-reminder>"
    parts = [{"type": "text", "text": reminder}, {"type": "text", "text": TASK}]
    assert in_messages([("user", parts)]).text == TASK
    assert in_chat([("user", parts)]).text == TASK
    result = {"type": "tool_result", "tool_use_id": "c", "content": "12"}
    behind = [result, {"type": "text", "text": reminder}]
    query = in_messages([("user", TASK), ("calls", 1), ("user", behind)])
    assert (query.text, query.conversation.ends) == (TASK, "tool")
    behind[1] = {"type": "text", "text": "Use the other file instead"}
    query = in_messages([("user", TASK), ("calls", 1), ("user", behind)])
    assert (query.text, query.conversation.ends) == ("Use the other file instead", "task")


def test_reasoning_that_only_its_maker_reads_is_seen() -> None:
    thought = {"type": "thinking", "thinking": "", "signature": "s"}
    answer = ("assistant", [thought, {"type": "text", "text": "x"}])
    assert in_messages([("user", "a"), answer, ("user", "why?")]).conversation.signed
    unsigned = ("assistant", [{"type": "thinking", "thinking": "hm"}])
    assert not in_messages([("user", "a"), unsigned, ("user", "why?")]).conversation.signed
    item = {"type": "reasoning", "summary": [], "encrypted_content": "e"}
    body = {"model": "auto", "input": [{"role": "user", "content": "a"}, item]}
    assert responses.read_query(body).conversation.signed


def test_what_the_provider_keeps_stands_elsewhere() -> None:
    query = responses.read_query({"model": "auto", "input": "x", "previous_response_id": "resp_1"})
    assert (query.conversation.elsewhere, query.conversation.answered) == (True, True)


@pytest.mark.parametrize(
    ("text", "nothing"),
    [
        ("ok", True),
        ("OK, thanks!", True),
        ("lgtm 👍", True),
        ("no", True),
        ("?", True),
        ("", False),
        ("   ", False),
        ("why", False),
        ("continue with the tests", False),
        ("ok " * 100, False),
    ],
)
def test_words_that_ask_nothing(text: str, nothing: bool) -> None:
    assert asks_nothing(text) is nothing


@pytest.mark.parametrize(
    ("text", "failed"),
    [
        ("Error: no such file", True),
        ("  Traceback (most recent call last):\n", True),
        ('{"error": "quota"}', True),
        ("Exit code: 1\nno", True),
        ("Exit code 0\nfine", False),
        ("No errors were found", False),
        ("", False),
    ],
)
def test_results_that_read_like_a_failure(text: str, failed: bool) -> None:
    assert looks_failed(text) is failed
