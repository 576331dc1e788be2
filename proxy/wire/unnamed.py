"""Calls that have no id on the wire.

What belongs here: the id that stands for one. Ollama (before 0.12) and Cohere's v1 name no call, and
`ollama` for Python drops the ids of newer servers. A result then belongs to a call by the call's name
and arguments, which the history repeats, so both give the same id: the name and the start of the
arguments' digest. Equal calls share it; `pipeline/results.py` settles the n-th result against the n-th
call of that id.
"""

from __future__ import annotations

from dataclasses import replace

from proxy.model import Call, derived_id


def named(call: Call) -> Call:
    """Returns the call with an id: its own, else the derived one."""
    if call.id:
        return call
    return replace(call, id=derived_id(call.name, call.args_sha256), id_is_derived=True)
