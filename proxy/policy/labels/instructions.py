"""Finds text in data that tells the model what to do: `instructions`, and `request`.

What belongs here: the score. A passage's features (`phrases`) are added up over windows of a few
passages of one box, for a passage can claim authority in one paragraph and name the account in the
next. At `THRESHOLD`, with a feature that speaks to the agent, the window is `instructions`; an
order with something to act on (an address, a link, an account, a sum) is a `request`, which honest
mail is full of. What the rendered page does not show, or what is written in invisible letters,
weighs more. A phrase quoted in a text about attacks is a `request`, not `instructions`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import re2

from proxy.policy.labels.feature import VERBS
from proxy.policy.labels.passages import Passage, passages
from proxy.policy.labels.phrases import FEATURES, MENTIONS, THRESHOLD
from proxy.policy.labels.span import Span

INSTRUCTIONS = "instructions"
REQUEST = "request"

_WINDOW = 4  # passages
_MAX_WINDOW = 4000  # characters
_MAX_TAIL = 3  # passages that belong to an instruction by what they name
_HIDDEN_WEIGHT = 3
_REQUEST_WEIGHT = 2

_ORDER = re2.compile(
    (
        "(?i)(?:^|[\\n>*\u2022(\\]|-] *|[.!?:;,]\\s+|\\b(?:please|kindly|must|should|"
        "need to|have to|needs to|can you|could you|would you|will you"
        "|just|but|or|then|and|also|first|now|immediately|you to|sure to|sure you|"
        "important to|required to|do|instead|help me|help me to|asap|by|me to|urgently) )"
        f"(?:{VERBS})\\s+[^\\s:=]"
        "|(?:^|[\\n.!?:;,] *|\\b(?:bitte|und|dann) )(?:senden?|sende|schicken?|schick|"
        "\u00fcberweisen?|\u00fcberweise|l\u00f6schen?|leiten?|\u00f6ffnen?|klicken?|"
        "laden|installieren?)\\s"
        "|\\b(?:envoie[rz]?|transf\u00e8re|transf\u00e9rez|vire[rz]|supprime[rz]?|"
        "t\u00e9l\u00e9charge[rz]?|ouvre[rz]?|cliquez|env\u00ede?[ae]?|env\u00eda|"
        "transfiere|transfiera|borra|elimina|descarga|haz clic|paga"
        "|invia(?:re|te)?|trasferisci|cancella|scarica|clicca|envie|transfira|apague|"
        "baixe|clique)\\s"
        "|(?:请|請)?(?:发送|發送|转账|轉帳|汇款|删除|刪除|上传|上傳|下载|下載|点击|打开|转发|支付)"
    ).encode()
)
_OBJECT = re2.compile(
    (
        "(?i)[a-z0-9._%+-]{1,64}@[a-z0-9-]{1,63}\\.[a-z]|https?://|\\bwww\\.|"
        "\\b[a-z0-9-]{2,40}\\.(?:com|org|net|io|dev|app|co|ai|info|biz|xyz|me|ru|cn|de|"
        "uk|us|ly|sh)\\b"
        "|\\b[a-z]{2}[0-9]{2}[ -]?[a-z0-9]{3,}[0-9]{2,}|\\b[0-9]{8,}\\b|"
        "[$\u20ac\u00a3\u00a5] ?[0-9]|\\b[0-9][0-9.,]* ?(?:eur|usd|gbp|dollars?|euros?|"
        "bitcoins?|btc|eth|yuan)\\b"
        "|\\b0x[0-9a-f]{16,}|\\bbc1[a-z0-9]{20,}|(?:^|"
        "[\\s'\"`(])[~.]{0,2}/[a-z0-9_.-]+/|\\b[a-z]+_[a-z_]{2,}\\b|\\bpasswords?\\b|"
        "\\bcredentials?\\b|\\bapi[ _-]?keys?\\b|\\bsecrets?\\b|\\baccess tokens?\\b"
        "|\\bssh keys?\\b|\\.env\\b|\\b(?:sudo|curl|wget|bash|npm|pip|rm -|chmod) |"
        "['\"\u201c\u2018`][^'\"\u201d\u2019`\\n]{2,120}['\"\u201d\u2019`]|"
        "#[a-z][a-z0-9_-]{2,}|\\+[0-9]{8,}"
    ).encode()
)
_ASKED = re2.compile(
    (
        "(?i)(?:\\b(?:please|kindly|urgently|immediately|you (?:must|should|need to|have to)|"
        "make sure (?:to|you)|remember to|be sure to|don't forget to|"
        "(?:could|would|will|can) you|(?:i|we) need you to)[, ]+"
        "(?:please |immediately |also |now |then |help me to )*|\\btodo\\b ?:? *)"
        f"(?:{VERBS})\\b"
    ).encode()
)
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)|\n\s*\n|</|[。\uff01\uff1f]")
_REACH = 400  # characters from an order's verb to what it acts on
_MAX_ORDERS = 40  # looked at in one passage

_QUOTED = re.compile(r"\"[^\"\n]{3,200}\"|`[^`\n]{3,200}`|(?<!\w)'[^'\n]{3,200}'(?!\w)")
_REPORTED = re.compile(
    r"\b(?:tell|ask|trick|instruct|get|caus|mak|convinc|persuad|forc|coax|manipulat|"
    r"lead|direct|fool|try|tr|attempt)(?:e|es|s|ing|ed|ks|ying|ies)?"
    r" (?:an? |the |your |your |any |our |these |such )?(?:victim |target )?(?:models?|"
    r"llms?|ais?|agents?|assistants?|it|them|chatbots?|systems?|gpt\S*|claude)"
    r" (?:to|into|that it should) [^.]{0,160}"
)
_OPEN_TAG = re.compile(r"<([a-z][\w-]{2,30})>")


@dataclass(frozen=True, slots=True)
class _Read:
    """A passage and what it says."""

    passage: Passage
    features: frozenset[int]
    unquoted: frozenset[int]  # without what is quoted or reported in a text about attacks
    orders: bool
    objects: bool


class _Matcher:
    """All patterns of all features in one pass; one by one where RE2 runs out of memory."""

    def __init__(self) -> None:
        options = re2.Options()
        options.max_mem = 64 << 20
        options.log_errors = False
        self._set = re2.Set.SearchSet(options)
        self._feature_of: list[int] = []
        for number, feature in enumerate(FEATURES):
            for pattern in feature.patterns:
                self._set.Add(pattern.encode())
                self._feature_of.append(number)
        self._set.Add(b"")  # always matches: its absence says that the pass failed
        self._set.Compile()
        self._alone = [re2.compile(p.encode()) for f in FEATURES for p in f.patterns]

    def features(self, words: str) -> frozenset[int]:
        data = words.encode("utf-8", "replace")
        matched: list[int] = self._set.Match(data)
        if len(self._feature_of) not in matched:
            matched = [n for n, pattern in enumerate(self._alone) if pattern.search(data)]
        return frozenset(self._feature_of[n] for n in matched if n < len(self._feature_of))


_matcher = _Matcher()
_mentions = re2.compile(MENTIONS.encode())
_WEIGHTS = tuple(f.weight for f in FEATURES)
_DIRECTED = frozenset(n for n, f in enumerate(FEATURES) if f.directed)


def find_instructions(text: str) -> Iterator[Span]:
    """Yields the passages that order the reader about."""
    read = [_reading(passage) for passage in passages(text)]
    at = 0
    while at < len(read):
        size = _window(read, at)
        if size:
            first, last = at, at + size - 1
            last = _tail(read, first, last)
            first = _start(read, first)
            yield Span(INSTRUCTIONS, read[first].passage.start, read[last].passage.end)
            at += size
        else:
            at += 1
    for each in read:
        if each.orders or _is_quoted_instruction(each):
            yield Span(REQUEST, each.passage.start, each.passage.end)
        else:
            yield from _asked(each.passage)


def _reading(passage: Passage) -> _Read:
    features = _matcher.features(passage.words) if passage.words else frozenset[int]()
    unquoted = features
    if not passage.hidden and features & _DIRECTED:
        # The word that says "this is about attacks" must stand outside the quotation: a field in quotes, as a
        # YAML result has it, is no quotation because an attacker wrote "research" in it.
        around = _QUOTED.sub(" ", passage.words)
        if _mentions.search(around.encode("utf-8", "replace")):
            unquoted = _matcher.features(_REPORTED.sub(" ", around))
    orders = _has_order(passage.raw)
    objects = orders or _OBJECT.search(passage.raw.encode("utf-8", "replace")) is not None
    return _Read(passage, features, unquoted, orders, objects)


def _asked(passage: Passage) -> Iterator[Span]:
    """Yields the sentences that put an order as one ("please", "TODO:"), whatever it is about."""
    raw = passage.raw
    data = raw.encode("utf-8", "replace")
    moved = len(raw) != passage.end - passage.start  # unescaped, or cut: places are not the text's
    for count, match in enumerate(_ASKED.finditer(data)):
        if moved or count == _MAX_ORDERS:
            yield Span(REQUEST, passage.start, passage.end)
            return
        start = len(data[: match.start()].decode("utf-8", "replace"))
        end = _SENTENCE_END.search(raw, start, start + _REACH)
        length = end.start() if end else min(start + _REACH, len(raw))
        yield Span(REQUEST, passage.start + start, passage.start + length)


def _has_order(raw: str) -> bool:
    """Tells whether a sentence orders something done with something named."""
    data = raw.encode("utf-8", "replace")
    for count, match in enumerate(_ORDER.finditer(data)):
        if count == _MAX_ORDERS:
            return True
        rest = data[match.end() - 1 : match.end() + _REACH].decode("utf-8", "ignore")
        end = _SENTENCE_END.search(rest)
        if _OBJECT.search((rest[: end.start()] if end else rest).encode()) is not None:
            return True
    return False


def _score(read: list[_Read], *, quoted: bool = False) -> tuple[int, bool]:
    """Returns a window's score, and whether it speaks to the agent."""
    features: set[int] = set()
    for each in read:
        features |= each.features if quoted else each.unquoted
    score = sum(_WEIGHTS[n] for n in features)
    directed = features & _DIRECTED
    if any(each.orders for each in read):
        score += _REQUEST_WEIGHT
    if directed and any(each.passage.hidden and each.features for each in read):
        score += _HIDDEN_WEIGHT
    # One weak sign of being spoken to is not enough: people are agents and assistants too.
    speaks = len(directed) > 1 or any(_WEIGHTS[n] > 3 for n in directed)
    if any(each.passage.smuggled and each.passage.box >= 0 for each in read):
        return max(score, THRESHOLD), True
    return score, speaks or (bool(directed) and any(each.passage.hidden for each in read))


def _window(read: list[_Read], at: int) -> int:
    """Returns how many passages from here on are one instruction; 0 where none is."""
    if not _says(read[at]):
        return 0
    chars = 0
    for size in range(1, _WINDOW + 1):
        last = read[at + size - 1] if at + size <= len(read) else None
        if (
            last is None
            or last.passage.box != read[at].passage.box
            or (size > 1 and last.passage.box < 0)
        ):
            return 0
        chars += len(last.passage.raw)
        if chars > _MAX_WINDOW and size > 1:
            return 0
        if not _says(last):
            continue
        score, speaks = _score(read[at : at + size])
        if score >= THRESHOLD and speaks:
            return size
    return 0


def _says(each: _Read) -> bool:
    return bool(each.unquoted) or each.orders or each.passage.smuggled


def _tail(read: list[_Read], first: int, last: int) -> int:
    """Returns the last passage that belongs: to the end of a made-up element, or what it names."""
    box = read[last].passage.box
    if box < 0:
        return last
    words = " ".join(each.passage.words for each in read[first : last + 1])
    for tag in _OPEN_TAG.findall(words):
        for n in range(first, min(last + 8, len(read))):
            if read[n].passage.box == box and f"</{tag}>" in read[n].passage.words:
                last = max(last, n)
                break
    for n in range(last + 1, min(last + 1 + _MAX_TAIL, len(read))):
        if read[n].passage.box != box or not (read[n].objects or read[n].unquoted & _DIRECTED):
            break
        last = n
    return last


def _start(read: list[_Read], first: int) -> int:
    """Returns the passage before, where it is an order in the same box: "Pay X.", "Signed, the user"."""
    if (
        first
        and read[first - 1].passage.box == read[first].passage.box >= 0
        and read[first - 1].orders
    ):
        return first - 1
    return first


def _is_quoted_instruction(each: _Read) -> bool:
    if each.features == each.unquoted:
        return False
    score, speaks = _score([each], quoted=True)
    return score >= THRESHOLD and speaks
