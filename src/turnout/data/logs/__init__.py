"""Production logs as calls: every common export format, detected by its content and streamed."""

from turnout.data.logs.call import Findings, LogCall, Unusable
from turnout.data.logs.files import LogFile, expand, open_log
from turnout.data.logs.joins import Joins
from turnout.data.logs.reader import Reader, read_calls

__all__ = [
    "Findings",
    "Joins",
    "LogCall",
    "LogFile",
    "Reader",
    "Unusable",
    "expand",
    "open_log",
    "read_calls",
]
