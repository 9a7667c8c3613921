"""A review as one HTML file: no script, no network, light and dark by the reader's own setting."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape

from turnout.review.curve import FLOOR_HEADINGS, FloorRow
from turnout.review.labels import Labelled
from turnout.review.report import Review
from turnout.review.words import decimal, floor, interval, percent, usd

_WIDTH, _HEIGHT, _PAD = 640, 240, 44

_STYLE = """
:root { color-scheme: light dark; --ink: #1a1c20; --soft: #5c626d; --line: #d9dce2; --page: #fff;
  --panel: #f5f6f8; --mark: #0b6e8a; --band: #0b6e8a33; --warn: #9a4b00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e7e9ed; --soft: #a2a9b5; --line: #363b45;
  --page: #14161a; --panel: #1d2026; --mark: #5cc3de; --band: #5cc3de33; --warn: #f0a35e; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; } h2 { font-size: 1.1rem; margin: 2.5rem 0 .5rem; }
p { margin: .4rem 0; max-width: 46rem; } .soft { color: var(--soft); }
.answer { display: flex; flex-wrap: wrap; gap: 1rem; margin: 1.25rem 0; }
.answer div { background: var(--panel); border: 1px solid var(--line); border-radius: 8px;
  padding: .8rem 1.1rem; min-width: 12rem; flex: 1; }
.answer b { display: block; font-size: 1.7rem; font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .35rem .6rem; border-bottom: 1px solid var(--line);
  vertical-align: top; white-space: nowrap; }
th, td:first-child, td.text { white-space: normal; }
th { font-weight: 600; color: var(--soft); font-size: .85rem; }
th:first-child, td:first-child, td.text, th.text { text-align: left; }
td:first-child { min-width: 9rem; } tr.asked td { font-weight: 600; }
.basis { color: var(--warn); font-weight: 600; }
svg { max-width: 100%; height: auto; display: block; } svg text { fill: var(--soft); font-size: 11px; }
svg .rule { stroke: var(--line); } svg .band { fill: var(--band); }
svg .curve { fill: none; stroke: var(--mark); stroke-width: 2; } svg .dot { fill: var(--mark); }
svg.bar { display: inline-block; vertical-align: middle; margin-left: .5rem; }
svg.bar .back { fill: var(--line); } svg.bar .fill { fill: var(--mark); }
ul { padding-left: 1.2rem; max-width: 46rem; } li { margin: .3rem 0; }
code { font-family: ui-monospace, Menlo, Consolas, monospace; font-size: .9em;
  overflow-wrap: anywhere; }
footer { margin-top: 3rem; color: var(--soft); font-size: .85rem; }
blockquote { margin: .3rem 0; padding-left: .7rem; border-left: 3px solid var(--line);
  color: var(--soft); text-align: left; overflow-wrap: anywhere; }
"""


def to_html(review: Review) -> str:
    """The report as a page that stands alone; all that comes from the logs is escaped."""
    row = review.at_floor if review.labelled is None else review.labelled.at_floor
    floors = review.floors if review.labelled is None else review.labelled.floors
    parts = [
        _head(review, row),
        _section(
            "What a floor gives", [_basis(review), _curve(floors), _floors(floors, review.floor)]
        ),
        *([_labelled(review.labelled)] if review.labelled is not None else []),
        _section(f"Cost of {review.priced:,} priced calls", [_ways(review)]),
        _section(
            "Kinds of prompts",
            [
                _p("Named by words that stand in several prompts of the kind and in few others."),
                _kinds(review),
            ],
        ),
        _section("Conversations and caches", [_list(review.caching_sentences())]),
        *(
            [
                _section(
                    "From logged scores and propensities", [_list(review.off_policy_sentences())]
                )
            ]
            if review.off_policy is not None
            else []
        ),
        _section("Models of the log", [_models(review)]),
        *([_section("Not used, or doubtful", [_findings(review)])] if review.findings else []),
        _section("What cannot be known from these logs", [_list(review.unknown)]),
        _foot(review),
    ]
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Review of {review.calls:,} calls</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body><main>\n{chr(10).join(parts)}\n</main></body>\n</html>\n"
    )


def _head(review: Review, row: FloorRow) -> str:
    formats = ", ".join(f"{name} {count:,}" for name, count in review.formats.items())
    when = "" if review.span is None else f" from {_day(review.span[0])} to {_day(review.span[1])}"
    files = "file" if review.files == 1 else "files"
    strong = review.candidates[0]
    tiles = [
        (percent(row.cheap_share), f"of calls a cheaper model than {strong} would serve"),
        (percent(row.saving), "of what was paid would be saved"),
        (f"{row.kept:.1%}", f"of {strong}'s quality would be kept (asked: {floor(review.floor)})"),
    ]
    boxes = "".join(f"<div><b>{escape(big)}</b>{escape(small)}</div>" for big, small in tiles)
    return (
        f"<h1>Review of {review.calls:,} calls</h1>\n"
        f'<p class="soft">{review.files:,} {files} ({escape(formats)}){escape(when)}; '
        f"candidates {escape(', '.join(review.candidates))}; router {escape(review.router)}</p>\n"
        f'<div class="answer">{boxes}</div>\n'
        f"<p>Ask the gateway for <code>{escape(row.route)}</code>. Brackets are 95% intervals over "
        f"{review.conversations:,} conversations.</p>"
    )


def _basis(review: Review) -> str:
    if review.labelled is not None:
        return _p(f"Quality is estimated from {review.labelled.labels:,} labels of this traffic.")
    words = (
        "Quality here is predicted, not measured: label some prompts to turn it into an estimate."
    )
    return f'<p class="basis">{words}</p>'


def _curve(floors: Sequence[FloorRow]) -> str:
    """Share served cheaper over the floor asked, with its band."""
    rows = sorted(floors, key=lambda r: r.floor)
    low, high = rows[0].floor, rows[-1].floor
    span = max(high - low, 1e-9)

    def place(row: FloorRow, share: float) -> str:
        x = _PAD + (row.floor - low) / span * (_WIDTH - 2 * _PAD)
        y = _HEIGHT - _PAD - min(max(share, 0.0), 1.0) * (_HEIGHT - 1.5 * _PAD)
        return f"{x:.1f},{y:.1f}"

    rules, dots = [], []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = place(rows[0], share).split(",")[1]
        rules.append(
            f'<line class="rule" x1="{_PAD}" x2="{_WIDTH - _PAD}" y1="{y}" y2="{y}"/>'
            f'<text x="4" y="{y}" dy="4">{share:.0%}</text>'
        )
    for row in rows:
        x, y = place(row, row.cheap_share.value).split(",")
        dots.append(f'<circle class="dot" cx="{x}" cy="{y}" r="3.5"/>')
        if round(row.floor * 100, 6) % 5 == 0:
            dots.append(
                f'<text x="{x}" y="{_HEIGHT - _PAD + 18}" text-anchor="middle">{row.floor:.0%}</text>'
            )
    known = [r for r in rows if r.cheap_share.low == r.cheap_share.low]
    band = ""
    if len(known) > 1:
        edge = [place(r, r.cheap_share.low) for r in known]
        edge += [place(r, r.cheap_share.high) for r in reversed(known)]
        band = f'<polygon class="band" points="{" ".join(edge)}"/>'
    line = " ".join(place(r, r.cheap_share.value) for r in rows)
    label = f'<text x="{_WIDTH / 2}" y="{_HEIGHT - 6}" text-anchor="middle">quality kept, at least</text>'
    about = "Share of calls served by a cheaper model, over the quality floor that is asked"
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" role="img" aria-label="{about}">'
        f'{"".join(rules)}{band}<polyline class="curve" points="{line}"/>{"".join(dots)}{label}</svg>'
    )


def _floors(floors: Sequence[FloorRow], asked: float) -> str:
    body = "".join(
        f"<tr{' class=asked' if row.floor == asked else ''}>"
        f"{''.join(f'<td>{escape(cell)}</td>' for cell in row.cells())}</tr>"
        for row in floors
    )
    return _table(FLOOR_HEADINGS, body)


def _labelled(labelled: Labelled) -> str:
    body = "".join(
        f"<tr><td>{escape(name)}</td><td>{interval(e)}</td><td>{labelled.predicted[name]:.3f}</td></tr>"
        for name, e in labelled.quality.items()
    )
    kept = (
        f"The setting that predictions alone would choose, {labelled.route}, keeps "
        f"{percent(labelled.kept)} of the quality."
    )
    return _section(
        f"By {labelled.labels:,} labels",
        [_table(["", "quality by labels", "as predicted"], body), _p(kept), _list(labelled.notes)],
    )


def _ways(review: Review) -> str:
    most = max((w.cost_usd for w in review.ways if w.cost_usd == w.cost_usd), default=0.0)
    body = "".join(
        f"<tr><td>{escape(w.name)}</td><td>{usd(w.cost_usd)}{_bar(w.cost_usd, most)}</td>"
        f"<td>{percent(w.saving)}</td><td>{decimal(w.quality)}</td>"
        f'<td class="text">{escape(w.remark)}</td></tr>'
        for w in review.ways
    )
    return _table(["", "USD", "saving", "predicted quality", "-"], body)


def _kinds(review: Review) -> str:
    head, *rows = review.cluster_table()
    body = []
    for c, cells in zip(review.clusters, rows, strict=True):
        drawn = [escape(cell) for cell in cells]
        drawn[3] += _bar(c.cheap_share.value, 1.0)
        body.append(f"<tr>{''.join(f'<td>{cell}</td>' for cell in drawn)}</tr>")
        if c.examples:
            quotes = "".join(f"<blockquote>{escape(text)}</blockquote>" for text in c.examples)
            body.append(f'<tr><td class="text" colspan="{len(head)}">{quotes}</td></tr>')
    return _table(head, "".join(body))


def _models(review: Review) -> str:
    body = "".join(
        f"<tr><td>{escape(m.name or '(no model named)')}</td><td>{m.calls:,}</td>"
        f"<td>{usd(m.paid_usd)}</td><td>{decimal(m.mean_score)}</td></tr>"
        for m in review.models
    )
    return _table(["model", "calls", "paid USD", "mean logged score"], body)


def _findings(review: Review) -> str:
    body = "".join(
        f'<tr><td>{escape(f.sentence)}</td><td>{f.count:,}</td><td class="text">{escape(f.first)}</td></tr>'
        for f in review.findings
    )
    return _table(["what", "how often", "-first"], body)


def _foot(review: Review) -> str:
    lines = [
        f"router {review.router}, artifact {review.artifact or 'none'}",
        f"{review.replicates:,} bootstrap replicates over conversations",
        *review.notes,
    ]
    command = f"<p><code>{escape(review.command)}</code></p>" if review.command else ""
    return f"<footer>{command}<p>{escape('; '.join(lines))}</p></footer>"


def _bar(value: float, most: float) -> str:
    """A small bar beside a number."""
    if not (value == value and most > 0):
        return ""
    width = 60 * min(max(value / most, 0.0), 1.0)
    return (
        '<svg class="bar" width="60" height="8" aria-hidden="true"><rect class="back" width="60" '
        f'height="8" rx="2"/><rect class="fill" width="{width:.1f}" height="8" rx="2"/></svg>'
    )


def _section(title: str, parts: Iterable[str]) -> str:
    return "\n".join([f"<section><h2>{escape(title)}</h2>", *parts, "</section>"])


def _table(head: Sequence[str], body: str) -> str:
    """A table; a heading that begins with `-` stands over text."""
    cells = "".join(
        f'<th class="text">{escape(h[1:])}</th>' if h.startswith("-") else f"<th>{escape(h)}</th>"
        for h in head
    )
    return f'<div class="wide"><table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table></div>'


def _list(lines: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>" if lines else ""


def _p(words: str) -> str:
    return f"<p>{escape(words)}</p>"


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
