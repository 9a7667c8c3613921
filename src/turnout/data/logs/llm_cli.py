"""`logs.db` of the command-line tool `llm`: its older table `responses` and its newer `turns`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from turnout.data.logs.call import LogCall, Unusable
from turnout.data.logs.fields import Fields, Row, finish, loaded, part
from turnout.data.logs.joins import Joins
from turnout.errors import DataError

_RESPONSES = """
select id, model, prompt, system, prompt_json, response, response_json, conversation_id,
       duration_ms, datetime_utc, {tokens} from responses order by rowid
"""
_TURNS = """
select id, thread_id, parent_message_hash, tip_message_hash, coalesce(resolved_model, model) as model,
       input_tokens, output_tokens, token_details, duration_ms, datetime_utc from turns order by rowid
"""
_CHAIN = """
with recursive chain(hash, parent, role, depth) as (
  select hash, parent_hash, role, 0 from messages where hash = ?
  union all
  select m.hash, m.parent_hash, m.role, depth + 1 from messages m join chain on m.hash = chain.parent
)
select role, group_concat(text, char(10)) from chain
left join (select message_hash, text from parts where text is not null order by position)
  on message_hash = hash
group by hash, depth order by depth desc
"""


def read_database(path: Path) -> Iterator[tuple[int, Row]]:
    """Number and content of every response that was logged, one at a time.

    Raises:
        DataError: not a database, or one without the tables of `llm`.
    """
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            database.row_factory = sqlite3.Row
            tables = {r[0] for r in database.execute("select name from sqlite_master")}
            if not {"responses", "turns"} & tables:
                remedy = "this database has neither a table `responses` nor `turns` of `llm`"
                raise DataError("file", str(path), remedy)
            yield from enumerate(_rows(database, tables), start=1)
    except sqlite3.Error as error:
        raise DataError("file", str(path), f"not a readable SQLite database ({error})") from None


def _rows(database: sqlite3.Connection, tables: set[str]) -> Iterator[Row]:
    seen: set[str] = set()
    if "turns" in tables:
        for turn in database.execute(_TURNS):
            seen.add(turn["id"])
            chain = [
                {"role": role, "content": said}
                for role, said in database.execute(_CHAIN, (turn["parent_message_hash"],))
            ]
            answer = database.execute(
                "select text from parts where message_hash = ? and text is not null order by position",
                (turn["tip_message_hash"],),
            )
            said = "\n".join(row[0] for row in answer)
            yield {"llm_turn": True, **dict(turn), "messages": chain, "response": said}
    if "responses" in tables:
        columns = {r[1] for r in database.execute("pragma table_info(responses)")}
        counts = {"input_tokens", "output_tokens", "token_details"}
        tokens = ", ".join(sorted(counts)) if counts <= columns else "null as input_tokens"
        for row in database.execute(_RESPONSES.format(tokens=tokens)):
            if row["id"] not in seen:  # for a while both tables were written
                yield {"llm_response": True, **dict(row)}


def is_llm(row: Row) -> bool:
    """A row that `read_database` gave."""
    return "llm_turn" in row or "llm_response" in row


def read_llm(row: Row, joins: Joins) -> Iterator[LogCall | Unusable]:
    """One response. An older row holds its own prompt alone, or the whole request as JSON."""
    del joins
    sent = part(loaded(row.get("prompt_json")), "messages")
    body: Any = {"messages": row.get("messages") or sent or row.get("prompt")}
    if row.get("system") and not sent:
        body["system"] = row["system"]
    yield finish(
        Fields(
            format="llm-cli",
            body=body,
            response=row.get("response"),
            id=row.get("id"),
            start=row.get("datetime_utc"),
            latency_ms=row.get("duration_ms"),
            session=row.get("thread_id") or row.get("conversation_id"),
            model=row.get("model"),
            input_tokens=row.get("input_tokens"),
            cached_tokens=part(
                loaded(row.get("token_details")), "prompt_tokens_details", "cached_tokens"
            ),
            output_tokens=row.get("output_tokens"),
        )
    )
