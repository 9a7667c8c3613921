"""An encoder that remembers: in memory, and in a file where one is named. No text is stored."""

from __future__ import annotations

import hashlib
import sqlite3
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from turnout.encoders.base import Encoder
from turnout.encoders.lru import Lru
from turnout.errors import ArtifactError, RouterError
from turnout.types import Floats

MOST_ROWS = 1_000_000
"""Vectors that a file keeps; the oldest go first."""


class CachedEncoder:
    """The same vectors as the encoder within, under its name and fingerprint.

    Args:
        encoder: makes the vectors.
        size: how many to keep in memory; 0 none.
        file: an SQLite file that outlives the process; it holds hashes of texts, not texts.

    Raises:
        ArtifactError: the file cannot be opened, or is none of this kind.
    """

    def __init__(self, encoder: Encoder, *, size: int, file: Path | str | None = None) -> None:
        self.encoder = encoder
        self._memory: Lru[Floats] = Lru(size)
        self._file = None if file is None else _File(Path(file))

    @property
    def name(self) -> str:
        """The name of the encoder within."""
        return self.encoder.name

    @property
    def dimension(self) -> int:
        """D."""
        return self.encoder.dimension

    @property
    def fingerprint(self) -> str:
        """That of the encoder within: the vectors are its own."""
        return self.encoder.fingerprint

    @property
    def waits(self) -> bool:
        """Whether the encoder within takes long, or calls something."""
        return bool(getattr(self.encoder, "waits", False))

    def encode(self, texts: Sequence[str]) -> Floats:
        """(n, d) vectors; each distinct text that is not kept is encoded once.

        Raises:
            RouterError: the encoder within cannot encode now, or the file cannot be read.
        """
        keys = [self._key(text) for text in texts]
        found = {key: self._recall(key) for key in dict.fromkeys(keys)}
        wanted = {k: t for k, t in zip(keys, texts, strict=True) if found[k] is None}
        if wanted:
            made = self.encoder.encode(list(wanted.values()))
            for key, vector in zip(wanted, made, strict=True):
                # A copy: a view would keep the whole batch in memory.
                found[key] = kept = vector.copy()
                self._memory.put(key, kept)
            if self._file is not None:
                self._file.put({key: found[key] for key in wanted})
        out = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for i, key in enumerate(keys):
            out[i] = found[key]
        return out

    def _recall(self, key: str) -> Floats | None:
        vector = self._memory.get(key)
        if vector is None and self._file is not None:
            vector = self._file.get(key, self.dimension)
            if vector is not None:
                self._memory.put(key, vector)
        return vector

    def _key(self, text: str) -> str:
        digest = hashlib.sha256(self.encoder.fingerprint.encode())
        digest.update(text.encode("utf-8", "surrogatepass"))
        return digest.hexdigest()


class _File:
    """Vectors by key in SQLite; threads take turns."""

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        db = None
        try:
            db = sqlite3.connect(path, check_same_thread=False, timeout=5.0)
            db.execute("CREATE TABLE IF NOT EXISTS vectors (key TEXT PRIMARY KEY, vector BLOB)")
            db.execute("SELECT key, vector FROM vectors LIMIT 1").fetchone()
            db.commit()
        except sqlite3.Error as error:
            if db is not None:
                db.close()
            remedy = "delete the file, or name another one"
            raise ArtifactError(f"cache {path} cannot be used ({error}); {remedy}") from error
        self._db = db
        weakref.finalize(self, db.close)

    def get(self, key: str, dimension: int) -> Floats | None:
        try:
            with self._lock:
                row = self._db.execute(
                    "SELECT vector FROM vectors WHERE key = ?", (key,)
                ).fetchone()
        except sqlite3.Error as error:
            raise RouterError(f"cache {self._path} cannot be read ({error})") from error
        if row is None:
            return None
        vector = np.frombuffer(row[0], dtype="<f4").astype(np.float32)
        # A row that was cut short is made again.
        return vector if vector.shape == (dimension,) and np.isfinite(vector).all() else None

    def put(self, made: dict[str, Floats | None]) -> None:
        rows = [(k, v.astype("<f4").tobytes()) for k, v in made.items() if v is not None]
        try:
            with self._lock, self._db:
                self._db.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)
                self._db.execute(
                    "DELETE FROM vectors WHERE rowid <= (SELECT MAX(rowid) FROM vectors) - ?",
                    (MOST_ROWS,),
                )
        except sqlite3.Error as error:
            raise RouterError(f"cache {self._path} cannot be written ({error})") from error
