"""`Ask` → an Anthropic Messages request."""

from __future__ import annotations

from typing import Any

from turnout.errors import RequestError, TranslationError
from turnout.wire.efforts import ANTHROPIC_EFFORTS, BUDGETS, LEAST_BUDGET
from turnout.wire.reading import Kind
from turnout.wire.translate.blocks import BlockWriter, count_marks
from turnout.wire.translate.fields import Notes, shown
from turnout.wire.translate.neutral import Ask, Thinking, Tool, ToolCall, ToolChoice, Turn
from turnout.wire.translate.target import MAX_TOKENS, Target
from turnout.wire.translate.to_openai import sampling, schema_of

_TIERS = {"auto": "auto", "default": "standard_only"}
_NO_COUNTERPART = "left out: a hint without a counterpart"


def write_messages(ask: Ask, target: Target, notes: Notes) -> dict[str, Any]:
    """A Messages request.

    Raises:
        TranslationError: names what Messages cannot say.
    """
    limit = ask.max_output_tokens or target.max_output_tokens or MAX_TOKENS
    marks = count_marks(ask.turns)
    writer = BlockWriter(notes, marks)
    body: dict[str, Any] = {"model": target.model, "max_tokens": limit}
    system, turns = _system(ask, target, notes)
    body |= {"system": writer.blocks(system)} if system else {}
    body["messages"] = _messages(turns, writer)
    body |= _tools(ask, writer)
    thinking = _thinking(ask, target, notes, limit)
    body |= thinking | _output_config(ask, target, notes, thinking)
    body |= _sampling(ask, target, notes, thinking)
    if ask.stop:
        body["stop_sequences"] = list(ask.stop)
    if ask.user is not None:
        body["metadata"] = {"user_id": ask.user}
    body |= _tier(ask) | _caching(ask, notes, marks)
    _left_out(ask, notes)
    if ask.stream:
        body["stream"] = True
    return body


def _system(ask: Ask, target: Target, notes: Notes) -> tuple[Turn | None, list[Turn]]:
    """The system text at the start, and the turns after it.

    Later system messages stay in their place where the model takes them after a user's turn.
    """
    first: list[Turn] = []
    rest: list[Turn] = []
    for turn in ask.turns:
        if turn.role not in ("system", "developer"):
            rest.append(turn)
        elif not rest:
            first.append(turn)
        elif target.late_system and rest[-1].role in ("user", "tool"):
            rest.append(turn)
        else:
            first.append(turn)
            notes.add("system message", "moved to the start: the model takes none in this place")
    parts = tuple(part for turn in first for part in turn.parts)
    return (Turn("system", parts, first[0].field) if parts else None), rest


def _messages(turns: list[Turn], writer: BlockWriter) -> list[dict[str, Any]]:
    """Messages whose roles alternate; results of tools are said by the user."""
    found: list[dict[str, Any]] = []
    roles = {"tool": "user", "developer": "system"}
    for turn in turns:
        blocks = writer.blocks(turn)
        role = roles.get(turn.role, turn.role)
        if not blocks:
            continue
        if found and found[-1]["role"] == role:
            found[-1]["content"].extend(blocks)
        else:
            found.append({"role": role, "content": blocks})
    if not any(message["role"] == "user" for message in found):
        raise RequestError("messages", Kind("a list without user text"), "add a user message")
    return found


def _tools(ask: Ask, writer: BlockWriter) -> dict[str, Any]:
    choice = ask.choice or ToolChoice()
    tools = ask.tools
    if choice.allowed is not None:
        tools = tuple(tool for tool in tools if tool.name in choice.allowed)
    body: dict[str, Any] = {}
    if tools:
        body["tools"] = [_tool(tool, i, writer) for i, tool in enumerate(tools)]
    forms = {"auto": "auto", "none": "none", "any": "any", "one": "tool"}
    form: dict[str, Any] = {"type": forms[choice.mode]}
    if choice.mode == "one":
        form["name"] = choice.name
    if ask.parallel is False and choice.mode != "none":
        form["disable_parallel_tool_use"] = True
    if tools and (ask.choice is not None or len(form) > 1):
        body["tool_choice"] = form
    return body


def _tool(tool: Tool, index: int, writer: BlockWriter) -> dict[str, Any]:
    if tool.custom:
        raise TranslationError(f"tools[{index}].type", "custom", "give it as a function")
    found: dict[str, Any] = {"name": tool.name, "input_schema": schema_of(tool.parameters)}
    if tool.description is not None:
        found["description"] = tool.description
    if tool.strict:
        found["strict"] = True
    return {**found, **writer.cache(tool.cache)}


def _thinking(ask: Ask, target: Target, notes: Notes, limit: int) -> dict[str, Any]:
    """The `thinking` field for an effort, or nothing where the model decides."""
    if target.thinking == "none" or ask.effort is None:
        if ask.effort not in (None, "none"):
            notes.add("reasoning effort", f"left out: {target.model} does not reason")
        return {}
    if ask.effort == "none":
        return {"thinking": {"type": "disabled"}}
    if target.thinking == "effort":
        found = {"type": "adaptive"}
        if ask.show_thinking is not None:
            found["display"] = "summarized" if ask.show_thinking else "omitted"
        return {"thinking": found}
    return _budget(ask, notes, limit)


def _budget(ask: Ask, notes: Notes, limit: int) -> dict[str, Any]:
    """A budget of tokens, within the output limit, where the conversation allows thinking at all."""
    budget = min(BUDGETS[ask.effort or "low"], limit // 2)
    why = ""
    if budget < LEAST_BUDGET:
        why = f"the output limit of {limit} leaves no room for it"
    elif ask.choice is not None and ask.choice.mode in ("any", "one"):
        why = "Anthropic does not think before a forced tool"
    elif _unsigned_loop(ask):
        why = "this tool loop began without signed thinking"
    if why:
        notes.add("reasoning effort", f"left out: {why}")
        return {}
    if budget < BUDGETS[ask.effort or "low"]:
        notes.add("reasoning effort", f"lowered to {budget} tokens, half of the output limit")
    return {"thinking": {"type": "enabled", "budget_tokens": budget}}


def _unsigned_loop(ask: Ask) -> bool:
    """Whether the turn that is going on called tools without thinking that Anthropic signed."""
    for turn in reversed(ask.turns):
        if turn.role == "user":
            return False
        if turn.role == "assistant" and any(isinstance(p, ToolCall) for p in turn.parts):
            signed = (isinstance(p, Thinking) and p.origin == "anthropic" for p in turn.parts)
            return not any(signed)
    return False


def _output_config(
    ask: Ask, target: Target, notes: Notes, thinking: dict[str, Any]
) -> dict[str, Any]:
    config: dict[str, Any] = {}
    if target.thinking == "effort" and thinking and ask.effort != "none":
        config["effort"] = ask.effort if ask.effort in ANTHROPIC_EFFORTS else "low"
        if config["effort"] != ask.effort:
            notes.add("reasoning effort", f"{ask.effort} is low at Anthropic")
    if ask.output is not None:
        if ask.output.schema is None:
            raise TranslationError("response_format.type", "json_object", "ask for json_schema")
        if ask.output.description is not None:
            notes.add("response_format.description", _NO_COUNTERPART)
        config["format"] = {"type": "json_schema", "schema": ask.output.schema}
    return {"output_config": config} if config else {}


def _sampling(ask: Ask, target: Target, notes: Notes, thinking: dict[str, Any]) -> dict[str, Any]:
    found = sampling(ask, target, notes)
    if found.get("temperature", 0) > 1:
        raise TranslationError(
            "temperature", ask.temperature, "give at most 1: Anthropic's highest"
        )
    if found and thinking and thinking["thinking"]["type"] != "disabled":
        for name in found:
            notes.add(name, "left out: Anthropic takes none beside thinking")
        return {}
    return found


def _tier(ask: Ask) -> dict[str, Any]:
    if ask.tier is None:
        return {}
    if ask.tier not in _TIERS:
        remedy = "give auto or default, or use a model that has this tier"
        raise TranslationError("service_tier", shown(ask.tier), remedy)
    return {"service_tier": _TIERS[ask.tier]}


def _caching(ask: Ask, notes: Notes, marks: int) -> dict[str, Any]:
    """A cache key asks for caching, which Anthropic does where it is told to."""
    if ask.cache_key is None:
        return {}
    options = ask.openai.get("prompt_cache_options")
    if marks or (isinstance(options, dict) and options.get("mode") == "explicit"):
        notes.add("prompt_cache_key", _NO_COUNTERPART)
        return {}
    notes.add("prompt_cache_key", "caching is asked for; the key has no counterpart")
    return {"cache_control": {"type": "ephemeral"}}


def _left_out(ask: Ask, notes: Notes) -> None:
    """Name the hints of OpenAI's that Anthropic has no place for."""
    if "moderation" in ask.openai:
        raise TranslationError("moderation", Kind("an object"), "leave it out")
    for name, value in ask.openai.items():
        if value is False:  # `store`: nothing is
            continue
        notes.add(name, _NO_COUNTERPART)
    if ask.verbosity not in (None, "medium"):
        notes.add("verbosity", _NO_COUNTERPART)
