"""What the Responses API checks in a list of items, with its own error texts.

Each call has one output and each output a call; a reasoning item is followed by the item it was
given with, and that item does not come without it. Texts as users report them:
https://github.com/openai/openai-agents-python/issues/673, https://github.com/vercel/ai/issues/7099.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from proxy.cli.demo.speak_chat import text_of
from proxy.cli.demo.speech import History, Rejected
from proxy.cli.demo.speech import rejects as reject_if
from proxy.model import Json

PREFIXES = {"message": "msg", "function_call": "fc", "reasoning": "rs", "custom_tool_call": "ctc"}


class Issued:
    """The output items the API gave: reasoning with what followed it."""

    def __init__(self) -> None:
        self.follower: dict[str, str] = {}  # reasoning id: id of the item behind it
        self.reasoning_of: dict[str, str] = {}  # that item's id: the reasoning id
        self.encrypted: dict[str, str | None] = {}  # reasoning id: its encrypted_content
        self.stored: set[str] = set()  # ids of stored items

    def add(self, output: Sequence[dict[str, Json]], *, stored: bool) -> None:
        for at, item in enumerate(output):
            if stored:
                self.stored.add(item["id"])
            if item["type"] == "reasoning":
                self.encrypted[item["id"]] = item.get("encrypted_content")
                if at + 1 < len(output):
                    self.follower[item["id"]] = output[at + 1]["id"]
                    self.reasoning_of[output[at + 1]["id"]] = item["id"]


def read_items(items: Sequence[dict[str, Any]], issued: Issued) -> History:
    """Checks all items, stored and given, and reads them.

    Raises:
        Rejected: the real API would answer 400.
    """
    _check_ids(items)
    _check_reasoning(items, issued)
    _check_calls(items)
    turns, user, speaking = 0, "", False
    results: list[str] = []
    fresh: list[str] = []
    for item in items:
        kind = item.get("type", "message")
        if kind.endswith("_call_output"):
            results.append(text_of(item.get("output")))
            fresh.append(results[-1])
            speaking = False
        elif kind == "message" and item.get("role") != "assistant":
            if item.get("role") == "user":
                user, fresh = text_of(item.get("content")), []
            speaking = False
        else:
            turns += not speaking
            speaking = True
    return History(turns, user, tuple(results), tuple(fresh))


def _check_ids(items: Sequence[dict[str, Any]]) -> None:
    seen: set[str] = set()
    for at, item in enumerate(items):
        item_id = item.get("id")
        if item_id is None:
            continue
        prefix = PREFIXES.get(item.get("type", "message"))
        reject_if(
            prefix is not None and not item_id.startswith(prefix),
            f"Invalid 'input[{at}].id': '{item_id}'. Expected an ID that begins with '{prefix}'.",
            param=f"input[{at}].id",
            code="invalid_value",
        )
        reject_if(
            item_id in seen,
            f"Duplicate item found with id {item_id}. Remove duplicate items from your input and "
            "try again.",
            param="input",
        )
        seen.add(item_id)


def _check_reasoning(items: Sequence[dict[str, Any]], issued: Issued) -> None:
    for at, item in enumerate(items):
        item_id = item.get("id", "")
        if item.get("type") == "reasoning":
            _check_known(item, issued)
            behind = items[at + 1] if at + 1 < len(items) else {}
            wanted = issued.follower.get(item_id)
            # An item that comes back without its id is taken by its place.
            follows = behind.get("type", "message") in ("message", "function_call") and (
                behind.get("role", "assistant") == "assistant"
            )
            reject_if(
                not follows or behind.get("id", wanted) != wanted,
                f"Item '{item_id}' of type 'reasoning' was provided without its required following "
                "item.",
                param="input",
            )
        elif needed := issued.reasoning_of.get(item_id):
            before = items[at - 1] if at else {}
            reject_if(
                before.get("id") != needed,
                f"Item '{item_id}' of type '{item['type']}' was provided without its required "
                f"'reasoning' item: '{needed}'.",
                param="input",
            )


def _check_known(item: dict[str, Any], issued: Issued) -> None:
    item_id, encrypted = item.get("id", ""), item.get("encrypted_content")
    if encrypted is None:
        reject_if(
            item_id not in issued.stored,
            f"Item with id '{item_id}' not found. Items are not persisted when `store` is set to "
            "false. Try again with `store` set to true, or remove this item from your input.",
            param="input",
            status=404,
        )
        return
    reject_if(
        issued.encrypted.get(item_id) != encrypted,
        f"The encrypted content for item {item_id} could not be verified. Reason: Encrypted content "
        "could not be decrypted or parsed.",
        code="invalid_encrypted_content",
    )


def _check_calls(items: Sequence[dict[str, Any]]) -> None:
    asked: list[str] = []
    answered: set[str] = set()
    for item in items:
        kind = item.get("type", "message")
        call_id = str(item.get("call_id"))
        if kind.endswith("_call_output"):
            if call_id not in asked or call_id in answered:
                raise Rejected(
                    f"No tool call found for {kind.replace('_', ' ')} with call_id {call_id}.",
                    param="input",
                )
            answered.add(call_id)
        elif kind in ("function_call", "custom_tool_call"):
            asked.append(call_id)
    for call_id in asked:
        reject_if(
            call_id not in answered,
            f"No tool output found for function call {call_id}.",
            param="input",
        )
