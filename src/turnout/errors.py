"""Every error that Turnout raises on purpose, in one tree.

    TurnoutError
    ├── InputError (ValueError)        something given is unusable: names field, value, remedy
    │   ├── RouteNameError             "router-mf-1.5", "gpt-4" where a route is needed
    │   ├── RequestError               a chat request that no upstream could serve
    │   │   ├── BodyTooLargeError      one that is longer than this server reads
    │   │   ├── UnknownDecisionError   feedback on a decision that nothing is known of
    │   │   ├── KeyReusedError         an idempotency key that another request has used
    │   │   └── TranslationError       one that this candidate's API cannot express
    │   ├── CapReachedError            spending more is not allowed
    │   ├── SettingsError              a configuration file or environment variable
    │   └── DataError                  outcomes, prompts or benchmark files
    ├── UnknownNameError (LookupError) a router, model, encoder or benchmark that does not exist
    ├── ArtifactError                  an artifact that is missing, corrupt or does not fit
    ├── NotCertifiedError              no operating point is shown to keep a promise
    ├── NoCandidateError               constraints leave no candidate for this request
    ├── AccessError                    this caller may not have this now
    │   ├── AuthenticationError        no key, or none that is known here
    │   ├── ForbiddenError             a known key that may not do this
    │   └── LimitError                 a rate limit
    │       └── BudgetError            what is left of a budget does not cover this request
    ├── AccessDownError                who may do what cannot be told: keys or counters cannot be read
    ├── UnavailableError               every target that could serve is failing
    ├── OverloadedError                this gateway has as many requests as it takes
    ├── KeyInUseError                  a request whose idempotency key another one holds just now
    ├── LoopError                      a request that came by here before
    ├── DeadlineError                  an answer did not begin within the time that its client gave
    ├── MissingExtraError (ImportError) an optional dependency is not installed
    ├── StoreError                     the database of records failed; records wait in their journal
    ├── RouterError                    a router could not predict; the default candidate serves
    ├── ReplyError                     an upstream's answer that cannot be read
    └── UpstreamError                  an upstream answered with an error, or not at all
        └── UpstreamTimeoutError       it took longer than its provider's time limits

`turnout.wire.errors` alone maps this tree to HTTP status codes and OpenAI's error body.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

_SHOWN = 120


def show(value: object) -> str:
    """`repr` of a value, cut to a length that fits in a message."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"


def suggest(name: str, known: Iterable[str]) -> str:
    """`' Did you mean "x"?'`, or nothing where no known name is close."""
    close = close_to(name, known)
    return f" Did you mean {close!r}?" if close else ""


def close_to(name: str, known: Iterable[str]) -> str | None:
    """The known name that is closest; None where none is close."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return close[0] if close else None


class TurnoutError(Exception):
    """Base of every error that this package raises on purpose."""

    code = "turnout_error"
    """Stable machine-readable name; the `code` of OpenAI's error body."""


class InputError(TurnoutError, ValueError):
    """Something given is unusable. The message names the field, the value and the remedy."""

    code = "invalid_value"

    def __init__(self, field: str, value: object, remedy: str) -> None:
        self.field, self.value, self.remedy = field, value, remedy
        super().__init__(f"{field}: {show(value)} is not usable: {remedy}")


class RouteNameError(InputError):
    """A model name that should be a route, such as `router-mf-0.45`, but is not."""

    code = "invalid_route"


class RequestError(InputError):
    """A chat request that no upstream could serve."""

    code = "invalid_request"


class BodyTooLargeError(RequestError):
    """A request body that is longer than this server reads."""

    code = "request_too_large"


class KeyReusedError(RequestError):
    """An idempotency key under which the same caller has sent another request."""

    code = "idempotency_key_reused"


class UnknownDecisionError(RequestError):
    """Feedback on a decision that is not kept here."""

    code = "decision_not_found"


class CapReachedError(InputError):
    """The next call might spend more than is left under a cap; nothing was called."""

    code = "cap_reached"


class TranslationError(RequestError):
    """A request that one candidate's API cannot express, though another candidate's may."""

    code = "untranslatable"


class SettingsError(InputError):
    """A configuration file or environment variable that cannot be used."""

    code = "invalid_settings"
    place = ""
    """`FILE:LINE` of what cannot be used, where it is known."""


class DataError(InputError):
    """Outcomes, prompts or benchmark files that cannot be used."""

    code = "invalid_data"


class UnknownNameError(TurnoutError, LookupError):
    """A name that nothing is registered under."""

    code = "not_found"

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        self.kind, self.name, self.known = kind, name, sorted(known)
        listed = ", ".join(self.known) or "none"
        super().__init__(
            f"no {kind} named {name!r}; known: {listed}.{suggest(name, self.known)}{hint}"
        )


class ArtifactError(TurnoutError):
    """An artifact folder that is missing, corrupt, of another version, or does not fit."""

    code = "invalid_artifact"


class NotCertifiedError(TurnoutError):
    """No operating point is shown to keep a promise; the message says what would do."""

    code = "not_certified"


class NoCandidateError(TurnoutError):
    """No candidate can serve this request; `excluded` says why for each."""

    code = "no_candidate"

    def __init__(self, excluded: Mapping[str, str]) -> None:
        self.excluded = dict(excluded)
        reasons = "; ".join(f"{name}: {why}" for name, why in self.excluded.items())
        super().__init__(
            f"no candidate can serve this request ({reasons}). "
            "Add a candidate that can, or change what the request asks for."
        )


class AccessError(TurnoutError):
    """A caller may not have what it asks for, or not now."""

    code = "access_refused"


class AuthenticationError(AccessError):
    """A request without a key, or with one that is not known, over, or revoked."""

    code = "invalid_api_key"


class ForbiddenError(AccessError):
    """A request that its key may not make."""

    code = "not_allowed"


class LimitError(AccessError):
    """A rate limit is reached; `retry_after_s` says when there is room again."""

    code = "rate_limit_exceeded"

    def __init__(
        self,
        message: str,
        *,
        retry_after_s: float | None,
        headers: Mapping[str, str] | None = None,
        limit: str = "",
    ) -> None:
        self.retry_after_s = retry_after_s
        """None where waiting does not help."""
        self.limit = limit
        """What is limited: `usd`, `requests`, `tokens` or `concurrent`."""
        self.headers = dict(headers or {})
        super().__init__(message)


class BudgetError(LimitError):
    """The most that a request can cost does not fit into what is left of a budget."""

    code = "insufficient_quota"


class AccessDownError(TurnoutError):
    """Keys or counters cannot be read, so that nobody is let in on a guess."""

    code = "access_unavailable"

    def __init__(self, what: str, *, retry_after_s: float = 1.0) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(f"{what}; try again in {max(1, round(retry_after_s))} s")


class UnavailableError(TurnoutError):
    """Every target that could serve is failing, and was not called; `retry_after_s` says when next."""

    code = "upstream_unavailable"

    def __init__(self, candidates: Iterable[str], *, retry_after_s: float) -> None:
        self.candidates, self.retry_after_s = tuple(candidates), retry_after_s
        super().__init__(
            f"{', '.join(self.candidates)}: every upstream that could serve this request is failing; "
            f"try again in {max(1, round(retry_after_s))} s"
        )


class OverloadedError(TurnoutError):
    """This gateway serves as many requests as it takes, and has no room for one more to wait."""

    code = "overloaded"

    def __init__(self, *, retry_after_s: float, why: str = "") -> None:
        self.retry_after_s, self.why = retry_after_s, why
        super().__init__(
            f"the gateway is at its limit; try again in {max(1, round(retry_after_s))} s"
        )


class KeyInUseError(TurnoutError):
    """A request whose idempotency key is held by one that is still under way."""

    code = "idempotency_key_in_use"

    def __init__(self, waited_s: float, *, retry_after_s: float = 1.0) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(
            f"a request with this idempotency-key is under way, and was waited for {waited_s:g} s; "
            "send it again with the same key to get its answer"
        )


class DeadlineError(TurnoutError):
    """An answer did not begin within the time that its client gave."""

    code = "deadline_exceeded"

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(f"no answer began within the {seconds:g} s that the request allows")


class LoopError(TurnoutError):
    """A request that this gateway has sent on before, or that has passed too many gateways."""

    code = "loop_detected"

    def __init__(self, hops: int) -> None:
        super().__init__(
            f"this request has passed {hops} gateways and came round: a provider's base_url leads "
            "back here"
        )


class MissingExtraError(TurnoutError, ImportError):
    """An optional dependency is not installed."""

    code = "missing_extra"

    def __init__(self, what: str, extra: str) -> None:
        self.extra = extra
        super().__init__(f"{what} needs an extra: pip install 'turnout[{extra}]'")


class StoreError(TurnoutError):
    """The database of records cannot be opened, read or written.

    `away`: it cannot be reached now, and may be well again later.
    """

    code = "store_failed"

    def __init__(self, where: str, why: object, remedy: str, *, away: bool = False) -> None:
        self.where, self.away = where, away
        super().__init__(f"store {where}: {why}; {remedy}")


class RouterError(TurnoutError):
    """A router could not predict. The engine then serves the default candidate and says so."""

    code = "router_failed"


class ReplyError(TurnoutError):
    """An upstream's answer, whole or streamed, that is not what its API promises."""

    code = "invalid_upstream_reply"


class UpstreamError(TurnoutError):
    """An upstream answered with an error (`status` set) or could not be reached (`status` None).

    `body` and `headers` are the upstream's own, so that a caller can pass them on unchanged.
    `phase` says how far the call came: `connect`, `first_byte`, `idle` (a body that fell silent) or
    `answer`; `dialect` in which API's form `body` is.
    """

    code = "upstream_error"

    def __init__(
        self,
        message: str,
        *,
        candidate: str,
        status: int | None = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        phase: str = "answer",
        tls: bool = False,
        dialect: str | None = None,
    ) -> None:
        self.candidate, self.status, self.body = candidate, status, body
        self.phase, self.dialect = phase, dialect
        if tls:
            self.code = "upstream_tls"
        self.headers = dict(headers or {})
        super().__init__(message)


class UpstreamTimeoutError(UpstreamError):
    """An upstream took longer than its provider's time limits."""

    code = "upstream_timeout"
