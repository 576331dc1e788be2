"""Which hosts serve models, and which of their endpoints can answer with no tool call.

What belongs here: two tables. `MODEL_HOSTS` names the hosts on which traffic that no codec reads is
not just another web request: it may be a door to a model that nobody judges. For each family of them
the second table names the endpoints that are understood: their answers hold lists, numbers, pictures,
the agent's own uploads, never a call. What stands in neither a codec nor this table is *unparsed*,
and the rules say what happens to it (`unparsed:`).

Understood endpoints are matched on the path as it was sent, and only in plain spelling: a path with
`%2e`, `//`, `;` or `..` has several readings, so it is understood in none. Left out on purpose, since
calls stand in the answers: file contents (a batch's output is a file), batches, lists of stored
completions, items of conversations, input items of stored responses, agents, runs of threads.
Sources, read 2026-11: platform.openai.com/docs/api-reference, docs.anthropic.com/en/api,
ai.google.dev/api, cloud.google.com/vertex-ai/docs/reference/rest, docs.aws.amazon.com/bedrock/latest/APIReference,
docs.mistral.ai/api, docs.cohere.com/reference, openrouter.ai/docs/api-reference.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache

from proxy.wire.detect import normalised

_READ = r"GET"
_WRITE = r"POST"
_ANY = r"GET|POST|PUT|PATCH"
_ID = r"[\w.~@+-]+"
_NAME = r"[\w.~@+:-]+(?:(?:/|%2F)[\w.~@+:-]+){0,3}"  # a model's name may have slashes
_AHEAD = r"(?:(?!chat/|responses/|messages/|conversations/|threads/|files/|batches/|assistants/)[\w.@-]+/){0,6}"
"""What gateways and Azure put ahead of an endpoint: `openai/deployments/NAME/`, `api/v1/`."""


@dataclass(frozen=True, slots=True)
class Family:
    """Hosts that serve one API: the shape of its errors, and its endpoints without calls."""

    protocol: str  # whose errors its SDKs read
    understood: tuple[tuple[re.Pattern[str], re.Pattern[str]], ...]

    def understands(self, method: str, path: str) -> bool:
        return any(m.fullmatch(method) and p.fullmatch(path) for m, p in self.understood)


def _endpoints(*rows: tuple[str, str]) -> tuple[tuple[re.Pattern[str], re.Pattern[str]], ...]:
    return tuple((re.compile(m), re.compile("/" + p, re.ASCII)) for m, p in rows)


_FILES = (
    (_READ, rf"{_AHEAD}files(?:/{_ID})?"),
    (_WRITE, rf"{_AHEAD}files"),
)
_OPENAI = Family(
    "openai.chat",
    _endpoints(
        (_READ, rf"{_AHEAD}models(?:/{_NAME})?"),
        (_READ, rf"{_AHEAD}deployments"),
        (_WRITE, rf"{_AHEAD}(?:embeddings|moderations|completions|rerank|tokenize|detokenize)"),
        (_WRITE, rf"{_AHEAD}images/(?:generations|edits|variations)"),
        (_WRITE, rf"{_AHEAD}audio/(?:speech|transcriptions|translations)"),
        (_WRITE, rf"{_AHEAD}responses/input_tokens"),
        (_WRITE, rf"{_AHEAD}uploads(?:/{_ID}/(?:parts|complete|cancel))?"),
        (_READ, rf"{_AHEAD}(?:key|credits|providers|generation|user/balance|api-key|me)"),
        (_WRITE, r"backend-api/codex/analytics-events/events"),
        # What the agent itself set up or uploaded, and files that code wrote: no codec's SDK reads a
        # call from them. Runs and their steps, and the items of conversations, stand elsewhere.
        (_ANY, rf"{_AHEAD}vector_stores(?:/{_ID}(?:/(?:files|file_batches)(?:/{_ID}){{0,2}})?)?"),
        (_WRITE, rf"{_AHEAD}vector_stores/{_ID}/search"),
        (_ANY, rf"{_AHEAD}containers(?:/{_ID}(?:/files(?:/{_ID}(?:/content)?)?)?)?"),
        (_ANY, rf"{_AHEAD}assistants(?:/{_ID})?"),
        (_ANY, rf"{_AHEAD}threads(?:/(?!runs(?:/|$)){_ID}(?:/messages(?:/{_ID})?)?)?"),
        *_FILES,
    ),
)
_ANTHROPIC = Family(
    "anthropic.messages",
    _endpoints(
        (_READ, rf"v1/models(?:/{_NAME})?"),
        (_WRITE, r"v1/messages/count_tokens"),
        (_WRITE, r"v1/complete"),
        (_READ, r"v1/mcp_servers"),
        (_ANY, rf"v1/skills(?:/{_ID}(?:/versions(?:/{_ID})?)?)?"),
        # Contents too: files that code wrote. A batch's results are below `messages/batches`.
        (_READ, rf"v1/files(?:/{_ID}(?:/content)?)?"),
        (_WRITE, r"v1/files"),
        (_ANY, rf"v1/oauth(?:/{_ID}){{1,3}}"),
        # What Claude Code sends beside messages: telemetry, its account, its settings.
        (_WRITE, rf"api/(?:event_logging|claude_code)(?:/{_ID}){{0,3}}"),
        (_ANY, rf"api/(?:oauth|claude_cli|claude_cli_feedback)(?:/{_ID}){{0,4}}"),
        (
            _READ,
            rf"api/(?:claude_code|claude_code_grove|claude_cli_profile|hello)(?:/{_ID}){{0,3}}",
        ),
        (_WRITE, rf"api/eval/{_ID}"),
        (_READ, rf"mcp-registry/v0/servers(?:/{_ID})?"),
    ),
)
_VERBS = "countTokens|computeTokens|embedContent|batchEmbedContents|predict|predictLongRunning|fetchPredictOperation"
_GEMINI = Family(
    "gemini",
    _endpoints(
        (_READ, rf"v1\w*/(?:models|tunedModels)(?:/{_ID})?"),
        (_WRITE, rf"v1\w*/models/{_ID}:(?:{_VERBS})"),
        (_ANY, rf"(?:upload/)?v1\w*/files(?:/{_ID})?"),
        (_ANY, rf"v1\w*/cachedContents(?:/{_ID})?"),
        (_ANY, rf"v1\w*/fileSearchStores(?:/{_ID}(?:/documents(?:/{_ID})?)?)?"),
        (
            _WRITE,
            rf"(?:upload/)?v1\w*/fileSearchStores/{_ID}:(?:uploadToFileSearchStore|importFile)",
        ),
        (_READ, rf"v1\w*/fileSearchStores/{_ID}/(?:upload/)?operations/{_ID}"),
        (_READ, rf"v1\w*/(?:models/{_ID}/)?operations(?:/{_ID})?"),
        (_READ, rf"v1\w*/openai/models(?:/{_NAME})?"),
        (_WRITE, r"v1\w*/openai/(?:embeddings|images/generations)"),
    ),
)
_CODE_ASSIST = Family(
    "gemini",
    _endpoints(
        (
            _WRITE,
            r"v1internal:(?:loadCodeAssist|onboardUser|countTokens|recordCodeAssistMetrics"
            r"|recordClientEvent|listExperiments|retrieveUserQuota|fetchAdminControls"
            r"|setCodeAssistGlobalUserSetting|listModelConfigs)",
        ),
        (_READ, rf"v1internal(?::getCodeAssistGlobalUserSetting|/operations/{_ID})"),
    ),
)
_AT_VERTEX = rf"v1\w*/(?:projects/{_ID}/locations/{_ID}/)?"
_VERTEX = Family(
    "gemini",
    _endpoints(
        (_WRITE, rf"{_AT_VERTEX}publishers/google/models/{_ID}:(?:{_VERBS})"),
        (_WRITE, rf"{_AT_VERTEX}publishers/anthropic/models/count-tokens:rawPredict"),
        (_READ, rf"{_AT_VERTEX}publishers/{_ID}/models(?:/{_ID})?"),
        (_ANY, rf"{_AT_VERTEX}cachedContents(?:/{_ID})?"),
        (_READ, rf"{_AT_VERTEX}operations(?:/{_ID})?"),
    ),
)
_BEDROCK = Family(
    "bedrock.converse",
    _endpoints(
        (_WRITE, r"model/[\w.~@+:%/-]+/count-tokens"),
        (_WRITE, rf"guardrail/{_ID}/version/{_ID}/apply"),
        (_READ, r"(?:foundation-models|inference-profiles)(?:/[\w.:%-]+)?"),
        # Of the agents' host: passages and texts with their sources. Agents themselves answer with calls.
        (_WRITE, rf"(?:knowledgebases/{_ID}/retrieve|retrieveAndGenerate(?:Stream)?|rerank)"),
    ),
)
_COHERE = Family(
    "cohere.v2",
    _endpoints(
        (_READ, rf"v[12]/models(?:/{_NAME})?"),
        (_WRITE, r"v[12]/(?:embed|rerank|tokenize|detokenize|classify|check-api-key)"),
        (_WRITE, r"v1/(?:generate|summarize|detect-language)"),  # before chat: texts only
        (_ANY, rf"v1/(?:embed-jobs|connectors)(?:/{_ID})?"),
    ),
)
_MISTRAL = Family(
    "openai.chat",
    (
        *_OPENAI.understood,
        *_endpoints(
            (_WRITE, r"v1/(?:chat/)?(?:moderations|classifications)"),
            (_WRITE, r"v1/ocr"),
            (_ANY, rf"v1/fine_tuning/jobs(?:/{_ID}(?:/(?:cancel|start))?)?"),
        ),
    ),
)
_OLLAMA = Family(
    "ollama.chat",
    (
        *_OPENAI.understood,
        *_endpoints(
            (_READ, r"api/(?:tags|ps|version)"),
            (_WRITE, r"api/(?:show|embed|embeddings|pull|web_search|web_fetch)"),
        ),
    ),
)
_HUGGING_FACE = Family(
    "openai.chat",
    (
        *_OPENAI.understood,
        # A task in the path: numbers, labels, pictures. Without one the model's kind decides.
        *_endpoints((_WRITE, rf"hf-inference/models/{_NAME}/pipeline/{_ID}")),
    ),
)

MODEL_HOSTS: tuple[tuple[str, Family], ...] = (
    ("api.openai.com", _OPENAI),
    ("*.api.openai.com", _OPENAI),
    ("chatgpt.com", _OPENAI),
    ("*.openai.azure.com", _OPENAI),
    ("*.services.ai.azure.com", _OPENAI),
    ("*.cognitiveservices.azure.com", _OPENAI),
    ("*.inference.ai.azure.com", _OPENAI),
    ("*.models.ai.azure.com", _OPENAI),
    ("models.github.ai", _OPENAI),
    ("api.anthropic.com", _ANTHROPIC),
    ("generativelanguage.googleapis.com", _GEMINI),
    ("aiplatform.googleapis.com", _VERTEX),
    ("*-aiplatform.googleapis.com", _VERTEX),
    ("aiplatform.*.rep.googleapis.com", _VERTEX),
    ("cloudcode-pa.googleapis.com", _CODE_ASSIST),
    ("bedrock*.amazonaws.com", _BEDROCK),
    ("bedrock*.amazonaws.com.cn", _BEDROCK),
    ("bedrock*.api.aws", _OPENAI),
    ("api.mistral.ai", _MISTRAL),
    ("codestral.mistral.ai", _MISTRAL),
    ("api.cohere.com", _COHERE),
    ("api.cohere.ai", _COHERE),
    ("api.groq.com", _OPENAI),
    ("openrouter.ai", _OPENAI),
    ("api.deepseek.com", _OPENAI),
    ("api.x.ai", _OPENAI),
    ("*.api.x.ai", _OPENAI),
    ("api.together.xyz", _OPENAI),
    ("api.together.ai", _OPENAI),
    ("api.fireworks.ai", _OPENAI),
    ("api.cerebras.ai", _OPENAI),
    ("api.perplexity.ai", _OPENAI),
    ("api.moonshot.ai", _OPENAI),
    ("api.moonshot.cn", _OPENAI),
    ("api.z.ai", _OPENAI),
    ("open.bigmodel.cn", _OPENAI),
    ("api.minimax.io", _OPENAI),
    ("dashscope*.aliyuncs.com", _OPENAI),
    ("api.deepinfra.com", _OPENAI),
    ("api.sambanova.ai", _OPENAI),
    ("api.novita.ai", _OPENAI),
    ("api.ai21.com", _OPENAI),
    ("api.writer.com", _OPENAI),
    ("integrate.api.nvidia.com", _OPENAI),
    ("router.huggingface.co", _HUGGING_FACE),
    ("ai-gateway.vercel.sh", _OPENAI),
    ("gateway.ai.cloudflare.com", _OPENAI),
    ("ollama.com", _OLLAMA),
)

_SCOPES = {
    "chatgpt.com": ("backend-api/codex",),
    "openrouter.ai": ("api",),
    "ollama.com": ("api", "v1"),
    "open.bigmodel.cn": ("api",),
}
"""Hosts that serve people too: only below these paths are they a model's."""

_PLAIN = re.compile(r"(?:/[\w.~@+:!$,=-]+(?:%2F[\w.~@+:-]+|%3A[\w.~@+:-]+)*)+/?", re.ASCII)


@lru_cache(maxsize=1024)
def family_of(host: str) -> Family | None:
    """Returns the family that a host, in its normal spelling, belongs to; None for other hosts."""
    for pattern, family in MODEL_HOSTS:
        if host == pattern or fnmatchcase(host, pattern):
            return family
    return None


def is_model_traffic(host: str, path: str) -> bool:
    """Tells whether a request to a known model host is below a path where it serves models."""
    scopes = _SCOPES.get(host)
    where = normalised(path)
    return scopes is None or any(where == s or where.startswith(s + "/") for s in scopes)


def is_understood(host: str, method: str, path: str) -> bool:
    """Tells whether a request can bring no call, whatever its answer.

    OPTIONS and HEAD have no content; DELETE answers what was deleted. A host that only the rules
    name is understood as one of the many that speak OpenAI's APIs.
    """
    if method in ("OPTIONS", "HEAD", "DELETE"):
        return True
    plain = path.partition("?")[0]
    if not _PLAIN.fullmatch(plain) or ".." in plain or "/./" in plain:
        return False
    return (family_of(host) or _OPENAI).understands(method, plain.removesuffix("/"))


def looks_like_a_model_request(body: bytes) -> bool:
    """Tells whether a body that the codecs cannot read may still be a model's request to a server.

    Servers read JSON more widely than we do: UTF-16 and UTF-32, a byte order mark, comments, a
    trailing comma, `NaN`, text behind the end. The words of a request are looked for in all of them.
    """
    start = body[:_LOOKED_AT]
    if b"\0" in start[:8] or start.startswith((b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")):
        start = start.replace(b"\0", b"")
    start = _ESCAPED.sub(lambda found: bytes((int(found[1], 16),)), start)
    if not _KEY_MODEL.search(start):
        return False
    return bool(_KEY_TALK.search(start))


_LOOKED_AT = 1 << 20
_ESCAPED = re.compile(rb"\\u00([2-7][0-9a-fA-F])")
_KEY_MODEL = re.compile(rb"""["']?\bmodel["']?\s*:""")
_KEY_TALK = re.compile(
    rb"""["']?\b(?:messages|previous_response_id|max_output_tokens|max_tokens|tools|tool_choice)["']?\s*:"""
)
