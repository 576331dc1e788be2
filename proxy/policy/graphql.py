"""What a GraphQL request asks for: every root field of its document, with its arguments.

What belongs here: reading a request's document with graphql-core and nothing that a server decides.
`operationName` is the agent's word, so the fields of *all* operations count; an alias hides no name,
fragments are opened, each element of a batch counts, `@skip` and `@include` skip nothing. The same field
asked for twice is two actions. A request whose text is not in it (a persisted query), or that has its
document in two places, has no single reading (https://spec.graphql.org/October2021/,
https://graphql.github.io/graphql-over-http/draft/, read 2026-11).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from graphql import GraphQLError, parse
from graphql.language import ast

from proxy.model import HttpCall, Json
from proxy.policy.strictjson import json_or_none

_MAX_TOKENS = 20_000
_MAX_FIELDS = 1_000
_MAX_BATCH = 100
_MISSING = object()


class GraphqlFault(Exception):
    """The request has no single reading; the text says why."""


@dataclass(frozen=True, slots=True)
class RootField:
    """One root field as asked for: an action."""

    type: str  # query, mutation, subscription
    name: str
    args: dict[str, Json]
    operation: str  # the operation's own name, "" where it has none
    variables: dict[str, Json]


def read_graphql(http: HttpCall) -> tuple[RootField, ...]:
    """Returns all root fields of a request.

    Raises:
        GraphqlFault: it cannot be read in one way only.
    """
    in_query = {"query", "id", "documentId", "extensions"} & set(http.query)
    body = http.body
    if in_query and body not in (None, "", {}):
        raise GraphqlFault("a document in the URL beside a body")
    if in_query:
        requests: list[Json] = [dict(http.query)]
    elif isinstance(body, str):
        requests = [{"query": body}]  # application/graphql
    elif isinstance(body, list):
        requests = body
    else:
        requests = [body]
    if not 1 <= len(requests) <= _MAX_BATCH:
        raise GraphqlFault("a batch of no or too many documents")
    found: list[RootField] = []
    for one in requests:
        if not isinstance(one, Mapping):
            raise GraphqlFault("no object with a 'query'")
        found += _read_one(one)
        if len(found) > _MAX_FIELDS:
            raise GraphqlFault("too many root fields")
    return tuple(found)


def _read_one(request: Mapping[str, Json]) -> list[RootField]:
    text = request.get("query")
    if not isinstance(text, str) or not text.strip():
        raise GraphqlFault("the document's text is not in the request (a persisted query?)")
    extensions = request.get("extensions")
    if isinstance(extensions, str) and extensions:
        extensions = json_or_none(extensions)
    if isinstance(extensions, Mapping) and "persistedQuery" in extensions:
        raise GraphqlFault("a persisted query, whose text the server may take from elsewhere")
    if {"id", "documentId", "queryId", "operations", "map"} & set(request):
        raise GraphqlFault("a document that the server may take from elsewhere")
    variables = request.get("variables")
    if isinstance(variables, str) and variables.strip():  # in a URL or a form
        variables = json_or_none(variables)
        if variables is None:
            raise GraphqlFault("variables that are no JSON object")
    variables = {} if variables in (None, "") else variables
    if not isinstance(variables, dict):
        raise GraphqlFault("variables that are no JSON object")
    try:
        document = parse(text, no_location=True, max_tokens=_MAX_TOKENS)
        return list(_fields(document, variables))
    except GraphQLError as error:
        raise GraphqlFault(f"not a GraphQL document: {error.message[:80]}") from error
    except RecursionError as error:
        raise GraphqlFault("nested too deeply") from error


def _fields(document: ast.DocumentNode, variables: dict[str, Json]) -> Iterator[RootField]:
    fragments: dict[str, ast.FragmentDefinitionNode] = {}
    operations: list[ast.OperationDefinitionNode] = []
    for definition in document.definitions:
        if isinstance(definition, ast.FragmentDefinitionNode):
            if definition.name.value in fragments:
                raise GraphqlFault("a fragment is defined twice")
            fragments[definition.name.value] = definition
        elif isinstance(definition, ast.OperationDefinitionNode):
            operations.append(definition)
        else:
            raise GraphqlFault("a definition that is no operation")
    names = [o.name.value if o.name is not None else "" for o in operations]
    if not operations or len(set(names)) != len(names):
        raise GraphqlFault("no operation, or two of one name")
    for operation, name in zip(operations, names, strict=True):
        known = _variables(operation, variables)
        budget = [_MAX_FIELDS]
        for node in _roots(operation.selection_set, fragments, (), budget):
            args = _arguments(node, known)
            yield RootField(operation.operation.value, node.name.value, args, name, variables)


def _roots(
    selected: ast.SelectionSetNode,
    fragments: Mapping[str, ast.FragmentDefinitionNode],
    inside: tuple[str, ...],
    budget: list[int],
) -> Iterator[ast.FieldNode]:
    for node in selected.selections:
        budget[0] -= 1
        if budget[0] < 0:
            raise GraphqlFault("too many root fields")
        if isinstance(node, ast.FieldNode):
            yield node
        elif isinstance(node, ast.InlineFragmentNode):
            yield from _roots(node.selection_set, fragments, inside, budget)
        elif isinstance(node, ast.FragmentSpreadNode):
            name = node.name.value
            if name not in fragments or name in inside:
                raise GraphqlFault("a fragment that is missing, or holds itself")
            yield from _roots(fragments[name].selection_set, fragments, (*inside, name), budget)


def _variables(operation: ast.OperationDefinitionNode, given: dict[str, Json]) -> dict[str, Json]:
    known = dict(given)
    declared: set[str] = set()
    for definition in operation.variable_definitions or ():
        name = definition.variable.name.value
        if name in declared:
            raise GraphqlFault("a variable is declared twice")
        declared.add(name)
        if name not in known and definition.default_value is not None:
            known[name] = _value(definition.default_value, {})
    return known


def _arguments(node: ast.FieldNode, known: Mapping[str, Json]) -> dict[str, Json]:
    made: dict[str, Json] = {}
    for argument in node.arguments or ():
        name = argument.name.value
        if name in made:
            raise GraphqlFault("an argument is given twice")
        value = _value(argument.value, known)
        if value is not _MISSING:
            made[name] = value
    return made


def _value(node: ast.ValueNode, known: Mapping[str, Json]) -> Json:
    match node:
        case ast.VariableNode():
            return known.get(node.name.value, _MISSING)
        case ast.IntValueNode() | ast.FloatValueNode():
            if len(node.value) > 400:
                raise GraphqlFault("a number of too many digits")
            return int(node.value) if isinstance(node, ast.IntValueNode) else Decimal(node.value)
        case ast.StringValueNode() | ast.EnumValueNode() | ast.BooleanValueNode():
            return node.value
        case ast.ListValueNode():
            items = [_value(item, known) for item in node.values]
            return [None if item is _MISSING else item for item in items]
        case ast.ObjectValueNode():
            made: dict[str, Json] = {}
            for field in node.fields:
                if field.name.value in made:
                    raise GraphqlFault("a field of an input object is given twice")
                value = _value(field.value, known)
                if value is not _MISSING:
                    made[field.name.value] = value
            return made
    return None
