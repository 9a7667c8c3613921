"""Who asks: what a key stands for in this deployment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from turnout.access.keys import Key
from turnout.access.limits import Limit, limits_of, picousd
from turnout.errors import ForbiddenError
from turnout.settings.access import GrantSettings, LimitSettings, Role, TeamSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A known caller. There is none without a key: see `Keyring.identify`."""

    id: str
    """Of the key; what records say of who asked."""
    name: str
    team: str = ""
    role: Role = "user"
    expires_ms: int | None = None
    limits: tuple[Limit, ...] = ()
    """Its own, its team's and everyone's."""
    out: Mapping[str, str]
    """Candidates that may not serve it, and why."""
    denied: tuple[str, ...] = ()
    """Patterns of what `model` may not say."""
    max_request_picousd: int | None = None
    unfit: str = ""
    """Why it may do nothing: its team does not exist."""

    def check_model(self, model: str) -> None:
        """Whether it may ask for this model or route.

        Raises:
            ForbiddenError: it may not.
        """
        if model in self.out:
            raise ForbiddenError(f"key {self.name} may not use {model!r}: {self.out[model]}")
        if self.denied and _matches(model, self.denied):
            raise ForbiddenError(f"key {self.name} may not use {model!r}: it is on a deny-list")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What keys are read against.

    Args:
        candidates: their names, and those of models that embed.
        teams: by name.
        everyone: limits of all requests together.
    """

    candidates: Sequence[str]
    teams: Mapping[str, TeamSettings]
    everyone: LimitSettings

    def common(self) -> tuple[Limit, ...]:
        """The limits of all requests together."""
        return limits_of(self.everyone, "all", "this gateway")

    def identity(self, key: Key) -> Identity:
        """What a key stands for here."""
        team = self.teams.get(key.team)
        grants: list[tuple[str, GrantSettings]] = [(f"key {key.name}", key.grant)]
        limits = limits_of(key.grant, f"key:{key.id}", f"key {key.name}")
        if team is not None:
            grants.append((f"team {key.team}", team))
            limits += limits_of(team, f"team:{key.team}", f"team {key.team}")
        missing = f"team {key.team!r} of key {key.name} is not in the settings (teams)"
        return Identity(
            id=key.id,
            name=key.name,
            team=key.team,
            role=key.role,
            expires_ms=key.expires_ms,
            limits=_cheap_first((*limits, *self.common())),
            out=self._out(grants),
            denied=tuple(pattern for _, grant in grants for pattern in grant.deny),
            max_request_picousd=_least(grant.max_request_usd for _, grant in grants),
            unfit=missing if key.team and team is None else "",
        )

    def _out(self, grants: Iterable[tuple[str, GrantSettings]]) -> dict[str, str]:
        found: dict[str, str] = {}
        for whose, grant in grants:
            for name in self.candidates:
                if grant.allow is not None and not _matches(name, grant.allow):
                    found.setdefault(name, f"not on the allow-list of {whose}")
                if _matches(name, grant.deny):
                    found.setdefault(name, f"on the deny-list of {whose}")
        return found


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _least(amounts_usd: Iterable[float | None]) -> int | None:
    return min((picousd(a) for a in amounts_usd if a is not None), default=None)


def _cheap_first(limits: tuple[Limit, ...]) -> tuple[Limit, ...]:
    """Rates before budgets: a request that comes too often is told so, not that it is too dear."""
    return tuple(sorted(limits, key=lambda limit: limit.kind == "usd"))
