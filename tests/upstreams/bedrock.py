"""A stand-in for Bedrock's runtime: its real bytes, and the rejections it is documented to make.

It answers Converse, ConverseStream, InvokeModel and its stream for a Claude model. The first user
message names what the model does; a later message makes it finish. A history that Bedrock would reject
is rejected (https://docs.aws.amazon.com/bedrock/latest/userguide/tool-use-inference-call.html and
https://repost.aws threads on its ValidationExceptions, read 2026-11): results missing or in excess,
blank text, roles out of turn, text behind a call; a SigV4 signature is checked over the bytes that came.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import struct
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote, urlsplit
from zlib import crc32

SECRET = "dummy-secret"
LEAD = "Let me see."
USAGE = {"inputTokens": 10, "outputTokens": 10, "totalTokens": 20}

type Block = dict[str, Any]
type Script = Callable[[str], list[Block]]


class Rejected(Exception):
    """The request would be a ValidationException."""


def frame(kind: str, document: Any, *, message_type: str = "event") -> bytes:
    """Writes one frame of AWS's event stream."""
    name = ":event-type" if message_type == "event" else ":exception-type"
    headers = b"".join(
        bytes([len(k)]) + k.encode() + b"\x07" + struct.pack("!H", len(v)) + v.encode()
        for k, v in (
            (name, kind),
            (":content-type", "application/json"),
            (":message-type", message_type),
        )
    )
    payload = json.dumps(document).encode()
    prelude = struct.pack("!II", 16 + len(headers) + len(payload), len(headers))
    prelude += struct.pack("!I", crc32(prelude))
    return (made := prelude + headers + payload) + struct.pack("!I", crc32(made))


def chunk(document: Any) -> bytes:
    carried = base64.b64encode(json.dumps(document).encode()).decode()
    return frame("chunk", {"bytes": carried, "p": "abcdefgh"})


def converse_frames(blocks: list[Block], stop: str) -> Iterator[bytes]:
    """A message as ConverseStream sends it: text without a start, arguments in pieces."""
    yield frame("messageStart", {"role": "assistant", "p": "abc"})
    for n, block in enumerate(blocks):
        at = {"contentBlockIndex": n}
        if use := block.get("toolUse"):
            start = {"toolUse": {"toolUseId": use["toolUseId"], "name": use["name"]}}
            yield frame("contentBlockStart", at | {"start": start})
            text = json.dumps(use["input"])
            for piece in ("", text[:7], text[7:]):
                yield frame("contentBlockDelta", at | {"delta": {"toolUse": {"input": piece}}})
        else:
            for piece in (block["text"][:4], block["text"][4:]):
                yield frame("contentBlockDelta", at | {"delta": {"text": piece}, "p": "ab"})
        yield frame("contentBlockStop", at)
    yield frame("messageStop", {"stopReason": stop})
    yield frame("metadata", {"usage": USAGE, "metrics": {"latencyMs": 5}})


def messages_chunks(blocks: list[Block], stop: str) -> Iterator[bytes]:
    """A message as Claude streams it, in chunks."""
    head = {"id": "msg_bdrk_1", "type": "message", "role": "assistant", "model": "claude"}
    usage = {"input_tokens": 10, "output_tokens": 10}
    yield chunk(
        {
            "type": "message_start",
            "message": head | {"content": [], "stop_reason": None, "usage": usage},
        }
    )
    for n, block in enumerate(messages_blocks(blocks)):
        start: Block = {**block, "input": {}}
        if block["type"] != "tool_use":
            start = {**block, "text": ""}
        yield chunk({"type": "content_block_start", "index": n, "content_block": start})
        if block["type"] == "tool_use":
            text = json.dumps(block["input"])
            deltas = [
                {"type": "input_json_delta", "partial_json": p} for p in ("", text[:7], text[7:])
            ]
        else:
            deltas = [
                {"type": "text_delta", "text": p} for p in (block["text"][:4], block["text"][4:])
            ]
        for delta in deltas:
            yield chunk({"type": "content_block_delta", "index": n, "delta": delta})
        yield chunk({"type": "content_block_stop", "index": n})
    yield chunk({"type": "message_delta", "delta": {"stop_reason": stop}, "usage": usage})
    metrics = {"inputTokenCount": 10, "outputTokenCount": 10}
    yield chunk({"type": "message_stop", "amazon-bedrock-invocationMetrics": metrics})


def messages_blocks(blocks: list[Block]) -> list[Block]:
    """Converse's blocks in Claude's own form."""
    made: list[Block] = []
    for block in blocks:
        if use := block.get("toolUse"):
            call = {"id": use["toolUseId"], "name": use["name"], "input": use["input"]}
            made.append({"type": "tool_use", **call})
        else:
            made.append({"type": "text", "text": block["text"]})
    return made


def _common(message: Block) -> list[tuple[str, Any]]:
    """A message's blocks of either API as (kind, what counts)."""
    content = message["content"]
    if isinstance(content, str):
        content = [{"text": content}]
    if not content:
        raise Rejected("The content field in the Message object is empty.")
    made: list[tuple[str, Any]] = []
    for block in content:
        kind = block.get("type")
        if "toolUse" in block:
            made.append(("use", block["toolUse"]["toolUseId"]))
        elif "toolResult" in block:
            result = block["toolResult"]
            if not result["content"]:
                raise Rejected("The content field in the ToolResultBlock is empty.")
            made.append(("result", result["toolUseId"]))
        elif kind == "tool_use":
            made.append(("use", block["id"]))
        elif kind == "tool_result":
            made.append(("result", block["tool_use_id"]))
        else:
            if not block["text"].strip():
                raise Rejected("The text field in the ContentBlock object is blank.")
            made.append(("text", block["text"]))
    return made


def check_history(messages: list[Block]) -> list[list[tuple[str, Any]]]:
    """Reads a history; raises `Rejected` where Bedrock would."""
    turns = [_common(message) for message in messages]
    asked: list[str] = []
    for n, (message, blocks) in enumerate(zip(messages, turns, strict=True)):
        if message["role"] != ("assistant" if n % 2 else "user"):
            raise Rejected(f"messages.{n}: roles must alternate between user and assistant")
        answered = sorted(what for kind, what in blocks if kind == "result")
        if missing := sorted(set(asked) - set(answered)):
            raise Rejected(f"Expected toolResult blocks at messages.{n} for the Ids: {missing}")
        if answered != sorted(asked):
            raise Rejected(f"The number of toolResult blocks at messages.{n} exceeds the calls.")
        asked = [what for kind, what in blocks if kind == "use"]
        kinds = [kind for kind, _ in blocks]
        if "use" in kinds and "text" in kinds[kinds.index("use") :]:
            raise Rejected(f"messages.{n}: text behind a tool use")
    if asked:
        raise Rejected("tool use ids were found without tool results")
    return turns


def signature_of(method: str, path: str, headers: Any, body: bytes) -> str:
    """Signs a request as the client should have, from what arrived."""
    named = headers["authorization"].split("SignedHeaders=")[1].split(",")[0]
    scope = headers["authorization"].split("Credential=")[1].split(",")[0].partition("/")[2]
    lines = [method, quote(urlsplit(path).path, safe="/~"), ""]
    lines += [f"{name}:{headers[name].strip()}" for name in named.split(";")]
    lines += ["", named, hashlib.sha256(body).hexdigest()]
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", headers["x-amz-date"], scope, digest])
    key = b"AWS4" + SECRET.encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


class Bedrock:
    """The server. `script` says which blocks answer a user's first word."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.damages = False  # a byte of the first call's frames is changed on the way
        self.bodies: list[dict[str, Any]] = []
        self.rejections: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                outer.answer(self)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Bedrock:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def answer(self, to: BaseHTTPRequestHandler) -> None:
        body = to.rfile.read(int(to.headers["content-length"]))
        try:
            blocks, stop = self._turn(to, body)
        except Rejected as error:
            self.rejections.append(str(error))
            self._send(
                to, 400, {"message": str(error)}, {"x-amzn-errortype": "ValidationException"}
            )
            return
        match to.path.rsplit("/", 1)[-1]:
            case "converse":
                message = {"role": "assistant", "content": blocks}
                document = {"output": {"message": message}, "stopReason": stop, "usage": USAGE}
                self._send(to, 200, document | {"metrics": {"latencyMs": 5}})
            case "invoke":
                head = {"id": "msg_bdrk_1", "type": "message", "role": "assistant"}
                usage = {"input_tokens": 10, "output_tokens": 10}
                content = messages_blocks(blocks)
                said = {"content": content, "stop_reason": stop, "usage": usage}
                self._send(to, 200, {**head, "model": "claude", **said})
            case "converse-stream":
                self._stream(to, converse_frames(blocks, stop))
            case _:
                self._stream(to, messages_chunks(blocks, stop))

    def _turn(self, to: BaseHTTPRequestHandler, body: bytes) -> tuple[list[Block], str]:
        authorization = to.headers.get("authorization", "")
        if authorization.startswith("AWS4"):
            came = authorization.split("Signature=")[1]
            if came != signature_of("POST", to.path, to.headers, body):
                raise Rejected("The request signature we calculated does not match.")
        elif not authorization.startswith("Bearer "):
            raise Rejected("no credentials")
        document = json.loads(body)
        self.bodies.append(document)
        if "invoke" in to.path.rsplit("/", 1)[-1]:
            if "anthropic_version" not in document:
                raise Rejected("anthropic_version: Field required")
        elif "toolUse" in json.dumps(document["messages"]) and "toolConfig" not in document:
            raise Rejected("The toolConfig field must be defined when using toolUse.")
        turns = check_history(document["messages"])
        if len(turns) > 1:
            return [{"text": "All done."}], "end_turn"
        blocks = [{"text": LEAD}, *self.script(turns[0][0][1])]
        return blocks, "tool_use" if "toolUse" in blocks[-1] else "end_turn"

    def _send(
        self,
        to: BaseHTTPRequestHandler,
        status: int,
        document: Any,
        headers: dict[str, str] | None = None,
    ) -> None:
        body = json.dumps(document).encode()
        to.send_response(status)
        for name, value in {"content-type": "application/json", **(headers or {})}.items():
            to.send_header(name, value)
        to.send_header("content-length", str(len(body)))
        to.end_headers()
        to.wfile.write(body)

    def _stream(self, to: BaseHTTPRequestHandler, frames: Iterator[bytes]) -> None:
        to.send_response(200)
        to.send_header("content-type", "application/vnd.amazon.eventstream")
        to.send_header("x-amzn-bedrock-content-type", "application/json")
        to.send_header("transfer-encoding", "chunked")
        to.end_headers()
        for one in frames:
            if self.damages and b"toolUse" in one:
                one = one[:-1] + bytes([one[-1] ^ 1])
            to.wfile.write(b"%x\r\n%s\r\n" % (len(one), one))
        to.wfile.write(b"0\r\n\r\n")
